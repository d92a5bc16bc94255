"""`lingma chat`: one question, or a conversation at the terminal."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from lingma_cli.cli import output
from lingma_cli.cli.options import ConfigFile, Json, Url
from lingma_cli.errors import ErrorKind, LingmaError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lingma_cli.client import Client
    from lingma_cli.protocols.client.openai_chat import Turn
    from lingma_cli.repl.ask import Reply
    from lingma_cli.repl.view import Screen

Question = Annotated[
    list[str] | None,
    typer.Argument(metavar="QUESTION", help="what to ask; a pipe's text is put after it"),
]
ModelName = Annotated[
    str, typer.Option("--model", metavar="MODEL", help="model to ask; default: the server's")
]
System = Annotated[
    str, typer.Option("--system", metavar="TEXT", help="instructions put before the conversation")
]


def chat(
    question: Question = None,
    *,
    model: ModelName = "",
    system: System = "",
    url: Url = None,
    config: ConfigFile = None,
    json: Json = False,
) -> None:
    """Ask the running server; without a question, converse."""
    text = _question(question or ())
    _check(text, json=json)
    opening = _opening(system)
    from lingma_cli.cli.target import find_target  # noqa: PLC0415 - not for `--help`

    with find_target(url, config).connect() as client:
        if text is None:
            _converse(client, opening, model)
        else:
            _answer(client, (*opening, _user(text)), model, json=json)


def _question(words: Sequence[str]) -> str | None:
    """Return the words and the piped text, `None` for a conversation at the terminal."""
    parts = [_encodable(" ".join(words))] if words else []
    if not output.is_terminal(sys.stdin):
        parts.append(sys.stdin.read() if sys.stdin is not None else "")
    elif not words:
        return None
    return "\n\n".join(part for part in parts if part.strip())


def _encodable(text: str) -> str:
    # Arguments may hold bytes that are no text at all.
    return text.encode(errors="replace").decode()


def _check(text: str | None, *, json: bool) -> None:
    if text == "" or (text is None and json):
        raise LingmaError(
            ErrorKind.USAGE,
            "there is no question",
            hint='ask like `lingma chat "what is a monad?"` or through a pipe',
        )


def _opening(system: str) -> tuple[Turn, ...]:
    from lingma_cli.core.chat import Role  # noqa: PLC0415
    from lingma_cli.protocols.client.openai_chat import Turn  # noqa: PLC0415

    return (Turn(role=Role.SYSTEM, text=_encodable(system)),) if system else ()


def _user(text: str) -> Turn:
    from lingma_cli.core.chat import Role  # noqa: PLC0415
    from lingma_cli.protocols.client.openai_chat import Turn  # noqa: PLC0415

    return Turn(role=Role.USER, text=text)


def _screen() -> Screen:
    from lingma_cli.repl.view import Screen  # noqa: PLC0415

    return Screen(
        out=sys.stdout,
        is_terminal=output.is_terminal(sys.stdout),
        has_style=output.has_style(sys.stdout, os.environ),
    )


def _answer(client: Client, turns: Sequence[Turn], model: str, *, json: bool) -> None:
    from lingma_cli.repl.ask import Reply, ask  # noqa: PLC0415
    from lingma_cli.repl.view import AnswerView  # noqa: PLC0415

    reply = Reply()
    ask(partial(client.chat, model=model), turns, reply, None if json else AnswerView(_screen()))
    if json:
        output.print_json(_as_json(reply))
        return
    for note in reply.remarks():
        output.say(f"note: {note}", dim=True)


def _as_json(reply: Reply) -> dict[str, object]:
    collected = reply.collected
    usage, finished = collected.usage, collected.finished
    return {
        "answer": collected.text(),
        "model": collected.model,
        "finish_reason": finished.reason.value if finished else None,
        "usage": {"input_tokens": usage.input_tokens, "output_tokens": usage.output_tokens}
        if usage
        else None,
        "notes": list(reply.notes),
    }


def _converse(client: Client, opening: Sequence[Turn], model: str) -> None:
    from lingma_cli.repl.loop import HELP, Loop  # noqa: PLC0415

    client.health()
    output.say(HELP, dim=True)
    loop = Loop(
        partial(client.chat, model=model),
        _screen(),
        opening=opening,
        say=partial(output.say, dim=True),
        say_error=output.say_error,
    )
    loop.run(_read_line)


def _read_line() -> str:
    with suppress(ImportError):
        import readline  # noqa: F401, PLC0415 - importing it gives `input` its line editing
    if output.is_terminal(sys.stdout):
        return input("> ")
    print("> ", end="", file=sys.stderr, flush=True)
    return input()
