"""The official `anthropic` package against the running program."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import anthropic
import pytest
from anthropic import beta_tool
from anthropic.types import MessageParam, TextBlock, ThinkingBlock, ToolParam, ToolUseBlock
from pydantic import BaseModel

from tests.support.demo_words import asks, calls, entries, say
from tests.support.serving import Serving

MODEL = "org_auto"
ANSWER = "你好，世界 🙂 ok"
QUESTION = say(ANSWER, "chunks=8 cut=1")
ADD: ToolParam = {
    "name": "add",
    "description": "adds",
    "input_schema": {
        "type": "object",
        "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
        "required": ["a", "b"],
    },
}


def user(text: str) -> list[MessageParam]:
    """Return a conversation of one user turn."""
    return [{"role": "user", "content": text}]


def connected(server: Serving, **options: Any) -> anthropic.Anthropic:
    """Return a client of `server`."""
    return anthropic.Anthropic(base_url=server.url, api_key="any", max_retries=0, **options)


@pytest.fixture
def client(demo: Serving) -> Iterator[anthropic.Anthropic]:
    """A client of the running demo."""
    with connected(demo) as client:
        yield client


def text_of(message: anthropic.types.Message) -> str:
    """Return the text of an answer."""
    return "".join(block.text for block in message.content if isinstance(block, TextBlock))


# answers


def test_answers_without_streaming(client: anthropic.Anthropic) -> None:
    """`create` returns text, stop reason, model and usage."""
    answer = client.messages.create(model=MODEL, max_tokens=500, messages=user(QUESTION))

    assert text_of(answer) == ANSWER
    assert (answer.role, answer.type, answer.model) == ("assistant", "message", MODEL)
    assert (answer.stop_reason, answer.stop_sequence) == ("end_turn", None)
    assert answer.usage.input_tokens > 2
    assert answer.usage.output_tokens > 2


def test_the_stream_helper_gathers_the_same(client: anthropic.Anthropic) -> None:
    """`stream` yields the text in pieces, snapshots of it, and the same final message."""
    with client.messages.stream(
        model=MODEL, max_tokens=500, messages=user(QUESTION), system="Be short."
    ) as stream:
        pieces = list(stream.text_stream)
        final = stream.get_final_message()

    assert "".join(pieces) == ANSWER == text_of(final) == stream.get_final_text()
    assert len(pieces) > 1
    assert final.stop_reason == "end_turn"
    assert final.usage.input_tokens > 2
    assert final.usage.output_tokens > 2


def test_raw_events_come_in_their_order(client: anthropic.Anthropic) -> None:
    """`stream=True` yields each event of the grammar, usage at both ends."""
    events = list(
        client.messages.create(model=MODEL, max_tokens=500, messages=user(QUESTION), stream=True)
    )

    kinds = [event.type for event in events]
    begin = ["message_start", "content_block_start", "content_block_delta"]
    assert kinds[:3] == begin
    assert kinds[-3:] == ["content_block_stop", "message_delta", "message_stop"]
    assert set(kinds[2:-3]) == {"content_block_delta"}
    start, delta = events[0], events[-2]
    assert start.type == "message_start"
    assert delta.type == "message_delta"
    assert start.message.usage.input_tokens == delta.usage.input_tokens
    assert delta.usage.output_tokens > 0


@pytest.mark.parametrize("form", ["push", "push-end", "tags", "block", "timed"])
def test_thinking_is_a_block_of_its_own(client: anthropic.Anthropic, form: str) -> None:
    """Reasoning in any form of Lingma's is a thinking block before the text, never in it."""
    question = user(f'[[demo: say="answer" thought="because" think={form} split=1]]')

    with client.messages.stream(
        model=MODEL,
        max_tokens=5000,
        messages=question,
        thinking={"type": "enabled", "budget_tokens": 1024},
    ) as stream:
        thought, told = stream.get_final_message().content
    whole = client.messages.create(
        model=MODEL, max_tokens=5000, messages=question, thinking={"type": "adaptive"}
    )

    assert isinstance(thought, ThinkingBlock)
    assert (thought.thinking.strip(), thought.signature) == ("because", "")
    assert told.type == "text"
    assert told.text == "answer"
    assert [block.type for block in whole.content] == ["thinking", "text"]


def test_thinking_that_nobody_wants_is_left_out(client: anthropic.Anthropic) -> None:
    """Without `thinking`, and with `disabled`, the model's reasoning is not told."""
    question = user("[[demo: say=answer thought=because think=tags split=1]]")

    plain = client.messages.create(model=MODEL, max_tokens=500, messages=question)
    disabled = client.messages.create(
        model=MODEL, max_tokens=500, messages=question, thinking={"type": "disabled"}
    )

    assert [block.type for block in (*plain.content, *disabled.content)] == ["text", "text"]
    assert text_of(plain) == text_of(disabled) == "answer"


def test_stop_sequences_and_the_token_limit_end_the_answer(client: anthropic.Anthropic) -> None:
    """Both are kept by us, in streams and without, and told as the reason."""
    question = user("[[demo: say='one two STOP three' chunks=9]]")
    stopped = client.messages.create(
        model=MODEL, max_tokens=500, messages=question, stop_sequences=["STOP"]
    )
    assert (text_of(stopped), stopped.stop_reason) == ("one two ", "stop_sequence")
    assert stopped.stop_sequence == "STOP"

    with client.messages.stream(
        model=MODEL, max_tokens=3, messages=user("[[demo: chunks=100]]")
    ) as stream:
        cut = stream.get_final_message()
    assert cut.stop_reason == "max_tokens"
    assert 0 < len(text_of(cut)) < 100
    assert cut.usage.output_tokens <= 3


def test_structured_output_is_parsed(client: anthropic.Anthropic) -> None:
    """`parse` with a pydantic model finds it, even in a fence that the model put around."""

    class Person(BaseModel):
        name: str
        age: int

    wish = say('Here you are:\n```json\n{"name": "Ann", "age": 7}\n```')
    answer = client.messages.parse(
        model=MODEL, max_tokens=500, messages=user(wish), output_format=Person
    )

    assert answer.parsed_output == Person(name="Ann", age=7)


def test_async_client_gets_the_same(demo: Serving) -> None:
    """The asynchronous client works in both modes."""

    async def both() -> tuple[str, str]:
        async with anthropic.AsyncAnthropic(base_url=demo.url, api_key="any") as client:
            whole = await client.messages.create(
                model=MODEL, max_tokens=500, messages=user(QUESTION)
            )
            async with client.messages.stream(
                model=MODEL, max_tokens=500, messages=user(QUESTION)
            ) as stream:
                return text_of(whole), await stream.get_final_text()

    assert asyncio.run(both()) == (ANSWER, ANSWER)


# tools


@beta_tool
def add(a: int, b: int) -> str:
    """Add two numbers."""
    return str(a + b)


SUMS = calls([("add", {"a": 2, "b": 3})], [("add", {"a": 5, "b": 10}), ("add", {"a": 7, "b": 1})])


@pytest.mark.parametrize("stream", [False, True])
def test_the_tool_runner_runs_to_the_end(workshop: Serving, stream: bool) -> None:
    """`tool_runner` falls back from `thread`, runs every call and gets the last answer."""
    bodies: list[dict[str, Any]] = []
    hooks = {"request": [lambda request: bodies.append(json.loads(request.content))]}
    before = asks(workshop)

    with connected(workshop, http_client=anthropic.DefaultHttpxClient(event_hooks=hooks)) as client:
        question: Any = user(SUMS)
        if stream:
            runner = client.beta.messages.tool_runner(
                model=MODEL, max_tokens=999, tools=[add], messages=question, stream=True
            )
            turns = [turn.get_final_message() for turn in runner]
        else:
            turns = list(
                client.beta.messages.tool_runner(
                    model=MODEL, max_tokens=999, tools=[add], messages=question
                )
            )

    assert [turn.stop_reason for turn in turns] == ["tool_use", "tool_use", "end_turn"]
    called = [block.input for turn in turns for block in turn.content if block.type == "tool_use"]
    assert called == [{"a": 2, "b": 3}, {"a": 5, "b": 10}, {"a": 7, "b": 1}]
    last = turns[-1].content[-1]
    assert last.type == "text"
    assert "15" in last.text
    assert "8" in last.text
    assert bodies[0]["thread"] == {"type": "create"}
    assert all("thread" not in body for body in bodies[1:])
    is_native = entries(workshop, "ask-start")[-1]["route"] == "native"
    assert asks(workshop) - before == (1 if is_native else 3)


def test_a_forced_tool_and_a_result_by_hand(workshop: Serving) -> None:
    """`tool_choice: tool` gives that call; its result, an error, reaches the model."""
    question = user(calls([("add", {"a": 1, "b": 2})]))
    with connected(workshop) as client:
        first = client.messages.create(
            model=MODEL,
            max_tokens=500,
            messages=question,
            tools=[ADD],
            tool_choice={"type": "tool", "name": "add"},
        )
        (call,) = [block for block in first.content if isinstance(block, ToolUseBlock)]
        result: MessageParam = {
            "role": "user",
            "content": [
                {
                    "type": "tool_result",
                    "tool_use_id": call.id,
                    "content": [{"type": "text", "text": "broken abacus"}],
                    "is_error": True,
                }
            ],
        }
        turn: MessageParam = {"role": "assistant", "content": first.content}
        second = client.messages.create(
            model=MODEL, max_tokens=500, messages=[*question, turn, result], tools=[ADD]
        )

    assert (call.name, call.input) == ("add", {"a": 1, "b": 2})
    assert "broken abacus" in text_of(second)


def test_a_streamed_call_comes_as_partial_json(workshop: Serving) -> None:
    """`input_json` events add up to the input, and one call a turn if the client wants so."""
    with (
        connected(workshop) as client,
        client.messages.stream(
            model=MODEL,
            max_tokens=500,
            messages=user(calls([("add", {"a": 1, "b": 2}), ("add", {"a": 3, "b": 4})])),
            tools=[ADD],
            tool_choice={"type": "any", "disable_parallel_tool_use": True},
        ) as stream,
    ):
        pieces = [event.partial_json for event in stream if event.type == "input_json"]
        final = stream.get_final_message()

    blocks = [block for block in final.content if isinstance(block, ToolUseBlock)]
    assert [block.input for block in blocks] == [{"a": 1, "b": 2}]
    assert json.loads("".join(pieces)) == {"a": 1, "b": 2}
    assert final.stop_reason == "tool_use"


# the rest of the API


def test_counts_tokens_and_lists_models(client: anthropic.Anthropic, demo: Serving) -> None:
    """`count_tokens` counts tools and all, and asks nobody; `models` speaks Anthropic's form."""
    before = asks(demo)
    bare = client.messages.count_tokens(model=MODEL, messages=user("How much is it? " * 20))
    more = client.messages.count_tokens(
        model=MODEL, messages=user("How much is it? " * 20), tools=[ADD], system="Be kind."
    )

    assert 20 < bare.input_tokens < more.input_tokens
    assert asks(demo) == before
    page = client.models.list()
    assert MODEL in [model.id for model in page]
    assert page.has_more is False
    assert (page.first_id, page.last_id) == (page.data[0].id, page.data[-1].id)
    assert client.models.retrieve(MODEL) == next(one for one in page if one.id == MODEL)
    with pytest.raises(anthropic.NotFoundError):
        client.models.retrieve("no-such-model")


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("directive", "error", "kind"),
    [
        ("finish=403 after=0", anthropic.RateLimitError, "rate_limit_error"),
        ("finish=401 after=0", anthropic.AuthenticationError, "authentication_error"),
        ("end=filter after=0", anthropic.BadRequestError, "invalid_request_error"),
        ("finish=500 after=0", anthropic.InternalServerError, "api_error"),
        ("finish=408 after=0", anthropic.InternalServerError, "timeout_error"),
    ],
)
def test_errors_are_typed(
    client: anthropic.Anthropic,
    directive: str,
    error: type[anthropic.APIStatusError],
    kind: str,
    stream: bool,
) -> None:
    """An error before the first byte is the SDK's own kind, with Anthropic's envelope."""
    with pytest.raises(error) as caught:
        client.messages.create(
            model=MODEL, max_tokens=500, messages=user(f"[[demo: {directive}]]"), stream=stream
        )

    assert isinstance(caught.value.body, dict)
    assert caught.value.body["type"] == "error"
    assert caught.value.body["error"]["type"] == kind


def test_a_break_in_mid_stream_raises(client: anthropic.Anthropic) -> None:
    """An error after text has come is raised, with the text that came before."""
    pieces: list[str] = []

    def read() -> None:
        with client.messages.stream(
            model=MODEL, max_tokens=500, messages=user("[[demo: finish=500 after=2]]")
        ) as stream:
            pieces.extend(stream.text_stream)

    with pytest.raises(anthropic.APIStatusError) as caught:
        read()

    assert pieces
    assert isinstance(caught.value.body, dict)
    assert caught.value.body["error"]["type"] == "api_error"
