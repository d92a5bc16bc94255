"""The program: its commands, and what becomes of whatever they raise."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Final, cast

import typer

from lingma_cli import __version__
from lingma_cli.cli import (
    account,
    chat,
    completion,
    config,
    engine,
    executable,
    gateway,
    gpu,
    import_env,
    key,
    login,
    models,
    outline,
    output,
    serve,
    session,
    status,
    version,
)
from lingma_cli.cli.usage import explain
from lingma_cli.errors import FACES, LingmaError
from lingma_cli.secret import Redactor

Command = Callable[..., None]

PROGRAM: Final = "lingma"
COMMANDS: Final[tuple[tuple[str, Command], ...]] = (
    ("serve", serve.serve),
    ("chat", chat.chat),
    ("models", models.models),
    ("status", status.status),
    ("gpu", gpu.gpu),
    ("gateway start", gateway.start),
    ("gateway stop", gateway.stop),
    ("gateway restart", gateway.restart),
    ("gateway status", gateway.status),
    ("gateway logs", gateway.logs),
    ("engine list", engine.list_),
    ("engine add", engine.add),
    ("engine start", engine.start),
    ("engine stop", engine.stop),
    ("engine drain", engine.drain),
    ("engine restart", engine.restart),
    ("engine remove", engine.remove),
    ("engine prune", engine.prune),
    ("engine logs", engine.logs),
    ("engine install", executable.install),
    ("engine update", executable.update),
    ("engine rollback", executable.rollback),
    ("engine verify", executable.verify),
    ("engine path", executable.path),
    ("engine versions", executable.versions),
    ("login", login.login),
    ("logout", login.logout),
    ("whoami", login.whoami),
    ("account list", account.list_),
    ("account use", account.use),
    ("account rename", account.rename),
    ("account remove", account.remove),
    ("account test", account.try_),
    ("account thaw", account.thaw),
    ("session export", session.export),
    ("session import", session.import_),
    ("session list", session.list_),
    ("session inspect", session.inspect),
    ("session remove", account.remove),
    ("key show", key.show),
    ("config show", config.show),
    ("config import-env", import_env.import_env),
    ("completion", completion.completion),
    ("version", version.version),
)
GROUPS: Final = (
    ("gateway", "The server in the background."),
    ("engine", "The engines of the server, and the Lingma executable."),
    ("account", "The accounts of this machine."),
    ("session", "Logins as bundles: out of this machine and into it."),
    ("key", "The keys of this machine's server."),
    ("config", "The settings that count here."),
)

# Typer brings its parser's errors along but names only one of them; the others share its parent.
_UsageError: Final = cast("type[typer.BadParameter]", typer.BadParameter.__bases__[0])


def build() -> Any:
    """Return the command tree, in the form of Typer's parser."""
    app = _typer(
        help_="A local proxy to your own Tongyi Lingma account, for OpenAI and Anthropic tools."
    )
    app.callback()(_root)
    groups = {name: _typer(help_=help_) for name, help_ in GROUPS}
    for words, command in COMMANDS:
        parent, _, name = words.rpartition(" ")
        (groups[parent] if parent else app).command(name)(command)
    for name, group in groups.items():
        app.add_typer(group, name=name)
    return typer.main.get_command(app)


def tree() -> outline.Command:
    """Return the command tree as plain values."""
    return outline.outline(build())


def _typer(*, help_: str) -> typer.Typer:
    return typer.Typer(
        help=help_, add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False
    )


def _show_version(value: bool) -> None:  # noqa: FBT001 - the shape of a Typer callback
    if value:
        output.print_text(f"{PROGRAM} {__version__}")
        raise typer.Exit


def _root(
    *,
    version: Annotated[
        bool,
        typer.Option(
            "--version", "-V", help="show the version", callback=_show_version, is_eager=True
        ),
    ] = False,
) -> None:
    del version


def run(arguments: Sequence[str]) -> int:
    """Run the program and return its exit code; nothing is raised."""
    output.prepare_streams()
    try:
        code = _invoke(list(arguments) or ["--help"])
        print(end="", flush=True)
    except LingmaError as error:
        return _fail(error)
    except _UsageError as error:
        return _fail(explain(error, PROGRAM))
    except (KeyboardInterrupt, typer.Abort):
        return output.EXIT_INTERRUPTED
    except BrokenPipeError:
        output.silence_stdout()
        return output.EXIT_READER_LEFT
    except OSError as error:
        output.silence_stdout()
        return _unexpected(error)
    except Exception as error:  # noqa: BLE001 - the last place that can turn it into a sentence
        return _unexpected(error)
    return code


def _invoke(arguments: list[str]) -> int:
    command = build()
    try:
        with command.make_context(PROGRAM, arguments) as context:
            command.invoke(context)
    except typer.Exit as leaving:
        return leaving.exit_code
    return 0


def _fail(error: LingmaError) -> int:
    output.say_error(error)
    return FACES[error.kind].exit_code


def _unexpected(error: Exception) -> int:
    redact = Redactor()
    output.say(f"error: unexpected {type(error).__name__}: {redact(str(error))}")
    if os.environ.get("LINGMA_TRACEBACK"):
        output.say(redact("".join(traceback.format_exception(error))))
    else:
        output.say("\nhint: run it again with `LINGMA_TRACEBACK=1` and report what it shows")
    return output.EXIT_UNEXPECTED
