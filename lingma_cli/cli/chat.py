"""`lingma chat`: one question, or a conversation at the terminal."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from lingma_cli.cli import output
from lingma_cli.cli.options import ConfigFile, Json, Url
from lingma_cli.errors import ErrorKind, LingmaError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from lingma_cli.client.server import Client
    from lingma_cli.repl.ask import Reply
    from lingma_cli.repl.attach import Attachment
    from lingma_cli.repl.conversation import Conversation
    from lingma_cli.repl.view import Screen

T = TypeVar("T")

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
Files = Annotated[
    list[str] | None,
    typer.Option(
        "--file",
        "-f",
        metavar="FILE",
        help="text file put after the question, `-` for standard input; may be repeated",
    ),
]
Continue = Annotated[
    bool, typer.Option("--continue", "-c", help="go on with the last conversation")
]
NoHistory = Annotated[
    bool, typer.Option("--no-history", help="store neither what is typed nor the conversation")
]


def chat(  # noqa: PLR0913 - one parameter for each option
    question: Question = None,
    *,
    model: ModelName = "",
    system: System = "",
    file: Files = None,
    resume: Continue = False,
    no_history: NoHistory = False,
    url: Url = None,
    config: ConfigFile = None,
    json: Json = False,
) -> None:
    """Ask the running server; without a question, converse."""
    files = file or []
    text = _question(question or (), takes_stdin="-" not in files)
    _check(text, json=json)
    attachments = _attachments(files)
    before = _conversation(resume=resume, model=_encodable(model), system=_encodable(system))
    from lingma_cli.cli.target import find_target  # noqa: PLC0415 - not for `--help`

    with find_target(url, config).connect() as client:
        if text is None:
            _converse(client, before, attachments, stores=not no_history)
        else:
            _answer(client, before, _full(text, attachments), json=json, stores=not no_history)


def _question(words: Sequence[str], *, takes_stdin: bool) -> str | None:
    """Return the words and the piped text, `None` for a conversation at the terminal."""
    parts = [_encodable(" ".join(words))] if words else []
    if not output.is_terminal(sys.stdin):
        parts.append(sys.stdin.read() if sys.stdin is not None and takes_stdin else "")
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


def _attachments(files: Sequence[str]) -> tuple[Attachment, ...]:
    from lingma_cli.repl.attach import attach  # noqa: PLC0415

    is_piped = sys.stdin is not None and not output.is_terminal(sys.stdin)
    return attach(files, sys.stdin.buffer if is_piped else None)


def _full(question: str, attachments: Sequence[Attachment]) -> str:
    from lingma_cli.repl.attach import with_attachments  # noqa: PLC0415

    return with_attachments(question, attachments)


def _conversation(*, resume: bool, model: str, system: str) -> Conversation:
    from lingma_cli.repl.conversation import Conversation  # noqa: PLC0415
    from lingma_cli.repl.store import ConversationFile  # noqa: PLC0415

    last = ConversationFile(_last_conversation()).load() if resume else Conversation()
    return replace(last, model=model or last.model, system=system or last.system)


def _last_conversation() -> Path:
    return _state() / "chat-last.json"


def _state() -> Path:
    from lingma_cli.paths import find_paths  # noqa: PLC0415

    return find_paths(os.environ).state


def _keep(*, stores: bool) -> Callable[[Conversation], None]:
    from lingma_cli.repl.store import ConversationFile  # noqa: PLC0415

    return _forgiving(ConversationFile(_last_conversation()).save) if stores else _forget


def _forget(_: object) -> None:
    """Store nothing."""


def _forgiving(store: Callable[[T], object]) -> Callable[[T], None]:
    """Return `store`, for which a full disk is no reason to end a conversation."""

    def attempt(value: T) -> None:
        try:
            store(value)
        except LingmaError as error:
            output.say(f"note: {error.message}", dim=True)

    return attempt


def _screen() -> Screen:
    from lingma_cli.repl.view import Screen  # noqa: PLC0415

    return Screen(
        out=sys.stdout,
        is_terminal=output.is_terminal(sys.stdout),
        has_style=output.has_style(sys.stdout, os.environ),
    )


def _answer(
    client: Client, before: Conversation, question: str, *, json: bool, stores: bool
) -> None:
    from lingma_cli.repl.ask import Reply, ask  # noqa: PLC0415
    from lingma_cli.repl.view import PlainView  # noqa: PLC0415

    reply = Reply()
    view = None if json else PlainView(_screen())
    ask(partial(client.chat, model=before.model), before.ask(question), reply, view)
    if json:
        output.print_json(_as_json(reply))
    else:
        for note in reply.remarks():
            output.say(f"note: {note}", dim=True)
    _keep(stores=stores)(before.answered(question, reply))


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


def _converse(
    client: Client, before: Conversation, attachments: Sequence[Attachment], *, stores: bool
) -> None:
    from lingma_cli.repl.loop import WELCOME, converse  # noqa: PLC0415
    from lingma_cli.repl.session import Session, Surroundings  # noqa: PLC0415
    from lingma_cli.repl.view import MarkdownView, PlainView  # noqa: PLC0415

    client.health()
    screen = _screen()
    around = Surroundings(
        say=output.say,
        remark=partial(output.say, dim=True),
        say_error=output.say_error,
        new_view=partial(MarkdownView if screen.has_style else PlainView, screen),
        keep=_keep(stores=stores),
        now=lambda: datetime.now().astimezone(),
    )
    around.remark(WELCOME)
    _tell(before, attachments)
    session = Session(client, before, around, attachments)
    converse(session, _reader(stores=stores), around, sys.stdin)


def _tell(before: Conversation, attachments: Sequence[Attachment]) -> None:
    if before.questions:
        older = f", {before.left_out} older ones are not known any more" if before.left_out else ""
        output.say(f"questions so far: {before.questions}{older}; the last one:", dim=True)
        output.say(f"  {_shortened(before.last_question)}", dim=True)
    for attachment in attachments:
        output.say(f"goes with the next question: {attachment.name}", dim=True)


def _shortened(text: str, limit: int = 70) -> str:
    line = " ".join(text.split())
    return line if len(line) <= limit else f"{line[: limit - 1]}…"


def _reader(*, stores: bool) -> Callable[[], str]:
    from lingma_cli.repl.editor import Editor  # noqa: PLC0415
    from lingma_cli.repl.store import History  # noqa: PLC0415

    history = History(_state() / "chat-history.jsonl")
    editor = Editor(
        sys.stdout if output.is_terminal(sys.stdout) else sys.stderr,
        history=history.load() if stores else (),
        remember=_forgiving(history.add) if stores else _forget,
    )
    return editor.read
