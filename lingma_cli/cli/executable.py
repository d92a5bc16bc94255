"""`lingma engine install`, `update` …: the Lingma executable, got, taken back and examined."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lingma_cli.cli import output
from lingma_cli.cli.options import ConfigFile, Json, load_settings
from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.paths import find_paths

if TYPE_CHECKING:
    from rich.progress import Progress

    from lingma_cli.cli.person import TerminalPerson
    from lingma_cli.install.fetch import OnProgress
    from lingma_cli.install.installer import Installer
    from lingma_cli.install.state import Release, State
    from lingma_cli.wiring.bootstrap import Talk

Vsix = Annotated[str | None, typer.Option("--vsix", metavar="FILE", help="a package on this disk")]
PackageUrl = Annotated[
    str | None, typer.Option("--url", metavar="URL", help="https address of a package")
]
Bin = Annotated[
    str | None,
    typer.Option("--bin", metavar="FILE", help="an executable of yours, taken as it is"),
]
Version = Annotated[
    str | None, typer.Option("--version", metavar="VERSION", help="one version of the Marketplace")
]
Force = Annotated[
    bool, typer.Option("--force", help="download it, even if it is there or has failed before")
]
AcceptChanged = Annotated[
    bool,
    typer.Option("--accept-changed", help="take it even if its SHA-256 is not the known one"),
]


def install(
    *,
    vsix: Vsix = None,
    url: PackageUrl = None,
    bin: Bin = None,  # noqa: A002 - the option's name
    version: Version = None,
    force: Force = False,
    accept_changed: AcceptChanged = False,
    json: Json = False,
    config: ConfigFile = None,
) -> None:
    """Install what is named, else a copy on this machine, else the newest of the source."""
    if sum(value is not None for value in (vsix, url, bin, version)) > 1:
        raise LingmaError(
            ErrorKind.USAGE, "only one of `--vsix`, `--url`, `--bin` and `--version` can be obeyed"
        )
    from lingma_cli.install.installer import Wish  # noqa: PLC0415 - not for `--help`

    with _installer(config, url=url or "") as installer:
        if bin is not None:
            path = installer.name(Path(bin))
            _print_path(path, json=json)
            return
        release = installer.install(
            Wish(
                vsix=Path(vsix).expanduser().absolute() if vsix else None,
                version=version or "",
                from_source=url is not None,
                force=force,
                accept_changed=accept_changed,
            )
        )
        _print_release(installer, release, json=json)


def update(
    *,
    force: Force = False,
    accept_changed: AcceptChanged = False,
    json: Json = False,
    config: ConfigFile = None,
) -> None:
    """Install the newest version of the source, if it is newer than the current one."""
    with _installer(config) as installer:
        release = installer.update(force=force, accept_changed=accept_changed)
        if release is None:
            output.say("there is no newer version")
            state = installer.versions()
            release = state.release(state.current)
        if release is not None:
            _print_release(installer, release, json=json)


def rollback(*, json: Json = False, config: ConfigFile = None) -> None:
    """Return to the version before the current one."""
    with _installer(config) as installer:
        _print_release(installer, installer.rollback(), json=json)


def verify(*, json: Json = False, config: ConfigFile = None) -> None:
    """Compare every version with what was installed, and run it."""
    with _installer(config) as installer:
        verdicts = installer.verify()
    if json:
        output.print_json(
            [
                {"name": one.name, "path": str(one.path), "problem": one.problem or None}
                for one in verdicts
            ]
        )
    else:
        for one in verdicts:
            output.print_columns([(one.name, one.problem or "ok", str(one.path))])
    if not verdicts:
        from lingma_cli.install.installer import not_installed  # noqa: PLC0415

        raise not_installed()
    bad = [one.name for one in verdicts if one.problem]
    if bad:
        raise LingmaError(
            ErrorKind.INSTALL_FAILED,
            f"not as it should be: {', '.join(bad)}",
            hint="run `lingma engine install --force`",
        )


def path(*, json: Json = False, config: ConfigFile = None) -> None:
    """Print the executable that would run."""
    from lingma_cli.install.installer import not_installed  # noqa: PLC0415 - not for `--help`

    with _installer(config) as installer:
        found = installer.find()
    if found is None:
        raise not_installed()
    _print_path(found, json=json)


def versions(*, json: Json = False, config: ConfigFile = None) -> None:
    """List the installed versions, newest installation last, and copies of other programs."""
    with _installer(config) as installer:
        state = installer.versions()
        copies = installer.copies()
    if json:
        output.print_json(
            {
                "named": state.named or None,
                "versions": [_shown(release, state) for release in state.releases],
                "found": [
                    {"version": copy.version or None, "path": str(copy.path)} for copy in copies
                ],
            }
        )
        return
    rows = [("VERSION", "PLATFORM", "STATE", "INSTALLED", "SHA-256", "SOURCE")]
    rows += [
        (
            release.folder,
            release.platform,
            _standing(release, state),
            time.strftime("%Y-%m-%d %H:%M", time.localtime(release.installed)),
            release.files[0].sha256[:16],
            release.source,
        )
        for release in state.releases
    ]
    if state.named:
        rows.append(("-", "-", "named, current", "-", "-", state.named))
    rows += [(copy.version or "-", "-", "found", "-", "-", str(copy.path)) for copy in copies]
    output.print_columns(rows)


def _print_path(path: Path, *, json: bool) -> None:
    if json:
        output.print_json({"path": str(path)})
    else:
        output.print_text(str(path))


def _print_release(installer: Installer, release: Release, *, json: bool) -> None:
    state = installer.versions()
    executable = installer.executable(release)
    if json:
        output.print_json({**_shown(release, state), "path": str(executable)})
        return
    rows = [
        ("version", release.version),
        ("platform", release.platform),
        ("source", release.source),
    ]
    if release.package_sha256:
        rows.append(("package sha256", release.package_sha256))
    rows += [(f"{file.name} sha256", file.sha256) for file in release.files]
    output.print_columns([*rows, ("path", str(executable))])


def _shown(release: Release, state: State) -> dict[str, Any]:
    return {
        "name": release.folder,
        "version": release.version,
        "platform": release.platform,
        "is_current": release.folder == state.current and not state.named,
        "is_previous": release.folder == state.previous,
        "trial": release.trial.value,
        "source": release.source,
        "installed": release.installed,
        "package_sha256": release.package_sha256 or None,
        "files": {file.name: file.sha256 for file in release.files},
    }


def _standing(release: Release, state: State) -> str:
    words = []
    if release.folder == state.current and not state.named:
        words.append("current")
    if release.folder == state.previous:
        words.append("previous")
    if release.trial.value != "passed":
        words.append(release.trial.value)
    return ", ".join(words) or "-"


@contextmanager
def _installer(config: str | None, url: str = "") -> Iterator[Installer]:
    paths = find_paths(os.environ)
    settings = load_settings(paths, config).settings
    from lingma_cli.wiring.install import build_installer  # noqa: PLC0415 - not for `--help`

    with download_bar() as on_progress:
        yield build_installer(
            settings, paths, os.environ, say=output.say, on_progress=on_progress, url=url
        )


@contextmanager
def download_bar() -> Iterator[OnProgress]:
    """Hand out what draws a download on stderr, with speed and time left, if that is a terminal."""
    bar = _Bar()
    try:
        yield bar.show if output.is_terminal(sys.stderr) else lambda _done, _total: None
    finally:
        bar.end()


def terminal_talk(person: TerminalPerson) -> Talk:
    """Return what is said to the person at this terminal, and asked of them."""
    from lingma_cli.wiring.bootstrap import Talk  # noqa: PLC0415 - not for `--help`

    return Talk(say=person.say, progress=download_bar, consent=person.consents)


class _Bar:
    """Drawn from the first bytes on; nothing of it stays."""

    def __init__(self) -> None:
        self._progress: Progress | None = None

    def show(self, done: int, total: int | None) -> None:
        if self._progress is None:
            self._progress = self._drawn()
        for task in self._progress.task_ids:
            self._progress.update(task, completed=done, total=total)

    def end(self) -> None:
        if self._progress is not None:
            self._progress.stop()

    def _drawn(self) -> Progress:
        from rich import progress
        from rich.console import Console

        drawn = progress.Progress(
            progress.BarColumn(),
            progress.DownloadColumn(),
            progress.TransferSpeedColumn(),
            progress.TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        drawn.add_task("download", total=None)
        drawn.start()
        return drawn
