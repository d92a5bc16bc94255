"""The executable to run at the first need: found, got with consent, tried before it counts."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.install.fetch import OnProgress
from lingma_cli.install.installer import Installer
from lingma_cli.paths import Paths
from lingma_cli.settings import Settings
from lingma_cli.wiring.engines import running_engine
from lingma_cli.wiring.install import build_installer, find_command
from lingma_cli.wiring.scratch import scratch_folder


@dataclass(frozen=True, slots=True, kw_only=True)
class Talk:
    """What is said to the person at the terminal, and asked of them.

    Attributes:
        say: told what happens, a line each.
        progress: hands out, for a while, what is told the bytes of a download.
        consent: returns whether a question is answered with yes.
    """

    say: Callable[[str], None]
    progress: Callable[[], AbstractContextManager[OnProgress]]
    consent: Callable[[str], bool]


def bootstrap(
    settings: Settings, paths: Paths, environ: Mapping[str, str], talk: Talk
) -> tuple[str, ...]:
    """Return the command to run.

    Args:
        settings: all of them.
        paths: the home.
        environ: the process environment.
        talk: see `Talk`.

    Raises:
        LingmaError: there is no executable and none could or should be got.
    """
    hush_engines()
    if settings.demo or settings.bin:
        return find_command(settings, paths, environ)
    with talk.progress() as on_progress:
        installer = build_installer(settings, paths, environ, say=talk.say, on_progress=on_progress)
        try:
            found = installer.ensure(
                talk.consent, always=settings.bootstrap_always, refresh=settings.force_refresh
            )
        except LingmaError as error:
            if error.kind is not ErrorKind.EXECUTABLE_NOT_FOUND:
                raise
            raise LingmaError(
                ErrorKind.INSTALL_FAILED,
                error.message,
                hint="run `lingma engine install`; `lingma serve --demo` works without it",
            ) from None
    _try_out(installer, settings, paths, environ, talk.say)
    return (str(installer.find() or found),)


def hush_engines() -> None:
    """Keep what engines log from the person at the terminal; a log that is set up gets it."""
    # Where there is no handler at all, Python writes warnings to stderr.
    logging.getLogger("lingma_cli.engines").addHandler(logging.NullHandler())


def _try_out(
    installer: Installer,
    settings: Settings,
    paths: Paths,
    environ: Mapping[str, str],
    say: Callable[[str], None],
) -> None:
    """Shake hands with a version that is new here; return to the one before if it does not."""
    tried: set[str] = set()
    while (release := installer.trial()) is not None and release.folder not in tried:
        tried.add(release.folder)
        say(f"trying Lingma {release.version} for the first time")
        path = installer.executable(release)
        try:
            asyncio.run(_shake_hands(path, settings, paths, environ))
        except LingmaError as error:
            if error.kind is ErrorKind.ALREADY_RUNNING:
                # A server or a login that starts at the same time tries it: the verdict is theirs.
                return
            say(f"warning: it does not work here: {error.message}")
            before = installer.roll_back(release)
            if before is not None:
                say(f"returned to Lingma {before.version}")
        else:
            installer.confirm(release)


async def _shake_hands(
    path: Path, settings: Settings, paths: Paths, environ: Mapping[str, str]
) -> None:
    named = replace(settings, bin=str(path))
    own = replace(paths, state=paths.state / "trial")
    with scratch_folder(own) as scratch:
        async with running_engine(named, paths, environ, work_dir=scratch / "engine"):
            pass
