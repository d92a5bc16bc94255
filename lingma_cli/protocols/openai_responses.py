"""OpenAI Responses: body to request, events to events, a collected answer to a body.

Source: OpenAI API reference, "Responses" and "Streaming events". Each frame carries an `event:`
name and a `sequence_number`; `[DONE]` follows the terminal event, whichever it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from lingma_cli.core.chat import ChatRequest, OutputFormat, Sampling
from lingma_cli.core.collect import Block, Collector
from lingma_cli.core.events import (
    BlockClosed,
    BlockDelta,
    BlockKind,
    BlockOpened,
    ChatEvent,
    Failed,
    Finished,
    Started,
    UsageReported,
)
from lingma_cli.core.notes import Note, NoteCode
from lingma_cli.protocols.fields import convert, decode_object, extras, invalid
from lingma_cli.protocols.openai_error import encode_error
from lingma_cli.protocols.openai_responses_body import (
    Body,
    Conversation,
    ResponsesThread,
    TextFormat,
)
from lingma_cli.protocols.openai_responses_input import instructed, normalised, read_items
from lingma_cli.protocols.openai_responses_object import (
    Items,
    Status,
    echo,
    response_object,
    status_of,
    summary_part,
    text_part,
)
from lingma_cli.protocols.openai_responses_tools import Placed, read_choice, read_tools
from lingma_cli.protocols.sse import COMMENT
from lingma_cli.protocols.wire import WireProtocol

NAME: Final = "openai_responses"

# What the events of an item's text are called, up to `.delta` and `.done`.
_TEXT: Final = "response.output_text"
_REASONING: Final = "response.reasoning_summary_text"
_ARGUMENTS: Final = "response.function_call_arguments"
_INPUT: Final = "response.custom_tool_call_input"
_LOGPROBS: Final = "message.output_text.logprobs"


def parse(body: bytes) -> ChatRequest:
    """Return the request in `body`; its `thread` is a `ResponsesThread`.

    Raises:
        LingmaError: the body is no valid request; `param` holds the path.
    """
    value = decode_object(body)
    shape = convert(value, Body)
    notes: list[Note] = []
    thread = _thread(value, shape)
    offered = read_tools(_placed(shape, thread.items), notes)
    tools, choice = read_choice(shape.tool_choice, offered, notes)
    reading = read_items(thread.items, tools)
    messages = (*instructed(shape.instructions), *reading.messages)
    if not messages and thread.previous_id is None and thread.conversation_id is None:
        raise invalid("something to answer is needed", param="input")
    if shape.background:
        notes.append(Note.of(NoteCode.BACKGROUND_IGNORED))
    if ignored := ", ".join(_ignored(shape)):
        notes.append(Note(code=NoteCode.FIELDS_IGNORED, text=f"not forwarded: {ignored}"))
    return ChatRequest(
        model=shape.model or "",
        messages=messages,
        tools=tools,
        tool_choice=choice,
        sampling=Sampling(
            temperature=shape.temperature,
            top_p=shape.top_p,
            max_tokens=shape.max_output_tokens,
        ),
        reasoning_effort=shape.reasoning.effort if shape.reasoning else None,
        output_format=_output_format(shape.text.format if shape.text else None, notes),
        parallel_tool_calls=shape.parallel_tool_calls is not False,
        stream=bool(shape.stream),
        include_usage=True,
        user=shape.user,
        extras={NAME: extras(value, Body)},
        thread=thread,
        notes=(*notes, *reading.notes),
    )


def _ignored(shape: Body) -> Iterator[str]:
    """Yield the names of fields, not in `extras`, without which the answer is another."""
    if shape.text is not None and shape.text.verbosity is not None:
        yield "text.verbosity"
    if shape.top_logprobs:
        yield "top_logprobs"
    if isinstance(shape.include, list) and _LOGPROBS in shape.include:
        yield _LOGPROBS


def _thread(value: Mapping[str, Any], shape: Body) -> ResponsesThread:
    conversation = shape.conversation
    if isinstance(conversation, Conversation):
        conversation = conversation.id
    if shape.previous_response_id is not None and conversation is not None:
        raise invalid("cannot be given together with a conversation", param="previous_response_id")
    return ResponsesThread(
        previous_id=shape.previous_response_id,
        conversation_id=conversation,
        store=shape.store is not False,
        items=normalised(shape.input),
        echo=echo(value),
    )


def _placed(shape: Body, items: Sequence[Mapping[str, Any]]) -> list[Placed]:
    """Return the tools of the body, and those that came as items in its input."""
    placed: list[Placed] = [(f"tools[{at}]", tool) for at, tool in enumerate(shape.tools or ())]
    for index, item in enumerate(items):
        if item.get("type") != "additional_tools":
            continue
        more = item.get("tools")
        if not isinstance(more, list) or not all(isinstance(one, dict) for one in more):
            raise invalid("must be a list of objects", param=f"input[{index}].tools")
        placed += [(f"input[{index}].tools[{at}]", tool) for at, tool in enumerate(more)]
    return placed


def _output_format(format_: TextFormat | None, notes: list[Note]) -> OutputFormat | None:
    match format_:
        case TextFormat(type="json_object"):
            return OutputFormat()
        case TextFormat(type="json_schema", schema=None):
            raise invalid("a JSON schema is needed", param="text.format.schema")
        case TextFormat(type="json_schema", schema=schema, name=name, strict=strict):
            at = "text.format.schema"
            return OutputFormat(schema=schema, name=name, strict=bool(strict), param=at)
        case None | TextFormat(type="text"):
            return None
        case TextFormat(type=kind):
            sentence = f"an output format of type {kind!r} is not known"
            notes.append(Note(code=NoteCode.FIELDS_IGNORED, text=sentence))
            return None


@dataclass(slots=True, kw_only=True)
class _Open:
    """The item that the stream is in.

    Attributes:
        words: what the events of its text are called.
        place: the fields that tell where its text belongs.
        before: a delta's frame up to its text.
        after: a delta's frame from there to its sequence number.
        block: its block, once that is whole.
    """

    words: str
    place: dict[str, Any]
    before: bytes
    after: bytes
    block: Block | None = None


class Encoder:
    """Writes one sealed stream as events.

    An item is closed when the next one begins or the response ends: the last item of one that
    ended early is incomplete, and clients act on a closed call at once.

    Args:
        request: what was asked.
        response_id: without the `resp_` in front.
        created: seconds since the epoch.
    """

    def __init__(self, request: ChatRequest, *, response_id: str, created: int) -> None:
        self._request = request
        self._response_id = response_id
        self._created = created
        self._answer = Collector()
        self._items = Items(request, response_id)
        self._next_index = 0
        self._whole_blocks = 0
        self._sequence = 0
        self._item: _Open | None = None

    def feed(self, events: Sequence[ChatEvent]) -> bytes:
        """Return the frames of `events`, ready to be written at once."""
        # First, so that a block's whole text is there when its end is written.
        self._answer.feed(events)
        return b"".join(map(self._frames, events))

    def _frames(self, event: ChatEvent) -> bytes:
        match event:
            case BlockDelta(kind=kind, text=text):
                return self._delta(kind, text)
            case BlockOpened(kind=BlockKind.TOOL_CALL):
                return self._open(event)
            case BlockClosed():
                if self._item is not None and self._item.block is None:
                    self._item.block = self._answer.blocks[self._whole_blocks]
                self._whole_blocks += 1
                return b""
            case Started(model=model):
                return self._start(model)
            case BlockOpened() | UsageReported():
                # A text or a reasoning is opened by its first word: one without is not told.
                return b""
            case Finished() | Failed():
                return self._end()

    def _start(self, model: str) -> bytes:
        begun = self._object(Collector(model=model), Status.IN_PROGRESS)
        created = self._event("response.created", response=begun)
        return created + self._event("response.in_progress", response=begun)

    def _open(self, opened: BlockOpened) -> bytes:
        frames = self._close()
        index, self._next_index = self._next_index, self._next_index + 1
        item = self._items.added(index, opened)
        frames += self._event("response.output_item.added", output_index=index, item=item)
        place: dict[str, Any] = {"item_id": item["id"], "output_index": index}
        after = b',"sequence_number":'
        match item["type"]:
            case "message":
                words, after = _TEXT, b',"logprobs":[]' + after
                place["content_index"] = 0
                frames += self._event("response.content_part.added", **place, part=text_part(""))
            case "reasoning":
                words, part = _REASONING, summary_part("")
                place["summary_index"] = 0
                frames += self._event("response.reasoning_summary_part.added", **place, part=part)
            case kind:
                words = _INPUT if kind == "custom_tool_call" else _ARGUMENTS
        # All of a delta but its text and number is the same for the whole item.
        head = msgspec.json.encode({"type": f"{words}.delta", **place})
        before = b'event: %b.delta\ndata: %b,"delta":' % (words.encode(), head[:-1])
        self._item = _Open(words=words, place=place, before=before, after=after)
        return frames

    def _delta(self, kind: BlockKind, text: str) -> bytes:
        frames = b""
        if self._item is None or self._item.block is not None:
            frames = self._open(BlockOpened(kind=kind))
        # Raw text can be read out of a call's arguments only when they are whole.
        if self._item is None or self._item.words == _INPUT:
            return frames
        return frames + self._piece(self._item, text)

    def _piece(self, item: _Open, text: str) -> bytes:
        number, self._sequence = self._sequence, self._sequence + 1
        return b"%b%b%b%d}\n\n" % (item.before, msgspec.json.encode(text), item.after, number)

    def _close(self, last_of: Status | None = None) -> bytes:
        """Close the item that the stream is in, if any; see `Items.done`."""
        if self._item is None or self._item.block is None:
            return b""
        words, place = self._item.words, self._item.place
        item = self._items.done(place["output_index"], self._item.block, last_of=last_of)
        match item["type"]:
            case "message":
                part = item["content"][0]
                done = self._event(f"{words}.done", **place, text=part["text"], logprobs=[])
                done += self._event("response.content_part.done", **place, part=part)
            case "reasoning":
                part = item["summary"][0]
                done = self._event(f"{words}.done", **place, text=part["text"])
                done += self._event("response.reasoning_summary_part.done", **place, part=part)
            case "custom_tool_call":
                done = self._piece(self._item, item["input"]) if item["input"] else b""
                done += self._event(f"{words}.done", **place, input=item["input"])
            case _:
                named = {"name": item["name"], "arguments": item["arguments"]}
                done = self._event(f"{words}.done", **place, **named)
        self._item = None
        index = place["output_index"]
        return done + self._event("response.output_item.done", output_index=index, item=item)

    def _end(self) -> bytes:
        status = status_of(self._answer)
        whole = self._object(self._answer, status)
        # There is no event for a response that was cancelled; its status tells.
        kind = Status.FAILED if status is Status.CANCELLED else status
        frames = self._close(status) + self._event(f"response.{kind.value}", response=whole)
        return frames + b"data: [DONE]\n\n"

    def _object(self, answer: Collector, status: Status) -> dict[str, Any]:
        return response_object(
            self._request,
            answer,
            response_id=self._response_id,
            created=self._created,
            status=status,
        )

    def _event(self, kind: str, **fields: Any) -> bytes:
        number, self._sequence = self._sequence, self._sequence + 1
        data = msgspec.json.encode({"type": kind, **fields, "sequence_number": number})
        return b"event: %b\ndata: %b\n\n" % (kind.encode(), data)


def render(
    answers: Sequence[Collector], request: ChatRequest, *, response_id: str, created: int
) -> bytes:
    """Return the body of the one finished answer."""
    (answer,) = answers
    whole = response_object(
        request, answer, response_id=response_id, created=created, status=status_of(answer)
    )
    return msgspec.json.encode(whole)


PROTOCOL: Final = WireProtocol(
    name=NAME,
    paths=("/v1/responses", "/responses"),
    parse=parse,
    encoder=Encoder,
    render=render,
    encode_error=encode_error,
    ping=COMMENT,
)
