"""The record checker: right answers pass, every kind of damage is found."""

from collections.abc import Callable

import pytest

from benchmarks.errors import RecordError
from benchmarks.frames import completion, sse_stream
from benchmarks.records import check_completion, check_stream
from benchmarks.script import Script

SCRIPT = Script(stream=7, chunks=5, rate=0)
OTHER = Script(stream=8, chunks=5, rate=0)


def parts(script: Script = SCRIPT) -> list[bytes]:
    """The role, five chunks and the end of a right stream."""
    role, chunks, end = sse_stream(script)
    return [role, *chunks, end]


def without(position: int) -> list[bytes]:
    return parts()[:position] + parts()[position + 1 :]


def merged() -> list[bytes]:
    first, second = SCRIPT.texts()[:2]
    joined = (first + second).encode()
    return [parts()[0], parts()[1].replace(first.encode(), joined), *parts()[3:]]


DAMAGES: dict[str, tuple[str, Callable[[], list[bytes]]]] = {
    "first chunk missing": ("chunk 0 is", lambda: without(1)),
    "chunk missing": ("chunk 2 is", lambda: without(3)),
    "last chunk missing": ("chunk 4 is missing", lambda: without(5)),
    "chunks reordered": ("chunk 1 is", lambda: [parts()[i] for i in (0, 1, 3, 2, 4, 5, 6)]),
    "chunk doubled": ("chunk 2 is", lambda: [*parts()[:3], *parts()[2:]]),
    "last chunk doubled": ("an extra chunk", lambda: [*parts()[:6], *parts()[5:]]),
    "chunk of another stream": ("chunk 2 is", lambda: parts()[:3] + parts(OTHER)[3:]),
    "chunks merged": ("chunk 0 is", merged),
    "text corrupted": ("chunk 3 is", lambda: [p.replace(b"s7.3", b"s7.8") for p in parts()]),
    "character damaged": (
        "chunk 0 is",
        lambda: [p.replace("流".encode(), b"?") for p in parts()],
    ),
    "event cut": ("not a chat completion", lambda: [p[:-9] + b"\n\n" for p in parts()]),
    "error event": (
        "not a chat completion",
        lambda: [*parts()[:3], b'data: {"error": {"message": "gone"}}\n\n'],
    ),
    "cut before the end": ("no finish reason", lambda: parts()[:-1]),
    "other finish reason": (
        "finish reason is 'length'",
        lambda: [p.replace(b'"stop"', b'"length"') for p in parts()],
    ),
    "text after the end": (
        "text after",
        lambda: [*parts()[:-1], parts()[-1].partition(b"data: [DONE]")[0], *parts()[1:]],
    ),
    "end mark missing": (
        "`[DONE]`",
        lambda: [p.replace(b"data: [DONE]\n\n", b"") for p in parts()],
    ),
    "end mark doubled": ("`[DONE]`", lambda: [*parts(), b"data: [DONE]\n\n"]),
    "nothing": ("no finish reason", list),
}


def test_a_right_stream_passes() -> None:
    """Comments, a role, usage and all chunks in order are accepted."""
    usage = b'data: {"choices":[],"usage":{"total_tokens":3}}\n\n'
    body = b": ping\n\n" + b"".join(parts())

    check_stream(body.replace(b"data: [DONE]", usage + b"data: [DONE]"), SCRIPT)


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_stream_is_refused(damage: str) -> None:
    """Each damage is found and named."""
    expected, damaged = DAMAGES[damage]
    body = b"".join(damaged())

    with pytest.raises(RecordError, match=expected.replace("[", r"\[").replace("]", r"\]")):
        check_stream(body, SCRIPT)


def test_a_right_completion_passes() -> None:
    """The joined text with a stop is accepted."""
    check_completion(completion(SCRIPT), SCRIPT)


@pytest.mark.parametrize(("old", "new"), [(b"s7.3", b"s7.4"), (b'"stop"', b"null"), (b"{", b"")])
def test_a_damaged_completion_is_refused(old: bytes, new: bytes) -> None:
    """Other text, no finish reason and broken JSON are found."""
    with pytest.raises(RecordError):
        check_completion(completion(SCRIPT).replace(old, new), SCRIPT)
