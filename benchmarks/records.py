"""Is an answer exactly what its script says?

Owns the check of OpenAI Chat Completions bodies. Must not know sockets or clocks.
"""

from collections.abc import Iterator

import msgspec

from benchmarks.errors import RecordError
from benchmarks.script import Script


class _Delta(msgspec.Struct):
    content: str | None = None


class _Choice(msgspec.Struct):
    delta: _Delta = msgspec.field(default_factory=_Delta)
    message: _Delta = msgspec.field(default_factory=_Delta)
    finish_reason: str | None = None


class _Completion(msgspec.Struct):
    choices: list[_Choice]


_decode = msgspec.json.Decoder(_Completion).decode


def check_stream(body: bytes, script: Script) -> None:
    """Check a whole `text/event-stream` body: one event per chunk, a stop, then `[DONE]`.

    Events without text (the role, the usage) and comments may stand anywhere before the end.

    Raises:
        RecordError: at the first difference.
    """
    expected = iter(enumerate(script.texts()))
    events = _events(body)
    for choice in _choices(events):
        text = choice.delta.content
        if text:
            _check_text(text, next(expected, None))
        if choice.finish_reason is not None:
            _check_stop(choice.finish_reason)
            break
    else:
        raise RecordError("the stream has no finish reason")
    if (missing := next(expected, None)) is not None:
        raise RecordError(f"chunk {missing[0]} is missing")
    if any(choice.delta.content for choice in _choices(events)):
        raise RecordError("text after the finish reason")
    if not body.endswith(b"data: [DONE]\n\n") or body.count(b"[DONE]") != 1:
        raise RecordError("the stream does not end with one `[DONE]`")


def check_completion(body: bytes, script: Script) -> None:
    """Check a whole non-streaming JSON body.

    Raises:
        RecordError: if the text or the finish reason differs.
    """
    choice = _parse(body).choices[0]
    if choice.message.content != "".join(script.texts()):
        raise RecordError(f"the text differs: {choice.message.content!r}")
    _check_stop(choice.finish_reason)


def _events(body: bytes) -> Iterator[bytes]:
    return (
        event.removeprefix(b"data: ")
        for event in body.split(b"\n\n")
        if event and not event.startswith(b":")
    )


def _choices(events: Iterator[bytes]) -> Iterator[_Choice]:
    for event in events:
        if event == b"[DONE]":
            return
        yield from _parse(event).choices


def _check_text(text: str, expected: tuple[int, str] | None) -> None:
    if expected is None:
        raise RecordError(f"an extra chunk: {text!r}")
    position, wanted = expected
    if text != wanted:
        raise RecordError(f"chunk {position} is {text!r}, expected {wanted!r}")


def _check_stop(reason: str | None) -> None:
    if reason != "stop":
        raise RecordError(f"the finish reason is {reason!r}")


def _parse(body: bytes) -> _Completion:
    try:
        return _decode(body)
    except msgspec.DecodeError as error:
        raise RecordError(f"not a chat completion: {body[:200]!r}") from error
