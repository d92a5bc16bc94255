"""`lingma engine list`, `add`, `start` …: the engines of this home's server, be it running or not.

The Lingma executable has its commands in `executable`.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from lingma_cli.cli import output
from lingma_cli.cli.engine_rows import LEFT_OUT, of_entry, of_running, print_table
from lingma_cli.cli.gateway import Follow, Lines
from lingma_cli.cli.home_engines import home_engines, running_engines
from lingma_cli.cli.moments import duration
from lingma_cli.cli.options import ConfigFile, Json, load_settings
from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.paths import Paths, find_paths

if TYPE_CHECKING:
    from lingma_cli.client.engines import ControlPlane, EngineInfo
    from lingma_cli.control.persisted import Entry

_POLL_SECONDS: Final = 0.25
_SHOWN_LINES: Final = 20

Named = Annotated[str, typer.Argument(metavar="ENGINE", help="its id, see `lingma engine list`")]
EngineUrl = Annotated[
    str, typer.Argument(metavar="URL", help="where it listens, with or without `/v1`")
]
StartModel = Annotated[
    str, typer.Argument(metavar="MODEL", help="a file or a name, as the program takes it")
]
Extra = Annotated[
    list[str] | None,
    typer.Argument(metavar="-- EXTRA", help="further arguments for the program, as they are"),
]
NewId = Annotated[
    str | None, typer.Option("--id", metavar="ID", help="its id; default: made from the URL")
]
OneModel = Annotated[
    str | None,
    typer.Option("--model", metavar="MODEL", help="the one to offer; default: all it lists"),
]
Kind = Annotated[
    str, typer.Option("--kind", metavar="llm|embedding", help="what it is for [default: llm]")
]
StartKind = Annotated[
    str,
    typer.Option("--engine-kind", metavar="llm|embedding", help="what it is for [default: llm]"),
]
KeyRef = Annotated[
    str | None,
    typer.Option(
        "--api-key-ref", metavar="REF", help="where its key is: `env:NAME` or `file:PATH`"
    ),
]
Limit = Annotated[
    int,
    typer.Option("--limit", metavar="INTEGER", min=0, help="requests at a time; 0 for any number"),
]
Label = Annotated[
    list[str] | None,
    typer.Option("--label", metavar="KEY=VALUE", help="what else you want to know of it; repeat"),
]
StartPort = Annotated[
    int,
    typer.Option(
        "--engine-port", metavar="INTEGER", min=0, max=65535, help="port; 0 for any that is free"
    ),
]
StartLabel = Annotated[
    str | None,
    typer.Option(
        "--engine-label", metavar="NAME", help="what clients call the model; default: its own name"
    ),
]
TemplateName = Annotated[
    str | None,
    typer.Option(
        "--template",
        metavar="llama.cpp|vllm|sglang|ollama",
        help="the program, or a template of the settings file [default: what fits the model]",
    ),
]
NoWait = Annotated[bool, typer.Option("--no-wait", help="do not wait until it is ready")]
Timeout = Annotated[
    float | None,
    typer.Option(
        "--timeout",
        metavar="SECONDS",
        min=0,
        help="seconds for its answers under way; default: the server's `engine_drain_timeout`",
    ),
]


def list_(*, json: Json = False, config: ConfigFile = None) -> None:
    """List the engines; without a running server those that its next start brings back."""
    with home_engines(config) as engines:
        rows, is_running = engines.rows(), engines.plane is not None
    if json:
        output.print_json(rows)
    elif rows:
        print_table(rows)
    else:
        output.say("there is no engine; run `lingma engine add` or `lingma engine start`")
    if rows and not is_running:
        output.say("note: no server runs here, so these are the ones that were added", dim=True)
    if any(row["state"] == LEFT_OUT for row in rows):
        output.say(
            "note: what is left out was added, but not taken up by the running server: its log "
            "says why",
            dim=True,
        )


def add(  # noqa: PLR0913 - each is an option
    url: EngineUrl,
    *,
    id: NewId = None,  # noqa: A002 - the option's name
    model: OneModel = None,
    kind: Kind = "llm",
    api_key_ref: KeyRef = None,
    limit: Limit = 0,
    label: Label = None,
    json: Json = False,
    config: ConfigFile = None,
) -> None:
    """Add an OpenAI-compatible server to the engines, for now and for later starts."""
    from lingma_cli.client.engines import answers  # noqa: PLC0415 - not for `--help`
    from lingma_cli.wiring.engine_book import Wish, http_entry  # noqa: PLC0415

    wish = Wish(id=id or "", kind=kind, limit=limit, labels=label or ())
    with home_engines(config) as engines:
        entry = http_entry(
            url,
            wish,
            model=model or "",
            api_key_ref=api_key_ref or "",
            taken=engines.taken(),
            folder=Path.cwd(),
        )
        engine = engines.add(entry)
    if not answers(entry.url):
        output.warn(f"nothing answers at `{entry.url}` now; it is asked again until it does")
    _tell(f"added `{entry.id}`, {entry.url}", entry, engine, json=json)


def start(  # noqa: PLR0913 - each is an option
    model: StartModel,
    extra: Extra = None,
    *,
    engine_kind: StartKind = "llm",
    engine_port: StartPort = 0,
    engine_label: StartLabel = None,
    template: TemplateName = None,
    limit: Limit = 0,
    no_wait: NoWait = False,
    json: Json = False,
    config: ConfigFile = None,
) -> None:
    """Start a server for a model and add it to the engines; it ends with ours."""
    paths = find_paths(os.environ)
    settings = load_settings(paths, config).settings
    from lingma_cli.wiring import engine_book  # noqa: PLC0415 - not for `--help`

    settled = engine_book.settled_model(model, Path.cwd())
    if template is None:
        template = engine_book.guess_template(settled, settings, os.environ)
        output.say(f"template  {template}")
    wish = engine_book.StartWish(
        kind=engine_kind,
        limit=limit,
        template=template,
        label=engine_label or "",
        port=engine_port,
        extra=tuple(extra or ()),
    )
    with home_engines(config) as engines:
        entry = engine_book.managed_entry(settled, wish, settings, taken=engines.taken())
        engine = engines.start(entry)
        if engines.plane is not None and not no_wait:
            engine = _awaited(engines.plane, paths, entry.id)
    is_ready = engine is not None and engine.state == "READY"
    state = "is ready" if is_ready else "is to be started"
    _tell(f"`{entry.id}` {state}", entry, engine, json=json)


def stop(engine: Named, *, config: ConfigFile = None) -> None:
    """Stop an engine after its answers under way; one that was added stays so until `restart`."""
    _stop(engine, None, config)
    output.say(f"`{engine}` has stopped; `lingma engine restart {engine}` brings it back")


def drain(engine: Named, *, timeout: Timeout = None, config: ConfigFile = None) -> None:
    """Send an engine no more requests, and stop it when its answers are out."""
    _stop(engine, timeout, config)
    output.say(f"`{engine}` is drained; `lingma engine restart {engine}` brings it back")


def restart(engine: Named, *, config: ConfigFile = None) -> None:
    """Start an engine again, be it one that runs, has failed or was stopped."""
    with running_engines(config) as (engines, plane):
        meant = plane.find(engine)
        plane.restart(meant.engine_id)
        engines.mark(meant, stopped=False)
    output.say(f"`{engine}` is being started again")


def remove(engine: Named, *, config: ConfigFile = None) -> None:
    """Forget an engine that was added, also when no server runs."""
    with home_engines(config) as engines:
        engines.remove(engine)
    output.say(f"removed `{engine}`")


def prune(*, config: ConfigFile = None) -> None:
    """Forget the added engines that have stopped or failed."""
    with running_engines(config) as (engines, plane):
        count = engines.prune(plane)
    output.say(f"removed {count} engine{'' if count == 1 else 's'}")


def logs(engine: Named, *, follow: Follow = False, lines: Lines = 50) -> None:
    """Print the end of what a server that was started for an engine has printed."""
    from lingma_cli.core.terminal import clean  # noqa: PLC0415 - not for `--help`, all below
    from lingma_cli.secret import Redactor  # noqa: PLC0415
    from lingma_cli.wiring.engine_book import output_file  # noqa: PLC0415
    from lingma_cli.wiring.log_file import read  # noqa: PLC0415

    file = output_file(find_paths(os.environ), engine)
    if not file.is_file():
        raise LingmaError(
            ErrorKind.NOT_FOUND,
            f"no server has printed anything for an engine `{engine}` here",
            hint="only what `lingma engine start` has started has a log; see `lingma engine list`",
        )
    redact = Redactor()
    for line in read(file, lines, output.wait_for_more if follow else None):
        output.print_text(clean(redact(line)))


def _stop(name: str, within: float | None, config: str | None) -> None:
    with running_engines(config) as (engines, plane):
        meant = plane.find(name)
        plane.drain(meant.engine_id, within)
        engines.mark(meant, stopped=True)


def _awaited(plane: ControlPlane, paths: Paths, id_: str) -> EngineInfo:
    """Wait until an engine is ready.

    Raises:
        LingmaError: it has failed; what its server said last has been shown.
    """
    begun = time.monotonic()
    try:
        with _progress() as show:
            while True:
                engine = plane.find(id_)
                if engine.state == "READY":
                    return engine
                # One that is tried again still says what went wrong before.
                if engine.state != "STARTING" or engine.last_error:
                    break
                show(f"{id_}: starting, {duration(int(time.monotonic() - begun))}")
                time.sleep(_POLL_SECONDS)
    except KeyboardInterrupt:
        output.say(f"`{id_}` goes on starting; look with `lingma engine list`")
        raise
    from lingma_cli.wiring.engine_book import printed  # noqa: PLC0415 - rarely needed

    for line in printed(paths, id_, _SHOWN_LINES):
        output.say(f"| {line}", dim=True)
    raise LingmaError(
        ErrorKind.ENGINE_UNAVAILABLE,
        engine.last_error or f"the engine `{id_}` did not get ready: {engine.reason}",
        hint=f"it is tried again, ever more slowly; `lingma engine remove {id_}` ends that",
    )


@contextmanager
def _progress() -> Iterator[Callable[[str], None]]:
    """Give what shows a line on stderr that goes when this ends, if that is a terminal."""
    if not output.is_terminal(sys.stderr):
        yield lambda _: None
        return
    from rich.console import Console

    with Console(stderr=True).status("") as status:
        yield status.update


def _tell(what: str, entry: Entry, engine: EngineInfo | None, *, json: bool) -> None:
    if json:
        output.print_json(of_entry(entry) if engine is None else of_running(engine))
    later = ""
    if engine is None:
        later = "; `lingma serve` takes it up when it starts"
    elif not engine.remembered:
        later = (
            "; the running server has it for this run, and so has the next one that asks for an "
            "admin token"
        )
    output.say(f"{what}{later}")
