"""Many wild engines, one for each seed: what clients get is lawful, and says the same in each form.

Each play goes through the whole gateway and out in each protocol. `LINGMA_TEST_STREAMS` says how
many there are, `LINGMA_TEST_FIRST_STREAM` which seed is the first; a failure tells its seed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, Final, NamedTuple, Protocol

import pytest

from lingma_cli.core.chat import ChatRequest
from lingma_cli.core.collect import Block, Collector
from lingma_cli.core.events import (
    BlockDelta,
    BlockKind,
    BlockOpened,
    ChatEvent,
    Failed,
    Finished,
    Started,
    UsageReported,
)
from lingma_cli.core.grammar import Seal
from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.gateway.pipeline import ToolOptions
from lingma_cli.protocols import anthropic_messages, custom_tools, openai_chat, openai_responses
from lingma_cli.protocols.client import anthropic_messages as anthropic_client
from lingma_cli.protocols.client import openai_chat as chat_client
from lingma_cli.protocols.client import openai_responses as responses_client
from lingma_cli.protocols.openai_chat_parse import LEGACY
from lingma_cli.protocols.wire import WireProtocol
from tests.support import wire_grammar
from tests.support.house import House
from tests.support.plain_streams import Play, play
from tests.support.scripted_engine import Script, ScriptedEngine
from tests.support.strategies import seal
from tests.support.virtual_time import run
from tests.support.wire_grammar import Violation, bodies
from tests.support.wire_grammar.bodies import Said

STREAMS: Final = int(os.environ.get("LINGMA_TEST_STREAMS", "10000"))
FIRST: Final = int(os.environ.get("LINGMA_TEST_FIRST_STREAM", "0"))
AT_ONCE: Final = 1000
BUSY: Final = LingmaError(ErrorKind.OVERLOADED, "busy")
TEXT, TOOL_CALL = BlockKind.TEXT, BlockKind.TOOL_CALL


class Decoder(Protocol):
    """What reads a stream on the caller's side."""

    def feed(self, chunk: bytes) -> Iterable[ChatEvent]:
        """Return the events that `chunk` completes."""
        ...


class Form(NamedTuple):
    """A protocol, what checks its streams, our own client, and a reader of its bodies."""

    protocol: WireProtocol
    check: Callable[[bytes, ChatRequest], list[Violation]]
    decoder: Callable[[], Decoder]
    read_body: Callable[[dict[str, Any]], bodies.Whole]


class Heard(NamedTuple):
    """One answer as it leaves the gateway: in batches, and collected."""

    batches: list[Sequence[ChatEvent]]
    answer: Collector


FORMS: Final = (
    Form(
        openai_chat.PROTOCOL,
        lambda stream, request: wire_grammar.chat(
            stream, choices=request.choices, include_usage=request.include_usage
        ),
        chat_client.Decoder,
        bodies.chat_body,
    ),
    Form(
        openai_responses.PROTOCOL,
        lambda stream, request: wire_grammar.responses(stream),
        responses_client.Decoder,
        bodies.responses_body,
    ),
    Form(
        anthropic_messages.PROTOCOL,
        lambda stream, request: wire_grammar.messages(stream, thinking=request.show_reasoning),
        anthropic_client.Decoder,
        bodies.messages_body,
    ),
)


@pytest.mark.parametrize("first", range(FIRST, FIRST + STREAMS, AT_ONCE))
def test_streams_are_lawful_and_say_the_same(first: int) -> None:
    """No rule is broken; the stream, the body and the collected answer agree."""

    async def main() -> None:
        for seed in range(first, min(first + AT_ONCE, FIRST + STREAMS)):
            try:
                await _check(play(seed), seed)
            except Exception as error:
                alone = f"LINGMA_TEST_FIRST_STREAM={seed} LINGMA_TEST_STREAMS=1"
                error.add_note(f"seed {seed}, alone with {alone}")
                raise

    run(main())


def test_the_plays_are_wild() -> None:
    """A seed tells all, and each event and each kind of end comes up soon."""
    scripts = [script for seed in range(200) for script in play(seed).scripts]
    events = [event for script in scripts for event in _heard_of(script)]
    missing = [script for script in scripts if not _has_end(script)]

    assert repr(play(7)) == repr(play(7))
    assert {type(event) for event in events} >= {Started, BlockOpened, UsageReported}
    assert {type(event) for event in events if _is_end(event)} == {Finished, Failed}
    assert any(isinstance(step, LingmaError) for script in missing for step in script)
    assert any(not isinstance(step, LingmaError) for script in missing for step in script[-1:])
    assert any(isinstance(event, BlockDelta) and event.text == "" for event in events)


async def _check(one: Play, seed: int) -> None:
    heard = await _heard(one)
    _nothing_is_lost(one, heard[0].answer)
    for form in FORMS:
        request, told = one.request, heard
        if form.protocol is not openai_chat.PROTOCOL:
            request, told = replace(request, choices=1, include_usage=True), heard[:1]
        stream = _stream(form.protocol, request, told, has_pings=seed % 3 == 0)
        assert [str(found) for found in form.check(stream, request)] == []
        _client_agrees(form, request, told, [stream[: seed % 4096], stream[seed % 4096 :]])
        if told[-1].answer.error is None:
            _body_agrees(form, request, [one.answer for one in told])


async def _heard(one: Play) -> list[Heard]:
    """Return what the gateway makes of a play, an answer for each choice up to a failure."""
    engine = ScriptedEngine(scripts=one.scripts, native_tools=one.native)
    house = House(engine, tools=ToolOptions(route=one.route))
    heard: list[Heard] = []
    for number in range(one.request.choices):
        engine.refusal = BUSY if number == one.refuses_after else None
        batches: list[Sequence[ChatEvent]] = []
        try:
            async with house.gateway.open(
                one.request, request_id="r", protocol="p", caller="c"
            ) as exchange:
                while batch := await exchange.next_batch():
                    batches.append(batch)
        except LingmaError as error:
            # What the server does with a choice that is refused after another was sent.
            batches.append(Seal("").close(error))
        heard.append(Heard(batches, _collected(batches)))
        if heard[-1].answer.error is not None:
            break
    house.assert_nothing_is_held()
    return heard


def _collected(batches: Iterable[Sequence[ChatEvent]]) -> Collector:
    answer = Collector()
    for batch in batches:
        answer.feed(batch)
    return answer


def _stream(
    protocol: WireProtocol, request: ChatRequest, heard: Sequence[Heard], *, has_pings: bool
) -> bytes:
    encoder = protocol.encoder(request, response_id="r", created=7)
    ping = protocol.ping if has_pings else b""
    return b"".join(ping + encoder.feed(batch) for one in heard for batch in one.batches)


def _nothing_is_lost(one: Play, answer: Collector) -> None:
    """What the engine says, and how it ends, is told, unless the client wished for other words."""
    request = one.request
    if request.tools or request.sampling.max_tokens is not None or request.output_format:
        return
    events = list(_heard_of(one.scripts[0]))
    deltas = [event for event in events if isinstance(event, BlockDelta)]
    text = "".join(delta.text for delta in deltas if delta.kind is TEXT)
    if not any(stop in text for stop in request.sampling.stop):
        is_good = any(isinstance(event, Finished) for event in events)
        assert (answer.text(), answer.error is None) == (text, is_good)


def _heard_of(script: Script) -> Iterator[ChatEvent]:
    """Yield the events of a script up to its end."""
    for batch in script:
        if not isinstance(batch, Sequence) or not batch:
            return
        for event in batch:
            yield event
            if _is_end(event):
                return


def _has_end(script: Script) -> bool:
    return any(map(_is_end, _heard_of(script)))


def _is_end(event: ChatEvent) -> bool:
    return isinstance(event, Finished | Failed)


def _client_agrees(
    form: Form, request: ChatRequest, heard: Sequence[Heard], pieces: Sequence[bytes]
) -> None:
    """Our own client reads the first answer, and how the last ended."""
    if _is_legacy(form, request):
        # It never asks with `functions`, and reads no `function_call`.
        return
    decoder, answer, error = form.decoder(), heard[0].answer, heard[-1].answer.error
    read = _collected([seal([list(decoder.feed(piece)) for piece in pieces])])
    said = [Said(block.kind.value, block.text, block.call_id, block.name) for block in read.blocks]
    assert bodies.merged(said) == _said(form, request, answer)
    assert (read.error and read.error.message) == (error and error.advice)
    if error is None:
        assert read.reason is answer.reason
        if form.protocol is not openai_chat.PROTOCOL or request.include_usage:
            assert read.usage is not None
            tokens = (read.usage.input_tokens, read.usage.output_tokens)
            assert tokens == _tokens([one.answer for one in heard])


def _body_agrees(form: Form, request: ChatRequest, answers: Sequence[Collector]) -> None:
    """The body tells every answer, and what they cost."""
    body = json.loads(form.protocol.render(answers, request, response_id="r", created=7))
    whole = form.read_body(body)
    assert [told.reason for told in whole.answers] == [answer.reason.value for answer in answers]
    assert whole.tokens == _tokens(answers)
    for told, answer in zip(whole.answers, answers, strict=True):
        expected = _said(form, request, answer)
        if form.protocol is openai_chat.PROTOCOL:
            order = ("reasoning", "text", "tool_call")
            expected = bodies.merged(sorted(expected, key=lambda said: order.index(said.kind)))
        assert told.said == [_as_in_a_body(form, request, said) for said in expected]


def _tokens(answers: Sequence[Collector]) -> tuple[int, int]:
    usages = [answer.usage for answer in answers if answer.usage is not None]
    return usages[0].input_tokens, sum(usage.output_tokens for usage in usages)


def _said(form: Form, request: ChatRequest, answer: Collector) -> list[Said]:
    """Return what a stream of this form tells of an answer."""
    return bodies.merged(_piece(form, request, block) for block in _told(form, request, answer))


def _told(form: Form, request: ChatRequest, answer: Collector) -> Iterator[Block]:
    """Yield the blocks that are told: who asks with `functions` gets one call at most."""
    has_call = False
    for block in answer.blocks:
        if not (has_call and block.kind is TOOL_CALL and _is_legacy(form, request)):
            yield block
        has_call = has_call or block.kind is TOOL_CALL


def _piece(form: Form, request: ChatRequest, block: Block) -> Said:
    tool = next((tool for tool in request.tools if tool.name == block.name), None)
    call_id = "" if _is_legacy(form, request) else block.call_id
    said = Said(block.kind.value, block.text, call_id, block.name)
    if tool is None or form.protocol is anthropic_messages.PROTOCOL:
        return said
    said = said._replace(name=tool.client_name or tool.name)
    if tool.custom:
        # The wire has raw text, and the client makes it JSON again.
        return said._replace(text=custom_tools.to_arguments(custom_tools.to_text(said.text)))
    return said


def _is_legacy(form: Form, request: ChatRequest) -> bool:
    return form.protocol is openai_chat.PROTOCOL and LEGACY in request.extras


def _as_in_a_body(form: Form, request: ChatRequest, said: Said) -> Said:
    """Return a piece as a body has it: raw text is not JSON there, and an input is no text."""
    if said.kind != "tool_call":
        return said
    if form.protocol is not anthropic_messages.PROTOCOL:
        is_custom = any(tool.custom for tool in request.tools if tool.name == said.name)
        return said._replace(text=custom_tools.to_text(said.text)) if is_custom else said
    try:
        json.loads(said.text or "{}")
    except ValueError:
        return said._replace(text=json.dumps(said.text))
    return said._replace(text=json.dumps(json.loads(said.text or "{}")))
