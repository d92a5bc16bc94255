"""What the simulator says: the answer's text, its reasoning, and both in deltas. Pure.

Deterministic: the same prompt, model and turn give the same text.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

from lingma_cli.demo import directives
from lingma_cli.demo.directives import KEYS, Directives
from lingma_cli.demo.models import Model
from lingma_cli.demo.rpc import Params

_USER_TITLE = re.compile(
    r"^[ \t]*(?:#+[ \t]*|\[|<\|?|\*\*)?(?:user|human|用户|now answer this)(?:\]|\|?>|\*\*)?[ \t]*"
    r"(?:[:：][ \t]*|\n)",
    re.IGNORECASE | re.MULTILINE,
)
_QUOTE_LIMIT = 400
_PIECE = 16
_WORD = re.compile(r"\s*\S+|\s+\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One chat/ask as the answer needs it.

    `turn` counts the questions of its session from 1; `received_ms` is the Unix time it came;
    `history` is what the session remembers, each question with its answer.
    """

    request_id: str
    session_id: str
    prompt: str
    model: Model
    turn: int
    received_ms: int
    params: Params
    history: tuple[tuple[str, str], ...] = ()


def prompt_of(params: Params) -> str:
    """Return the prompt: `questionText`, else the texts under other keys in use."""
    context = params.get("chatContext")
    nested = context.get("text") if isinstance(context, dict) else None
    candidates = (params.get("questionText"), nested, params.get("text"), params.get("content"))
    return next((text for text in candidates if isinstance(text, str) and text), "")


def last_user_text(prompt: str) -> str:
    """Return what stands after the last user title of a flattened prompt, without directives."""
    titles = list(_USER_TITLE.finditer(prompt))
    text = prompt[titles[-1].end() :] if titles else prompt
    return directives.strip(text)


def text_of(ask: Ask, wish: Directives) -> str:
    """Return the whole visible answer."""
    text = _plain_text(ask, wish) * wish.repeat
    return text + _marker(wish.marker)


def _plain_text(ask: Ask, wish: Directives) -> str:
    if wish.help:
        return help_text()
    if wish.quote is not None:
        return _quoted(ask, wish.quote)
    if wish.say is not None:
        return wish.say
    if wish.size is not None:
        return _filler(wish.size)
    if wish.echo:
        return last_user_text(ask.prompt)
    if wish.chunks is not None:
        return " ".join(_count(wish.chunks))
    return _greeting(ask)


def _quoted(ask: Ask, what: str) -> str:
    match what:
        case "prompt":
            return ask.prompt
        case "session":
            turns = [{"question": asked, "answer": said} for asked, said in ask.history]
            known = [*turns, {"question": ask.prompt}]
            return json.dumps(known, ensure_ascii=False, indent=2)
        case _:
            return json.dumps(ask.params, ensure_ascii=False, indent=2)


def _count(last: int) -> list[str]:
    return [str(number) for number in range(1, last + 1)]


def _greeting(ask: Ask) -> str:
    said = last_user_text(ask.prompt)
    if len(said) > _QUOTE_LIMIT:
        said = f"{said[:_QUOTE_LIMIT]} … ({len(said)} characters in all)"
    quoted = "\n".join(f"> {line}" for line in said.splitlines()) or "> (nothing)"
    # An answer comes back in the history of the next prompt, so it must not hold a directive.
    return (
        "This is the demo Lingma, a simulator: no model was asked."
        f" The last message that reached it was:\n\n{quoted}\n\n"
        f"(model {ask.model.name}, turn {ask.turn}; `demo: help` between double square brackets"
        " lists what it can play)"
    )


def help_text() -> str:
    """List the directive keys."""
    lines = "\n".join(f"- `{key.name}`: {key.meaning}" for key in KEYS)
    return (
        "Put `demo: key=value …` between double square brackets anywhere in the prompt;"
        f" the last such block counts. Keys:\n\n{lines}"
    )


def _filler(size: int) -> str:
    line = "The quick brown fox jumps over the lazy dog and writes sixty-four.\n"
    return (line * (size // len(line) + 1))[:size]


def _marker(marker: str | None) -> str:
    match marker:
        case "tool":
            return '\n```toolCall::read_file::call_demo_1::FINISHED\n{"file_path":"a.txt"}\n```\n'
        case "edit":
            return "\n```python|CODE_EDIT_BLOCK|src/app.py\nprint('demo')\n```\n"
        case _:
            return ""


def reasoning_of(ask: Ask, wish: Directives) -> tuple[str, str]:
    """Return the form of the reasoning (`none` for none) and its text."""
    form = wish.think or ("push" if ask.model.is_reasoning or wish.thought else "none")
    return form, wish.thought or f"The simulator considers {len(ask.prompt)} characters."


def inline_reasoning(form: str, thought: str) -> str:
    """Render reasoning that travels inside the answer's text, before it."""
    match form:
        case "tags":
            return f"<think>\n{thought}\n</think>\n\n"
        case "block":
            # quirk: the placeholder is sent unfilled by some builds
            return f"\n````think::{{THINK_TIME}}\n{thought}\n````\n"
        case "timed":
            return f"\n````think::7\n{thought}\n````\n"
        case _:
            return ""


def deltas(text: str, wish: Directives) -> Iterator[str]:
    """Split a text into deltas: N of them, of N characters, by the cut, or by words."""
    split = wish.split or (wish.cut if not wish.chunks else None)
    if wish.chunks and not wish.split:
        yield from _even(text, wish.chunks)
    elif split:
        for start in range(0, len(text), split):
            yield text[start : start + split]
    else:
        yield from _words(text)


def _even(text: str, count: int) -> Iterator[str]:
    numbers = _count(count)
    if text == " ".join(numbers):
        yield from (f" {number}" if index else number for index, number in enumerate(numbers))
        return
    for index in range(count):
        yield text[len(text) * index // count : len(text) * (index + 1) // count]


def _words(text: str) -> Iterator[str]:
    piece = ""
    for word in _WORD.finditer(text):
        piece += word[0]
        if len(piece) >= _PIECE:
            yield piece
            piece = ""
    if piece:
        yield piece
