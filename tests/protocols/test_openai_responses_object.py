"""The response object: what it repeats, what it says of the answer, and its items."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given

from lingma_cli.core.chat import ChatRequest, Tool
from lingma_cli.core.collect import Block, Collector
from lingma_cli.core.events import BlockKind, BlockOpened, ChatEvent, Finished, FinishReason, Usage
from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.protocols.openai_responses import parse
from lingma_cli.protocols.openai_responses_object import (
    Items,
    Status,
    response_object,
    status_of,
)
from tests.support.openai_schema import violations
from tests.support.strategies import sealed_streams

PLAIN = ChatRequest(model="m", messages=())
TOOLS = (
    Tool(name="f"),
    Tool(name="n__f", client_name="f", namespace="n"),
    Tool(name="p", custom=True),
)


def asked(**fields: Any) -> ChatRequest:
    return parse(json.dumps({"model": "m", "input": "hi"} | fields).encode())


def whole(
    request: ChatRequest, answer: Collector | None = None, status: Status = Status.COMPLETED
) -> dict[str, Any]:
    return response_object(request, answer, response_id="x", created=7, status=status)


def call(name: str, text: str) -> Block:
    return Block(kind=BlockKind.TOOL_CALL, text=text, call_id="c", name=name)


@given(sealed_streams)
def test_any_answer_fits_the_schema(events: list[ChatEvent]) -> None:
    """Whatever was answered, the object has all that OpenAI promises."""
    answer = Collector()
    answer.feed(events)

    assert violations("Response", whole(PLAIN, answer, status_of(answer))) == []


@pytest.mark.parametrize("status", Status)
def test_before_any_answer(status: Status) -> None:
    """A response that has only begun is an object too, under the model's name as it was asked."""
    begun = whole(asked(), None, status)

    told = [begun[name] for name in ("id", "created_at", "status", "model", "output")]
    assert told == ["resp_x", 7, status.value, "m", []]
    assert violations("Response", begun) == []


def test_what_was_asked_is_repeated() -> None:
    """The client finds its own settings, tools as it sent them included."""
    sent = {
        "instructions": "be brief",
        "max_output_tokens": 20,
        "max_tool_calls": 3,
        "metadata": {"a": "b"},
        "parallel_tool_calls": False,
        "prompt_cache_key": "k",
        "prompt_cache_retention": "24h",
        "reasoning": {"effort": "low", "summary": "auto"},
        "safety_identifier": "s",
        "temperature": 0.5,
        "text": {"format": {"type": "json_object"}, "verbosity": "low"},
        "tool_choice": {"type": "function", "name": "f"},
        "tools": [
            {"type": "function", "name": "f", "parameters": {}, "strict": True, "description": "d"},
            {"type": "web_search"},
        ],
        "top_logprobs": 2,
        "top_p": 0.5,
        "truncation": "auto",
        "user": "u",
        "previous_response_id": "resp_0",
        "store": False,
    }
    told = whole(asked(**sent))

    assert sent == {name: told[name] for name in sent}
    assert violations("Response", told) == []


def test_what_was_not_asked_has_a_default() -> None:
    """`user` is absent and not null; a function gets the fields that the schema demands."""
    told = whole(asked(tools=[{"type": "function", "name": "f"}], text={"verbosity": "low"}))

    assert told.keys().isdisjoint({"user", "prompt_cache_retention", "usage"})
    assert told["tools"][0].keys() == {"type", "name", "description", "parameters", "strict"}
    assert told["text"] == {"format": {"type": "text"}, "verbosity": "low"}
    assert (told["store"], told["conversation"], told["metadata"]) == (True, None, {})


def test_null_in_the_settings_of_the_text_is_as_good_as_absence() -> None:
    """OpenAI's schema knows no format that is null."""
    told = whole(asked(text={"format": None, "verbosity": None}))

    assert told["text"] == {"format": {"type": "text"}}


@pytest.mark.parametrize("conversation", ["conv_1", {"id": "conv_1"}])
def test_the_conversation_is_an_object(conversation: Any) -> None:
    """It is told as an object however it was named."""
    assert whole(asked(conversation=conversation))["conversation"] == {"id": "conv_1"}


def test_usage_with_its_details() -> None:
    """Every count that the schema demands is there."""
    answer = Collector(usage=Usage(input_tokens=3, output_tokens=4, reasoning_tokens=2))

    assert whole(PLAIN, answer)["usage"] == {
        "input_tokens": 3,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": 4,
        "output_tokens_details": {"reasoning_tokens": 2},
        "total_tokens": 7,
    }


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (ErrorKind.ENGINE_FAILED, "server_error"),
        (ErrorKind.LOGIN_REQUIRED, "server_error"),
        (ErrorKind.OVERLOADED, "rate_limit_exceeded"),
        (ErrorKind.QUOTA_EXCEEDED, "rate_limit_exceeded"),
        (ErrorKind.INVALID_REQUEST, "invalid_prompt"),
        (ErrorKind.CONTENT_FILTERED, "invalid_prompt"),
    ],
)
def test_errors_have_one_of_openais_codes(kind: ErrorKind, code: str) -> None:
    """The object's error knows fewer codes than an error body."""
    answer = Collector(error=LingmaError(kind, "what it is", hint="what to do"))
    told = whole(PLAIN, answer, status_of(answer))

    assert told["error"] == {"code": code, "message": "what it is; what to do"}
    assert told["status"] == "failed"


def test_an_answer_that_was_cut() -> None:
    """It says why, and its last item is as incomplete as the whole."""
    blocks = [call("f", "{}"), call("f", '{"a')]
    answer = Collector(blocks=blocks, finished=Finished(reason=FinishReason.LENGTH))
    told = whole(PLAIN, answer, status_of(answer))

    assert told["incomplete_details"] == {"reason": "max_output_tokens"}
    assert [item["status"] for item in told["output"]] == ["completed", "incomplete"]


def test_a_cancelled_response_says_what_stopped_it() -> None:
    """The event that ends its stream is that of a failure, which clients want a message with."""
    answer = Collector(error=LingmaError(ErrorKind.CANCELLED, "x"))

    told = whole(PLAIN, answer, status_of(answer))

    assert (told["status"], told["error"]["message"]) == ("cancelled", "x")


def test_items_have_ids_of_their_own_place() -> None:
    """Each kind has its prefix; a text without a word leaves no item and takes no place."""
    answer = Collector(
        blocks=[
            Block(kind=BlockKind.REASONING, text="hm"),
            Block(kind=BlockKind.TEXT, text=""),
            Block(kind=BlockKind.TEXT, text="hi"),
            call("f", ""),
            call("p", ""),
        ]
    )
    request = ChatRequest(model="m", messages=(), tools=TOOLS)
    told = whole(request, answer)

    assert [item["id"] for item in told["output"]] == ["rs_x_0", "msg_x_1", "fc_x_2", "ctc_x_3"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("f", {"type": "function_call", "name": "f", "arguments": '{"input":"a"}'}),
        (
            "n__f",
            {"type": "function_call", "name": "f", "namespace": "n", "arguments": '{"input":"a"}'},
        ),
        ("p", {"type": "custom_tool_call", "name": "p", "input": "a"}),
        ("unknown", {"type": "function_call", "name": "unknown", "arguments": '{"input":"a"}'}),
    ],
)
def test_calls_carry_the_clients_names(name: str, expected: dict[str, Any]) -> None:
    """Namespaces and raw texts are as the client knows them."""
    items = Items(ChatRequest(model="m", messages=(), tools=TOOLS), "x")
    item = items.done(0, call(name, '{"input":"a"}'))

    assert expected == {key: item[key] for key in item if key not in ("id", "status", "call_id")}


@pytest.mark.parametrize("kind", BlockKind)
def test_an_item_begins_empty(kind: BlockKind) -> None:
    """Before its first word it has its id and nothing to read."""
    items = Items(PLAIN, "x")
    item = items.added(0, BlockOpened(kind=kind, call_id="c", name="f"))
    done = items.done(0, Block(kind=kind, text="t", call_id="c", name="f"))

    assert item["id"] == done["id"]
    assert not any(item.get(key) for key in ("content", "summary", "arguments"))
    assert violations("OutputItem", item) == []
