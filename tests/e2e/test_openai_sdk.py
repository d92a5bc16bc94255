"""The official `openai` package against the running program: Chat Completions."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from openai.types.chat import (
    ChatCompletion,
    ChatCompletionFunctionToolParam,
    ChatCompletionMessageParam,
    ChatCompletionUserMessageParam,
)
from pydantic import BaseModel

from tests.support.demo_words import asks, calls, entries, say
from tests.support.serving import Serving


def user(text: str) -> list[ChatCompletionMessageParam]:
    """Return a conversation of one user turn."""
    return [ChatCompletionUserMessageParam(role="user", content=text)]


QUESTION = user('[[demo: say="你好，世界 🙂 ok" chunks=8 cut=1]]')
ANSWER = "你好，世界 🙂 ok"


class Person(BaseModel):
    """Some structured output."""

    name: str
    age: int


@pytest.fixture
def client(demo: Serving) -> Iterator[openai.OpenAI]:
    """A client of the running demo."""
    with openai.OpenAI(base_url=f"{demo.url}/v1", api_key="any", max_retries=0) as client:
        yield client


def test_answers_without_streaming(client: openai.OpenAI) -> None:
    """`create` returns text, finish reason and usage."""
    answer = client.chat.completions.create(model="org_auto", messages=QUESTION)

    assert answer.choices[0].message.content == ANSWER
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert answer.usage.total_tokens > 2
    assert answer.model == "org_auto"


def test_streams_text_and_usage(client: openai.OpenAI) -> None:
    """`stream=True` yields the same text in pieces, and usage in the last chunk when asked."""
    chunks = list(
        client.chat.completions.create(
            model="org_auto",
            messages=QUESTION,
            stream=True,
            stream_options={"include_usage": True},
        )
    )

    pieces = [chunk.choices[0].delta.content for chunk in chunks if chunk.choices]
    assert "".join(piece or "" for piece in pieces) == ANSWER
    assert len([piece for piece in pieces if piece]) > 1
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"
    assert len({chunk.id for chunk in chunks}) == 1


def test_lists_models(client: openai.OpenAI) -> None:
    """`models.list` shows the process's live list."""
    keys = [model.id for model in client.models.list()]

    assert "org_auto" in keys
    assert len(keys) > 1


def test_async_client_gets_the_same(demo: Serving) -> None:
    """The asynchronous client works in both modes."""

    async def both() -> tuple[str | None, str]:
        async with openai.AsyncOpenAI(base_url=f"{demo.url}/v1", api_key="any") as client:
            whole = await client.chat.completions.create(
                model="org_auto",
                messages=QUESTION,
            )
            stream = await client.chat.completions.create(
                model="org_auto",
                messages=QUESTION,
                stream=True,
            )
            pieces = [chunk.choices[0].delta.content or "" async for chunk in stream]
            return whole.choices[0].message.content, "".join(pieces)

    assert asyncio.run(both()) == (ANSWER, ANSWER)


def test_errors_are_typed(client: openai.OpenAI) -> None:
    """A quota ending is a `RateLimitError` with `retry-after`, before and without streaming."""
    for stream in (False, True):
        with pytest.raises(openai.RateLimitError) as caught:
            client.chat.completions.create(
                model="org_auto",
                messages=user("[[demo: finish=403 after=0]]"),
                stream=stream,
            )
        assert caught.value.code == "insufficient_quota"
        assert int(caught.value.response.headers["retry-after"]) > 0


def test_a_break_in_mid_stream_raises(client: openai.OpenAI) -> None:
    """An error after text has come reaches the SDK as an error, not as a clean end."""
    pieces: list[str] = []

    def read() -> None:
        for chunk in client.chat.completions.create(
            model="org_auto", messages=user("[[demo: finish=500 after=2]]"), stream=True
        ):
            pieces.append(chunk.choices[0].delta.content or "")  # noqa: PERF401 - kept on a break

    with pytest.raises(openai.APIError):
        read()

    assert "".join(pieces)


# helpers of the package, and what Lingma does not do itself


def test_the_stream_helper_gathers_the_answer(client: openai.OpenAI) -> None:
    """`stream` yields content events, and a final completion like the whole one."""
    with client.chat.completions.stream(
        model="org_auto", messages=QUESTION, stream_options={"include_usage": True}
    ) as stream:
        pieces = [event.delta for event in stream if event.type == "content.delta"]
        final = stream.get_final_completion()

    assert "".join(pieces) == ANSWER == final.choices[0].message.content
    assert final.usage is not None
    assert final.usage.total_tokens == final.usage.prompt_tokens + final.usage.completion_tokens


@pytest.mark.parametrize(
    "text", ['{"name": "Ann", "age": 7}', 'Here:\n```json\n{"name": "Ann", "age": 7}\n```\nSee?']
)
def test_structured_output_is_parsed(client: openai.OpenAI, text: str) -> None:
    """`parse` and `stream` with a pydantic model find it, words around it or not."""
    parsed = client.chat.completions.parse(
        model="org_auto", messages=user(say(text)), response_format=Person
    )
    with client.chat.completions.stream(
        model="org_auto", messages=user(say(text)), response_format=Person
    ) as stream:
        streamed = stream.get_final_completion()

    expected = Person(name="Ann", age=7)
    assert parsed.choices[0].message.parsed == expected
    assert streamed.choices[0].message.parsed == expected


def test_json_mode(client: openai.OpenAI) -> None:
    """`json_object` gives an object that can be read."""
    answer = client.chat.completions.create(
        model="org_auto",
        messages=user(say('Sure! {"a": [1, 2]}')),
        response_format={"type": "json_object"},
    )

    assert json.loads(answer.choices[0].message.content or "") == {"a": [1, 2]}


def test_choices(client: openai.OpenAI) -> None:
    """`n=2` gives two choices, each with an ask of its own, streamed or not."""
    whole = client.chat.completions.create(model="org_auto", messages=QUESTION, n=2)
    assert [choice.index for choice in whole.choices] == [0, 1]
    assert {choice.message.content for choice in whole.choices} == {ANSWER}

    texts = {0: "", 1: ""}
    ends: list[int] = []
    for chunk in client.chat.completions.create(
        model="org_auto", messages=QUESTION, n=2, stream=True
    ):
        for choice in chunk.choices:
            texts[choice.index] += choice.delta.content or ""
            ends += [choice.index] if choice.finish_reason == "stop" else []
    assert texts == {0: ANSWER, 1: ANSWER}
    assert ends == [0, 1]


def test_stop_sequences_and_the_token_limit_end_the_answer(client: openai.OpenAI) -> None:
    """`stop` ends without the sequence, `max_tokens` and its successor with `length`."""
    stopped = client.chat.completions.create(
        model="org_auto", messages=user("[[demo: say='one two STOP three' chunks=9]]"), stop="STOP"
    )
    assert stopped.choices[0].message.content == "one two "
    assert stopped.choices[0].finish_reason == "stop"

    limits: list[dict[str, Any]] = [{"max_tokens": 5}, {"max_completion_tokens": 5}]
    for limit in limits:
        cut = client.chat.completions.create(
            model="org_auto", messages=user("[[demo: chunks=100]]"), extra_body=limit
        )
        assert cut.choices[0].finish_reason == "length"
        assert 0 < len(cut.choices[0].message.content or "") < 100
        assert cut.usage is not None
        assert cut.usage.completion_tokens <= 5


# tools

ADD: ChatCompletionFunctionToolParam = {
    "type": "function",
    "function": {
        "name": "add",
        "description": "adds",
        "parameters": {
            "type": "object",
            "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
            "required": ["a", "b"],
            "additionalProperties": False,
        },
        "strict": True,
    },
}
SUMS = calls([("add", {"a": 2, "b": 3})], [("add", {"a": 5, "b": 10}), ("add", {"a": 7, "b": 1})])


@pytest.fixture
def caller(workshop: Serving) -> Iterator[openai.OpenAI]:
    """A client of the workshop."""
    with openai.OpenAI(base_url=f"{workshop.url}/v1", api_key="any", max_retries=0) as client:
        yield client


def turn_of(
    client: openai.OpenAI, messages: list[ChatCompletionMessageParam], *, stream: bool
) -> ChatCompletion:
    """Return the next turn of a conversation with tools."""
    if not stream:
        return client.chat.completions.create(model="org_auto", messages=messages, tools=[ADD])
    with client.chat.completions.stream(
        model="org_auto", messages=messages, tools=[ADD]
    ) as streamed:
        return streamed.get_final_completion()


@pytest.mark.parametrize("stream", [False, True])
def test_a_loop_of_tools(caller: openai.OpenAI, workshop: Serving, stream: bool) -> None:
    """Three turns with single and parallel calls; native ones are a single ask upstream."""
    before = asks(workshop)
    messages = user(SUMS)
    made: list[dict[str, int]] = []
    reasons: list[str] = []
    while True:
        choice = turn_of(caller, messages, stream=stream).choices[0]
        reasons.append(choice.finish_reason)
        if choice.finish_reason != "tool_calls":
            break
        shown: Any = choice.message.model_dump(exclude_none=True, exclude={"parsed"})
        messages.append(shown)
        for call in choice.message.tool_calls or ():
            assert call.type == "function"
            assert call.function.name == "add"
            given = json.loads(call.function.arguments)
            made.append(given)
            result = str(given["a"] + given["b"])
            messages.append({"role": "tool", "tool_call_id": call.id, "content": result})

    assert reasons == ["tool_calls", "tool_calls", "stop"]
    assert made == [{"a": 2, "b": 3}, {"a": 5, "b": 10}, {"a": 7, "b": 1}]
    assert "15" in (choice.message.content or "")
    assert "8" in (choice.message.content or "")
    is_native = entries(workshop, "ask-start")[-1]["route"] == "native"
    assert asks(workshop) - before == (1 if is_native else 3)


@pytest.mark.parametrize(
    "choice", ["required", {"type": "function", "function": {"name": "add"}}], ids=["any", "named"]
)
@pytest.mark.parametrize("stream", [False, True])
def test_a_demanded_call_comes(caller: openai.OpenAI, choice: Any, stream: bool) -> None:
    """`required` and a named tool give a call, with text around it or not."""
    wish: Any = {
        "model": "org_auto",
        "messages": user(calls([("add", {"a": 1, "b": 2})], words="prose=before")),
        "tools": [ADD],
        "tool_choice": choice,
    }
    if stream:
        with caller.chat.completions.stream(**wish) as streamed:
            answer: ChatCompletion = streamed.get_final_completion()
    else:
        answer = caller.chat.completions.create(**wish)

    assert answer.choices[0].message.tool_calls is not None
    (call,) = answer.choices[0].message.tool_calls
    assert call.type == "function"
    assert json.loads(call.function.arguments) == {"a": 1, "b": 2}
    assert answer.choices[0].finish_reason == "tool_calls"


def test_no_call_when_none_is_wanted(caller: openai.OpenAI) -> None:
    """`tool_choice: none` gives text, and `parallel_tool_calls: false` at most one call."""
    two = user(calls([("add", {"a": 1, "b": 2}), ("add", {"a": 3, "b": 4})]))
    none = caller.chat.completions.create(
        model="org_auto", messages=two, tools=[ADD], tool_choice="none"
    )
    one = caller.chat.completions.create(
        model="org_auto", messages=two, tools=[ADD], parallel_tool_calls=False
    )

    assert none.choices[0].message.tool_calls is None
    assert none.choices[0].finish_reason == "stop"
    assert len(one.choices[0].message.tool_calls or ()) == 1


def test_parsed_arguments(caller: openai.OpenAI) -> None:
    """`parse` with a tool made from a pydantic model finds its arguments parsed."""
    tool = openai.pydantic_function_tool(Person)
    answer = caller.chat.completions.parse(
        model="org_auto",
        messages=user(calls([("Person", {"name": "Ann", "age": 7})])),
        tools=[tool],
    )

    assert answer.choices[0].message.tool_calls is not None
    (call,) = answer.choices[0].message.tool_calls
    assert call.function.parsed_arguments == Person(name="Ann", age=7)
