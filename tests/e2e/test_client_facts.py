"""What real clients send and need, as recorded from them: raw requests against the running program.

The numbers are those of the recorded facts; see also `test_client_fields.py` and
`test_response_details.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.support.demo_words import asks, calls, say
from tests.support.frames import frames_of
from tests.support.serving import Serving, serving

KEY = "client-facts-key-0123456789"
CHAT, RESPONSES, MESSAGES = "/v1/chat/completions", "/v1/responses", "/v1/messages"
PATHS = [CHAT, RESPONSES, "/responses", MESSAGES]
COUNT = "/v1/messages/count_tokens"
QUOTE = "[[demo: quote=prompt]]"
ADD = {"type": "object", "properties": {"a": {"type": "integer"}}}


def body_for(path: str, text: str, **more: Any) -> dict[str, Any]:
    """Return a body for `path` with one user turn."""
    asked = "input" if path.endswith("responses") else "messages"
    limit = {"max_tokens": 500} if path.startswith(MESSAGES) else {}
    return {"model": "org_auto", asked: [{"role": "user", "content": text}], **limit, **more}


def text_in(path: str, answer: httpx.Response) -> str:
    """Return the text of a whole answer."""
    body = answer.json()
    assert answer.status_code == 200, body
    if path == CHAT:
        return str(body["choices"][0]["message"]["content"])
    if path.startswith(MESSAGES):
        return "".join(block.get("text", "") for block in body["content"])
    parts = [part for item in body["output"] for part in item.get("content", ())]
    return "".join(part["text"] for part in parts)


def error_in(path: str, body: Any) -> dict[str, Any]:
    """Return the error in `path`'s own envelope."""
    if path.startswith(MESSAGES):
        assert set(body) == {"type", "error"}
        assert body["type"] == "error"
        assert {"type", "message"} <= set(body["error"])
    else:
        assert set(body) == {"error"}
        assert set(body["error"]) == {"message", "type", "param", "code"}
    error: dict[str, Any] = body["error"]
    return error


# 1: threads


@pytest.mark.parametrize(
    "thread",
    [{"type": "create"}, {"type": "continue", "previous_message_id": "msg_1"}],
)
def test_1_threads_are_refused_so_that_the_client_sends_all(
    demo: Serving, thread: dict[str, str]
) -> None:
    """A thread is a 400 with the details that the SDK looks for, and asks nobody."""
    before = asks(demo)
    for path in (f"{MESSAGES}?beta=true", f"{COUNT}?beta=true"):
        answer = demo.post(body_for(MESSAGES, "hi", thread=thread), path)

        assert answer.status_code == 400
        error = error_in(MESSAGES, answer.json())
        assert error["type"] == "invalid_request_error"
        assert error["details"] == {
            "error_code": "thread_unsupported_request",
            "unsupported": ["thread"],
        }
    assert asks(demo) == before


# 2, 9 and 10: errors

BEFORE = [
    ("finish=401 after=0", 401, "false", False),
    ("finish=403 after=0", 429, None, True),
    ("finish=429 after=0", 429, None, True),
    ("end=filter after=0", 400, "false", False),
    ("finish=408 after=0", 504, None, False),
    ("finish=500 after=0", 502, None, False),
    ("reply=unknown", 501, "false", False),
]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(("directive", "status", "advice", "waits"), BEFORE)
def test_2_and_9_errors_before_the_first_byte(
    demo: Serving,
    path: str,
    directive: str,
    status: int,
    advice: str | None,
    waits: bool,
    stream: bool,
) -> None:
    """They are HTTP errors in the path's envelope; advice says whether a retry can help."""
    answer = demo.post(body_for(path, f"[[demo: {directive}]]", stream=stream), path)

    assert answer.status_code == status
    error_in(path, answer.json())
    assert answer.headers.get("x-should-retry") == advice
    assert ("retry-after" in answer.headers) == waits
    assert "x-request-id" in answer.headers


@pytest.mark.parametrize("path", [*PATHS, COUNT])
def test_2_bad_requests_are_not_tried_again(demo: Serving, path: str) -> None:
    """A body that cannot be read is a 400 for good."""
    for content in (b"{", b"[]", b"{}"):
        answer = httpx.post(demo.url + path, content=content, trust_env=False)

        assert (answer.status_code, answer.headers["x-should-retry"]) == (400, "false")
        error_in(path, answer.json())


@pytest.mark.parametrize("directive", ["finish=500", "drop", "finish=403"])
def test_10_a_break_in_mid_stream_is_no_clean_end(demo: Serving, directive: str) -> None:
    """After the first text an error comes in the API's own form, and nothing after it."""
    question = f"[[demo: {directive} after=2]]"
    streams = {
        path: frames_of(demo.post(body_for(path, question, stream=True), path)) for path in PATHS
    }

    *some, last = streams[CHAT]
    assert error_in(CHAT, last.data)
    assert all(not choice["finish_reason"] for frame in some for choice in frame.data["choices"])
    for path in ("/v1/responses", "/responses"):
        *_, last, done = streams[path]
        assert (last.name, done.data) == ("response.failed", "[DONE]")
        assert last.data["response"]["status"] == "failed"
        assert last.data["response"]["error"]["message"]
    *some, last = streams[MESSAGES]
    assert last.name == "error"
    assert error_in(MESSAGES, last.data)
    assert not {"message_delta", "message_stop"} & {frame.name for frame in some}


# 3 to 6: what agents send


def test_3_unknown_fields_betas_and_tools_are_no_400(demo: Serving) -> None:
    """Claude Code's betas, odd tools and fields of tomorrow pass."""
    body = body_for(MESSAGES, "hi", from_tomorrow={"a": 1}, speed="fast")
    body["tools"] = [
        {
            "name": "Read",
            "description": "reads",
            "input_schema": ADD,
            "eager_input_streaming": True,
        },
        {"name": "DeferredToolPlaceholder", "input_schema": ADD, "defer_loading": True},
        {"type": "web_search_20260101", "name": "web_search"},
        {"type": "from_tomorrow", "a": 1},
    ]
    body["messages"][0]["content"] = [
        {"type": "text", "text": QUOTE},
        {"type": "from_tomorrow", "data": 1},
    ]
    answer = httpx.post(
        f"{demo.url}{MESSAGES}?beta=true",
        json=body,
        headers={"anthropic-beta": "from-tomorrow-2030-01-01", "anthropic-version": "2030-01-01"},
        trust_env=False,
    )

    prompt = text_in(MESSAGES, answer)
    assert "Read" in prompt
    assert "DeferredToolPlaceholder" not in prompt
    notes = answer.headers["x-lingma-notes"].split(",")
    assert {"tool_dropped", "tool_deferred", "part_dropped"} <= set(notes)


def test_4_a_system_message_inside_messages(demo: Serving) -> None:
    """It is part of the system text, in front; the user's turn stays the question."""
    body = body_for(MESSAGES, QUOTE)
    block = {"type": "text", "text": "Mind the gap.", "cache_control": {"type": "ephemeral"}}
    body["messages"].append({"role": "system", "content": [block]})
    body["system"] = [{"type": "text", "text": "Be kind.", "cache_control": {"type": "ephemeral"}}]

    prompt = text_in(MESSAGES, demo.post(body, MESSAGES))

    assert prompt.index("Be kind.") < prompt.index("Mind the gap.") < prompt.rindex(QUOTE)


def test_5_codex_speaks_as_developer(demo: Serving) -> None:
    """Without `instructions` the developer items are the system text, before every user item."""
    items = [
        ("developer", "You are a coding agent."),
        ("developer", "Sandbox: read-only."),
        ("user", "<environment_context>linux</environment_context>"),
        ("user", QUOTE),
    ]
    body = {
        "model": "org_auto",
        "input": [
            {"type": "message", "role": role, "content": [{"type": "input_text", "text": text}]}
            for role, text in items
        ],
    }

    prompt = text_in(RESPONSES, demo.post(body, RESPONSES))

    places = [prompt.index(text) for _, text in items]
    assert places == sorted(places)


@pytest.mark.parametrize("stream", [False, True])
def test_6_codex_tools_are_not_all_functions(demo: Serving, stream: bool) -> None:
    """A namespaced call comes back with its namespace; hosted and unknown tools are dropped."""
    inner = [
        {"type": "function", "name": name, "parameters": ADD, "strict": False}
        for name in ("spawn_agent", "close_agent")
    ]
    tools = [
        {"type": "function", "name": "exec_command", "parameters": ADD, "strict": False},
        {"type": "namespace", "name": "multi_agent_v1", "description": "d", "tools": inner},
        {"type": "web_search", "external_web_access": True},
        *({"type": kind} for kind in ("local_shell", "mcp", "image_generation", "from_tomorrow")),
    ]
    wish = calls([("close_agent", {"a": 1}), ("exec_command", {"a": 2})])
    answer = demo.post(body_for(RESPONSES, wish, tools=tools, stream=stream), RESPONSES)

    if stream:
        done = [one.data for one in frames_of(answer) if one.name == "response.output_item.done"]
        items = [data["item"] for data in done]
    else:
        items = answer.json()["output"]
    made = [item for item in items if item["type"] == "function_call"]
    assert [item["name"] for item in made] == ["close_agent", "exec_command"]
    assert [item.get("namespace") for item in made] == ["multi_agent_v1", None]
    # The history comes back with the namespace, and is read.
    result = {"type": "function_call_output", "call_id": made[0]["call_id"], "output": "closed!"}
    history = [{"role": "user", "content": "close it"}, *items, result]
    body = {"model": "org_auto", "input": [*history, {"role": "user", "content": QUOTE}]}
    assert "closed!" in text_in(RESPONSES, demo.post(body, RESPONSES))


# 7: the grammar is looked at in `test_response_details.py`. 8: usage


def test_8_usage_is_everywhere(demo: Serving) -> None:
    """Chat streams tell it when asked, in a last chunk of its own; the others always."""
    wish = say("some words for the count")
    for path, (given, taken) in {
        CHAT: ("prompt_tokens", "completion_tokens"),
        RESPONSES: ("input_tokens", "output_tokens"),
        MESSAGES: ("input_tokens", "output_tokens"),
    }.items():
        usage = demo.post(body_for(path, wish), path).json()["usage"]
        assert usage[given] > 0
        assert usage[taken] > 0

    options = {"stream": True, "stream_options": {"include_usage": True}}
    *some, last, done = frames_of(demo.post(body_for(CHAT, wish, **options), CHAT))
    assert done.data == "[DONE]"
    assert last.data["choices"] == []
    assert last.data["usage"]["total_tokens"] > 1
    assert all(frame.data["usage"] is None for frame in some)
    silent = frames_of(demo.post(body_for(CHAT, wish, stream=True), CHAT))
    assert all("usage" not in frame.data for frame in silent[:-1])
    assert all(frame.data["choices"] for frame in silent[:-1])

    named = {
        frame.name: frame.data
        for frame in frames_of(demo.post(body_for(MESSAGES, wish, stream=True), MESSAGES))
    }
    assert named["message_start"]["message"]["usage"]["input_tokens"] > 0
    assert named["message_delta"]["usage"]["output_tokens"] > 0
    *_, last, done = frames_of(demo.post(body_for(RESPONSES, wish, stream=True), RESPONSES))
    assert last.name == "response.completed"
    assert last.data["response"]["usage"]["total_tokens"] > 1


# 11 to 14


def test_11_side_requests_run_beside_the_turn(demo: Serving) -> None:
    """Three requests with one key at once are all served."""
    slow = "[[demo: say=fine first=0.2]]"
    with ThreadPoolExecutor(3) as pool:
        answers = list(pool.map(demo.ask, [slow] * 3))

    assert [answer.status_code for answer in answers] == [200] * 3


def test_12_a_burst_of_counts_asks_nobody(demo: Serving) -> None:
    """Two dozen counts at once, with tools and images, are answered here."""
    image = {"type": "base64", "media_type": "image/png", "data": "aGVsbG8="}
    body = body_for(MESSAGES, "hi")
    body["messages"][0]["content"] = [
        {"type": "text", "text": "How many? " * 100},
        {"type": "image", "source": image},
    ]
    body["tools"] = [{"name": "Read", "input_schema": ADD}]
    before = asks(demo)

    with ThreadPoolExecutor(24) as pool:
        answers = list(pool.map(lambda _: demo.post(body, f"{COUNT}?beta=true"), range(24)))

    counts = {answer.json()["input_tokens"] for answer in answers}
    assert len(counts) == 1
    assert counts.pop() > 100
    assert asks(demo) == before


@pytest.fixture(scope="module")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """A demo server that asks for a key."""
    environ = {"LINGMA_API_KEYS": KEY}
    with serving(tmp_path_factory.mktemp("keyed"), "--demo", environ=environ) as server:
        yield server


ENDPOINTS = [
    ("POST", CHAT, 400),
    ("POST", RESPONSES, 400),
    ("POST", "/responses", 400),
    ("GET", "/v1/responses/resp_1", 404),
    ("GET", "/v1/responses/resp_1/input_items", 404),
    ("POST", "/v1/responses/resp_1/cancel", 404),
    ("DELETE", "/responses/resp_1", 404),
    ("POST", "/v1/conversations", 200),
    ("GET", "/v1/conversations/conv_1", 404),
    ("GET", "/v1/conversations/conv_1/items", 404),
    ("POST", MESSAGES, 400),
    ("POST", f"{MESSAGES}?beta=true", 400),
    ("POST", f"{COUNT}?beta=true", 400),
    ("GET", "/v1/models", 200),
    ("GET", "/v1/models/org_auto", 200),
]


@pytest.mark.parametrize(("method", "path", "status"), ENDPOINTS)
def test_13_and_14_either_header_opens_every_endpoint(
    keyed: Serving, method: str, path: str, status: int
) -> None:
    """Both headers carry the key, together too; without it, 401 and no retry; queries pass."""

    def answer(headers: dict[str, str]) -> httpx.Response:
        return httpx.request(
            method, keyed.url + path, headers=headers, content=b"{}", trust_env=False
        )

    bearer, key = {"authorization": f"Bearer {KEY}"}, {"x-api-key": KEY}
    assert [answer(headers).status_code for headers in (bearer, key, bearer | key)] == [status] * 3
    refused = answer({})
    assert (refused.status_code, refused.headers["x-should-retry"]) == (401, "false")
    error_in(path, refused.json())


# what is asked beside the turns


def test_probes_and_lists_of_models(keyed: Serving) -> None:
    """`/` answers without a key; models come in the form of whoever asks, Codex's beside `data`."""
    for method in ("GET", "HEAD"):
        assert httpx.request(method, keyed.url, trust_env=False).status_code == 200
    body = keyed.get("/v1/models", headers={"x-api-key": KEY}).json()
    assert [one["slug"] for one in body["models"]] == [one["id"] for one in body["data"]]
    assert all(one["context_window"] > 0 for one in body["models"])
    levels = [one["supported_reasoning_levels"] for one in body["models"]]
    assert [] in levels
    assert any(level for level in levels)
    headers = {"x-api-key": KEY, "anthropic-version": "2023-06-01"}
    listed = keyed.get("/v1/models", headers=headers).json()
    assert set(listed) == {"data", "has_more", "first_id", "last_id"}
    assert {one["type"] for one in listed["data"]} == {"model"}
    unknown = keyed.get("/v1/models/none", headers=headers)
    assert (unknown.status_code, unknown.json()["error"]["type"]) == (404, "not_found_error")
