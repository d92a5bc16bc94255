"""`lingma gateway`: the server in the background, started, stopped and looked at."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lingma_cli.cli import output
from lingma_cli.cli.options import ConfigFile, Json, load_settings, with_settings_options
from lingma_cli.cli.person import TerminalPerson
from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.paths import Paths, find_paths

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lingma_cli.wiring.background import Launch, Start
    from lingma_cli.wiring.handshake import Ready


Force = Annotated[bool, typer.Option("--force", help="kill it when the time is over")]
Timeout = Annotated[
    float | None,
    typer.Option(
        "--timeout",
        metavar="SECONDS",
        min=0,
        help="seconds until it must have ended; default: its drain time and a little more",
    ),
]
Follow = Annotated[bool, typer.Option("--follow", "-f", help="go on until Ctrl-C")]
Lines = Annotated[
    int, typer.Option("--lines", "-n", metavar="INTEGER", min=0, help="lines from the past")
]


@with_settings_options
def start(*, config: ConfigFile = None, **flags: Any) -> None:
    """Start the server in the background, with the options of `serve`."""
    paths = find_paths(os.environ)
    launch = _launch(paths, _start(config, flags), os.environ)
    # Not before the settings are right.
    from lingma_cli.cli.executable import terminal_talk  # noqa: PLC0415
    from lingma_cli.wiring import background  # noqa: PLC0415

    _greet(background.start(launch, paths, terminal_talk(TerminalPerson())), paths)


def stop(*, force: Force = False, timeout: Timeout = None, config: ConfigFile = None) -> None:
    """End the running server of this home, wherever it was started; running answers finish."""
    paths = find_paths(os.environ)
    from lingma_cli.wiring import background  # noqa: PLC0415 - not for `--help`

    if timeout is None:
        last = background.last_start(paths)
        flags = last.flags if last is not None else {}
        timeout = background.stop_patience(load_settings(paths, config, flags).settings)
    server = background.stop(paths, within=timeout, force=force)
    output.say(f"stopped: {server.url}, process {server.pid}")


@with_settings_options
def restart(*, config: ConfigFile = None, **flags: Any) -> None:
    """Stop the server and start it again; without options, with those of the last start."""
    paths = find_paths(os.environ)
    given, environ = _start(config, flags), _with_fixed_home(os.environ)
    launch = _launch(paths, given if given.arguments else _as_before(paths, given), environ)
    # Not before the settings are right.
    from lingma_cli.cli.executable import terminal_talk  # noqa: PLC0415
    from lingma_cli.wiring import background  # noqa: PLC0415

    ready = background.restart(
        launch,
        paths,
        terminal_talk(TerminalPerson()),
        lambda server: output.say(f"stopped: {server.url}, process {server.pid}"),
    )
    _greet(ready, paths)


def status(*, config: ConfigFile = None, json: Json = False) -> None:
    """Show the running server of this home, and where it logs if that is in the background."""
    from lingma_cli.cli.status import describe, show  # noqa: PLC0415 - not for `--help`
    from lingma_cli.cli.target import find_own_target  # noqa: PLC0415
    from lingma_cli.server.presence import find_server  # noqa: PLC0415
    from lingma_cli.wiring.background import last_start, no_server  # noqa: PLC0415

    paths = find_paths(os.environ)
    if find_server(paths) is None:
        raise no_server(paths)
    report = describe(find_own_target(config))
    last = last_start(paths)
    is_ours = last is not None and last.pid == report["pid"]
    log = str(paths.background_log) if is_ours else None
    if json:
        output.print_json(report | {"log": log})
    else:
        show(report, [("log", log or "where it was started")])


def logs(*, follow: Follow = False, lines: Lines = 50) -> None:
    """Print the end of the log of the server in the background."""
    from lingma_cli.core.terminal import clean  # noqa: PLC0415 - not for `--help`
    from lingma_cli.wiring.log_file import read  # noqa: PLC0415

    log = find_paths(os.environ).background_log
    for line in read(log, lines, output.wait_for_more if follow else None):
        output.print_text(clean(line))


def _start(config: str | None, flags: dict[str, Any]) -> Start:
    from lingma_cli.wiring.background import Start  # noqa: PLC0415 - not for `--help`

    given = {key: value for key, value in flags.items() if value not in (None, [], ())}
    return Start(config=config, flags=given, folder=str(Path.cwd()))


def _with_fixed_home(environ: Mapping[str, str]) -> dict[str, str]:
    """Return `environ` with a home that stays where it is when the working directory changes."""
    home = environ.get("LINGMA_HOME")
    return {**environ, **({"LINGMA_HOME": str(Path(home).expanduser().absolute())} if home else {})}


def _launch(paths: Paths, start: Start, environ: Mapping[str, str]) -> Launch:
    from lingma_cli.wiring.background import Launch, start_patience  # noqa: PLC0415

    settings = load_settings(paths, start.config, start.flags).settings
    return Launch(
        start=start, settings=settings, environ=environ, patience=start_patience(settings)
    )


def _as_before(paths: Paths, given: Start) -> Start:
    """Return the last start, to be repeated in its own folder; `given` if there was none."""
    from lingma_cli.server.presence import find_server  # noqa: PLC0415
    from lingma_cli.wiring.background import last_start  # noqa: PLC0415

    server, last = find_server(paths), last_start(paths)
    if server is not None and (last is None or last.pid != server.pid):
        raise LingmaError(
            ErrorKind.USAGE,
            f"process {server.pid} was started by `lingma serve`: its options are not known",
            hint="give `lingma gateway restart` the options that it shall have",
        )
    if last is None:
        return given
    try:
        os.chdir(last.folder)
    except OSError as error:
        raise LingmaError(
            ErrorKind.USAGE,
            f"the folder of the last start cannot be used: {last.folder}: {error.strerror}",
            hint="give `lingma gateway restart` the options that it shall have",
        ) from error
    if last.arguments:
        output.say(f"as at the last start: {' '.join(last.arguments)}")
    return last


def _greet(ready: Ready, paths: Paths) -> None:
    from lingma_cli.cli.greeting import Greeter  # noqa: PLC0415
    from lingma_cli.wiring.serve import Listening  # noqa: PLC0415

    greeter = Greeter(output.say, is_terminal=output.is_terminal(sys.stderr))
    # A new key never comes this way: `lingma key show` knows it.
    greeter.greet(
        Listening(url=ready.url, demo=ready.demo, key_required=ready.key_required, new_key=None)
    )
    output.say(f"process   {ready.pid}, until `lingma gateway stop`")
    output.say(f"log       {paths.background_log}")
