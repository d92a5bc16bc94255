"""The official `openai` package against the running program: Responses and Conversations."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from openai.types.responses import FunctionToolParam, Response, ResponseFunctionToolCall
from pydantic import BaseModel

from tests.support.demo_words import asks, calls, entries, say
from tests.support.frames import frames_of
from tests.support.serving import Serving, wait_until

MODEL = "org_auto"
ANSWER = "你好，世界 🙂 ok"
QUESTION = say(ANSWER, "chunks=8 cut=1")
QUOTE = "[[demo: quote=session]]"
ADD: FunctionToolParam = {
    "type": "function",
    "name": "add",
    "description": "adds",
    "parameters": {
        "type": "object",
        "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
        "required": ["a", "b"],
        "additionalProperties": False,
    },
    "strict": True,
}


class Person(BaseModel):
    """Some structured output."""

    name: str
    age: int


def connected(server: Serving) -> openai.OpenAI:
    """Return a client of `server`."""
    return openai.OpenAI(base_url=f"{server.url}/v1", api_key="any", max_retries=0)


@pytest.fixture
def client(demo: Serving) -> Iterator[openai.OpenAI]:
    """A client of the running demo."""
    with connected(demo) as client:
        yield client


# answers


def test_answers_without_streaming(client: openai.OpenAI) -> None:
    """`create` returns text, status, model and usage."""
    answer = client.responses.create(model=MODEL, input=QUESTION)

    assert answer.output_text == ANSWER
    assert (answer.status, answer.model, answer.error) == ("completed", MODEL, None)
    assert answer.usage is not None
    assert answer.usage.total_tokens == answer.usage.input_tokens + answer.usage.output_tokens
    assert answer.usage.output_tokens > 2


def test_the_stream_helper_gathers_the_same(client: openai.OpenAI) -> None:
    """`stream` yields numbered events, whose text is that of the final response."""
    with client.responses.stream(model=MODEL, input=QUESTION) as stream:
        events = list(stream)
        final = stream.get_final_response()

    deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert "".join(deltas) == ANSWER == final.output_text
    assert len(deltas) > 1
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert events[0].type == "response.created"
    assert events[0].response.id == final.id
    assert final.usage is not None


def test_raw_events_are_typed(client: openai.OpenAI) -> None:
    """`stream=True` yields the whole grammar around a text."""
    kinds = [
        event.type for event in client.responses.create(model=MODEL, input=QUESTION, stream=True)
    ]

    deltas = "response.output_text.delta"
    assert [kind for kind in kinds if kind != deltas] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert kinds[3:5] == ["response.content_part.added", deltas]


def test_structured_output_is_parsed(client: openai.OpenAI) -> None:
    """`parse` and `stream` with a pydantic model find it inside of words."""
    wish = say('Here:\n```json\n{"name": "Ann", "age": 7}\n```')
    parsed = client.responses.parse(model=MODEL, input=wish, text_format=Person)
    with client.responses.stream(model=MODEL, input=wish, text_format=Person) as stream:
        streamed = stream.get_final_response()

    assert parsed.output_parsed == streamed.output_parsed == Person(name="Ann", age=7)


def test_reasoning_is_an_item_of_its_own(client: openai.OpenAI) -> None:
    """Reasoning comes as a summary before the message, streamed or not."""
    wish = '[[demo: say="answer" thought="because" think=tags split=1]]'
    whole = client.responses.create(model=MODEL, input=wish)
    with client.responses.stream(model=MODEL, input=wish) as stream:
        deltas = [
            event.delta for event in stream if event.type == "response.reasoning_summary_text.delta"
        ]
        streamed = stream.get_final_response()

    for answer in (whole, streamed):
        reasoning, message = answer.output
        assert reasoning.type == "reasoning"
        assert reasoning.summary[0].text.strip() == "because"
        assert message.type == "message"
        assert answer.output_text == "answer"
    assert "".join(deltas).strip() == "because"


def test_a_cut_answer_is_incomplete(client: openai.OpenAI) -> None:
    """`max_output_tokens` ends the answer with `response.incomplete` and the reason."""
    wish = "[[demo: chunks=100]]"
    whole = client.responses.create(model=MODEL, input=wish, max_output_tokens=5)
    *_, last = client.responses.create(model=MODEL, input=wish, max_output_tokens=5, stream=True)

    assert last.type == "response.incomplete"
    for answer in (whole, last.response):
        assert answer.status == "incomplete"
        assert answer.incomplete_details is not None
        assert answer.incomplete_details.reason == "max_output_tokens"
        assert 0 < len(answer.output_text) < 100


@pytest.mark.parametrize("stream", [False, True])
def test_errors_are_typed(client: openai.OpenAI, stream: bool) -> None:
    """A quota ending is a `RateLimitError` with `retry-after`, before and without streaming."""
    with pytest.raises(openai.RateLimitError) as caught:
        client.responses.create(model=MODEL, input="[[demo: finish=403 after=0]]", stream=stream)

    assert caught.value.code == "insufficient_quota"
    assert int(caught.value.response.headers["retry-after"]) > 0


def test_a_break_in_mid_stream_fails_the_response(client: openai.OpenAI) -> None:
    """After text has come an error is `response.failed`, and the stored response says so."""
    wish = "[[demo: finish=500 after=2]]"
    *_, last = client.responses.create(model=MODEL, input=wish, stream=True)

    assert last.type == "response.failed"
    assert last.response.error is not None
    assert last.response.error.code == "server_error"
    assert client.responses.retrieve(last.response.id).status == "failed"


# tools


def called(answer: Response) -> list[ResponseFunctionToolCall]:
    """Return the function calls of an answer."""
    return [item for item in answer.output if item.type == "function_call"]


SUMS = calls([("add", {"a": 2, "b": 3})], [("add", {"a": 5, "b": 10}), ("add", {"a": 7, "b": 1})])


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("linked", [False, True], ids=["whole history", "previous_response_id"])
def test_a_loop_of_tools(workshop: Serving, linked: bool, stream: bool) -> None:
    """Three turns with single and parallel calls; native ones are a single ask upstream."""
    before, made, steps = asks(workshop), [], []
    previous: str | None = None
    given: list[Any] = [{"role": "user", "content": SUMS}]
    with connected(workshop) as client:
        while True:
            wish: dict[str, Any] = {"model": MODEL, "input": given, "tools": [ADD]}
            wish |= {"previous_response_id": previous} if linked and previous else {}
            if stream:
                with client.responses.stream(**wish) as streamed:
                    answer: Response = streamed.get_final_response()
            else:
                answer = client.responses.create(**wish)
            if not called(answer):
                break
            previous = answer.id
            steps.append(len(called(answer)))
            shown = [item.model_dump(exclude={"parsed_arguments"}) for item in answer.output]
            given = [] if linked else given + shown
            for call in called(answer):
                numbers = json.loads(call.arguments)
                made.append(numbers)
                result = str(numbers["a"] + numbers["b"])
                item = {"type": "function_call_output", "call_id": call.call_id, "output": result}
                given.append(item)

    assert steps == [1, 2]
    assert made == [{"a": 2, "b": 3}, {"a": 5, "b": 10}, {"a": 7, "b": 1}]
    assert "15" in answer.output_text
    assert "8" in answer.output_text
    is_native = entries(workshop, "ask-start")[-1]["route"] == "native"
    assert asks(workshop) - before == (1 if is_native else 3)


@pytest.mark.parametrize("stream", [False, True])
def test_a_freeform_tool(workshop: Serving, stream: bool) -> None:
    """A `custom` tool is called with raw text, and its result goes back."""
    patch = '*** Begin Patch\n+it\'s "here"\n*** End Patch'
    tool: Any = {"type": "custom", "name": "apply_patch", "description": "patches"}
    wish = calls([("apply_patch", {"input": patch})])
    with connected(workshop) as client:
        if stream:
            with client.responses.stream(model=MODEL, input=wish, tools=[tool]) as streamed:
                first: Response = streamed.get_final_response()
        else:
            first = client.responses.create(model=MODEL, input=wish, tools=[tool])
        (call,) = [item for item in first.output if item.type == "custom_tool_call"]
        result: Any = {
            "type": "custom_tool_call_output",
            "call_id": call.call_id,
            "output": "patched well",
        }
        second = client.responses.create(
            model=MODEL, input=[result], tools=[tool], previous_response_id=first.id
        )

    assert (call.name, call.input) == ("apply_patch", patch)
    assert "patched well" in second.output_text


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("path", ["/v1/responses", "/responses"])
def test_a_tool_in_a_namespace(workshop: Serving, path: str, stream: bool) -> None:
    """The call comes back with the bare name and the namespace beside it."""
    inner = {"type": "function", "name": "close_agent", "parameters": {"type": "object"}}
    body = {
        "model": MODEL,
        "input": calls([("close_agent", {"id": 1})]),
        "tools": [
            {"type": "namespace", "name": "multi_agent_v1", "tools": [inner]},
            {"type": "web_search", "external_web_access": True},
        ],
        "stream": stream,
    }
    answer = workshop.post(body, path)
    if stream:
        done = [frame.data for frame in frames_of(answer) if frame.name.endswith("item.done")]
        (item,) = [data["item"] for data in done]
    else:
        (item,) = answer.json()["output"]

    assert (item["type"], item["name"]) == ("function_call", "close_agent")
    assert item["namespace"] == "multi_agent_v1"
    assert json.loads(item["arguments"]) == {"id": 1}
    assert "tool_dropped" in answer.headers["x-lingma-notes"]


@pytest.mark.parametrize("choice", ["required", {"type": "function", "name": "add"}])
def test_a_demanded_call_comes(workshop: Serving, choice: Any) -> None:
    """`required` and a named tool give a call."""
    wish = calls([("add", {"a": 1, "b": 2})])
    with connected(workshop) as client:
        answer = client.responses.create(model=MODEL, input=wish, tools=[ADD], tool_choice=choice)

    assert [json.loads(call.arguments) for call in called(answer)] == [{"a": 1, "b": 2}]


# state


def test_a_stored_response_can_be_looked_at_and_forgotten(client: openai.OpenAI) -> None:
    """`retrieve`, `input_items.list` and `delete`, and then it is gone."""
    first = client.responses.create(model=MODEL, input=QUESTION, metadata={"a": "b"})
    second = client.responses.create(model=MODEL, input=QUOTE, previous_response_id=first.id)

    assert client.responses.retrieve(first.id).output_text == ANSWER
    assert client.responses.retrieve(first.id) == first
    assert second.previous_response_id == first.id
    assert ANSWER in second.output_text
    items = client.responses.input_items.list(second.id, order="asc").data
    assert [item.type for item in items] == ["message", "message", "message"]
    assert str(QUOTE) in items[-1].model_dump_json()
    client.responses.delete(first.id)
    for lookup in (client.responses.retrieve, client.responses.delete):
        with pytest.raises(openai.NotFoundError):
            lookup(first.id)
    with pytest.raises(openai.NotFoundError) as caught:
        client.responses.create(model=MODEL, input="x", previous_response_id=first.id)
    assert caught.value.param == "previous_response_id"


def test_instructions_do_not_carry_over(client: openai.OpenAI) -> None:
    """The turn before is remembered, what it was told by `instructions` is not."""
    first = client.responses.create(model=MODEL, input="hello", instructions="Be a pirate.")
    second = client.responses.create(
        model=MODEL, input=QUOTE, instructions="Be a poet.", previous_response_id=first.id
    )

    assert "Be a poet." in second.output_text
    assert "pirate" not in second.output_text


def test_a_conversation_grows(client: openai.OpenAI) -> None:
    """A conversation keeps its turns in order; items come and go; a deleted one is gone."""
    start: Any = [{"type": "message", "role": "user", "content": "my name is Ann"}]
    talk = client.conversations.create(items=start, metadata={"topic": "names"})
    first = client.responses.create(model=MODEL, input=f"{QUESTION} please", conversation=talk.id)
    second = client.responses.create(model=MODEL, input=QUOTE, conversation=talk.id)

    assert first.conversation is not None
    assert first.conversation.id == talk.id
    assert second.output_text.index("my name is Ann") < second.output_text.index(ANSWER)
    items = list(client.conversations.items.list(talk.id, order="asc", limit=2))
    roles = [getattr(item, "role", "") for item in items]
    assert roles == ["user", "user", "assistant", "user", "assistant"]
    item_id = items[0].id
    assert item_id is not None
    assert client.conversations.items.retrieve(item_id, conversation_id=talk.id) == items[0]
    client.conversations.items.delete(item_id, conversation_id=talk.id)
    third = client.responses.create(model=MODEL, input=QUOTE, conversation=talk.id)
    assert third.output_text.count("my name is Ann") == second.output_text.count("my name is Ann")
    assert client.conversations.update(talk.id, metadata={"topic": "x"}).metadata == {"topic": "x"}
    assert client.conversations.retrieve(talk.id).metadata == {"topic": "x"}
    client.conversations.delete(talk.id)
    with pytest.raises(openai.NotFoundError):
        client.conversations.retrieve(talk.id)
    with pytest.raises(openai.NotFoundError):
        client.responses.create(model=MODEL, input="x", conversation=talk.id)


def test_a_response_under_way_is_cancelled(client: openai.OpenAI, demo: Serving) -> None:
    """`cancel` ends the stream in its own form, gives everything back, and is remembered."""
    before = asks(demo)
    stream = client.responses.create(
        model=MODEL, input="[[demo: chunks=900 delay=0.05]]", stream=True
    )
    first = next(stream)
    assert first.type == "response.created"

    cancelled = client.responses.cancel(first.response.id)
    *_, last = stream

    assert (cancelled.id, cancelled.status) == (first.response.id, "cancelled")
    assert last.type == "response.failed"
    assert client.responses.retrieve(first.response.id) == cancelled
    assert client.responses.cancel(first.response.id).status == "cancelled"
    assert asks(demo) == before + 1
    wait_until(lambda: demo.in_flight() == 0, within=5, what="released leases")
