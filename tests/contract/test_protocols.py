"""What every registered protocol promises."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lingma_cli.core.chat import ChatRequest
from lingma_cli.core.collect import Collector
from lingma_cli.core.events import BlockDelta, BlockKind, ChatEvent, Failed, Started
from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.protocols.registry import PROTOCOLS
from lingma_cli.protocols.sse import SseReader
from lingma_cli.protocols.wire import WireProtocol
from tests.support.strategies import byte_cuts, cuts, sealed_streams, texts

every_protocol = pytest.mark.parametrize("protocol", PROTOCOLS, ids=lambda one: one.name)

# Tells whether the data of a frame is the last word of a stream that ended well.
GOOD_ENDS: Final[Mapping[str, Callable[[bytes], bool]]] = {
    "openai_chat": lambda frame: frame == b"[DONE]",
    "anthropic_messages": lambda frame: frame == b'{"type":"message_stop"}',
    "openai_responses": lambda frame: frame.startswith(
        (b'{"type":"response.completed"', b'{"type":"response.incomplete"')
    ),
}
# How the data of a frame begins that is the last word of a stream that ended badly.
BAD_ENDS: Final[Mapping[str, bytes]] = {
    "openai_chat": b'{"error"',
    "anthropic_messages": b'{"type":"error"',
    "openai_responses": b'{"type":"response.failed"',
}
# What follows the last word, whichever it is.
END_MARKS: Final[Mapping[str, bytes]] = {"openai_responses": b"data: [DONE]\n\n"}
MINIMAL: Final[Mapping[str, dict[str, Any]]] = {
    "openai_chat": {"model": "m", "messages": [{"role": "user", "content": "hi"}]},
    "anthropic_messages": {"model": "m", "messages": [{"role": "user", "content": "hi"}]},
    "openai_responses": {"model": "m", "input": "hi"},
}

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)


def _written(protocol: WireProtocol, batches: list[list[ChatEvent]], *, usage: bool) -> bytes:
    request = ChatRequest(model="m", messages=(), include_usage=usage)
    encoder = protocol.encoder(request, response_id="x", created=0)
    written = b"".join(encoder.feed(batch) for batch in batches)
    return written.removesuffix(END_MARKS.get(protocol.name, b""))


def _frames(stream: bytes) -> list[bytes]:
    return list(SseReader().feed(stream))


@every_protocol
@given(events=sealed_streams, usage=st.booleans())
def test_a_sealed_stream_ends_once(
    protocol: WireProtocol, events: list[ChatEvent], usage: bool
) -> None:
    """The last frame is the end or the error, no other frame is, and no frame is left open."""
    stream = _written(protocol, [events], usage=usage)
    *body, last = _frames(stream)
    is_good_end, bad_end = GOOD_ENDS[protocol.name], BAD_ENDS[protocol.name]

    assert stream.endswith(b"\n\n")
    assert isinstance(events[-1], Failed) == last.startswith(bad_end) != is_good_end(last)
    assert not any(is_good_end(frame) or frame.startswith(bad_end) for frame in body)


@every_protocol
@given(events=sealed_streams, usage=st.booleans(), data=st.data())
def test_batches_do_not_matter(
    protocol: WireProtocol, events: list[ChatEvent], usage: bool, data: st.DataObject
) -> None:
    """The bytes are the same however the events come."""
    expected = _written(protocol, [events], usage=usage)

    assert expected == _written(protocol, data.draw(cuts(events)), usage=usage)


@every_protocol
@given(events=sealed_streams)
def test_every_frame_is_json(protocol: WireProtocol, events: list[ChatEvent]) -> None:
    """Between the first and the last byte there are only JSON objects and the end mark."""
    frames = _frames(_written(protocol, [events], usage=True))

    for frame in frames:
        assert GOOD_ENDS[protocol.name](frame) or isinstance(json.loads(frame), dict)


@every_protocol
@given(text=texts.filter(bool), kind=st.sampled_from((BlockKind.TEXT, BlockKind.REASONING)))
def test_any_text_is_found_in_the_stream(
    protocol: WireProtocol, text: str, kind: BlockKind
) -> None:
    """Whatever a delta says, a JSON decoder of the other side reads the same."""
    events: list[ChatEvent] = [Started(model="m"), BlockDelta(kind=kind, text=text)]
    frames = _frames(_written(protocol, [events], usage=False))

    assert text in _strings(json.loads(frames[-1]))


def _strings(value: Any) -> list[str]:
    match value:
        case str():
            return [value]
        case dict():
            return [text for item in value.values() for text in _strings(item)]
        case list():
            return [text for item in value for text in _strings(item)]
        case _:
            return []


@every_protocol
@given(events=sealed_streams, data=st.data())
def test_the_callers_reader_sees_the_same_under_any_cut(
    protocol: WireProtocol, events: list[ChatEvent], data: st.DataObject
) -> None:
    """A network may cut the stream at any byte."""
    stream = _written(protocol, [events], usage=True)
    reader = SseReader()
    pieces = data.draw(byte_cuts(stream))

    assert _frames(stream) == [frame for piece in pieces for frame in reader.feed(piece)]


@every_protocol
@given(events=sealed_streams)
def test_any_answer_has_a_body(protocol: WireProtocol, events: list[ChatEvent]) -> None:
    """Each sealed stream folds into one JSON object, an answer or an error."""
    answer = Collector()
    answer.feed(events)

    body = (
        protocol.render([answer], ChatRequest(model="m", messages=()), response_id="x", created=0)
        if answer.error is None
        else protocol.encode_error(answer.error)
    )

    assert isinstance(json.loads(body), dict)


@every_protocol
@pytest.mark.parametrize("kind", ErrorKind)
def test_every_error_has_a_body(protocol: WireProtocol, kind: ErrorKind) -> None:
    """Each kind can be told, with its message in it."""
    assert "what it is" in protocol.encode_error(LingmaError(kind, "what it is")).decode()


def _parsed(protocol: WireProtocol, body: bytes) -> ChatRequest | None:
    try:
        return protocol.parse(body)
    except LingmaError as error:
        kind = error.kind
    assert ErrorKind.INVALID_REQUEST is kind
    return None


@every_protocol
@given(body=st.binary(max_size=60))
def test_any_bytes_are_a_request_or_a_typed_error(protocol: WireProtocol, body: bytes) -> None:
    """Nothing but the one error comes out of the parser."""
    _parsed(protocol, body)


@every_protocol
@given(data=st.data())
def test_any_value_anywhere_is_a_request_or_a_typed_error(
    protocol: WireProtocol, data: st.DataObject
) -> None:
    """A known field may hold anything, and unknown ones too."""
    body = json.loads(json.dumps(MINIMAL[protocol.name]))
    fields = ["messages", "model", "stream", "tools", "tool_choice", "stop", "n", "temperature"]
    for field in data.draw(st.lists(st.sampled_from(fields) | texts, max_size=3)):
        body[field] = data.draw(json_values)

    _parsed(protocol, json.dumps(body).encode())


@every_protocol
@given(extra=st.dictionaries(texts.map("x_{}".format), json_values, max_size=3))
def test_unknown_fields_are_kept(protocol: WireProtocol, extra: dict[str, Any]) -> None:
    """What no one here knows stays in `extras` under the protocol's name."""
    body = json.dumps(MINIMAL[protocol.name] | extra).encode()

    request = protocol.parse(body)

    assert {protocol.name: json.loads(json.dumps(extra))} == request.extras
