"""Fields that clients send and that must be accepted: a request with each, on each protocol."""

from __future__ import annotations

from typing import Any

import pytest

from tests.e2e.test_client_facts import CHAT, MESSAGES, RESPONSES, body_for, text_in
from tests.support.demo_words import say
from tests.support.serving import Serving

FINE = say("fine")
QUOTE = "[[demo: quote=prompt]]"
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}}
FUNCTION = {"type": "function", "function": {"name": "add", "parameters": SCHEMA}}
FLAT = {"type": "function", "name": "add", "parameters": SCHEMA}
OWN = {"name": "add", "input_schema": SCHEMA}

# Fields that do no harm when they are left alone: no note either.
QUIET: dict[str, list[dict[str, Any]]] = {
    CHAT: [
        {"store": True},
        {"stream_options": {"include_usage": True}},
        {"max_completion_tokens": 900},
        {"max_tokens": 900},
        {"parallel_tool_calls": True},
        {"response_format": {"type": "text"}},
        {"stop": "xyz"},
        {"stop": ["xyz", "zyx"]},
        {"n": 1},
        {"service_tier": "auto"},
        {"metadata": {"a": "b"}},
        {"tool_choice": "auto"},
        {"tool_choice": "none"},
    ],
    RESPONSES: [
        {"store": False},
        {"store": True},
        {"include": ["reasoning.encrypted_content"]},
        {"include": []},
        {"reasoning": {"summary": "auto"}},
        {"parallel_tool_calls": True},
        {"prompt_cache_key": "thread-1"},
        {"client_metadata": {"a": "b"}},
        {"metadata": {"a": "b"}},
        {"text": {"format": {"type": "text"}}},
        {"truncation": "auto"},
        {"max_output_tokens": 900},
        {"service_tier": "auto"},
        {"tool_choice": "auto"},
        {"instructions": "Be kind."},
    ],
    MESSAGES: [
        {"metadata": {}},
        {"thinking": {"type": "adaptive", "display": "omitted"}},
        {"thinking": {"type": "disabled"}},
        {"context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]}},
        {"service_tier": "auto"},
        {"betas": ["effort-2025-11-24"]},
        {"cache_control": {"type": "ephemeral"}},
        {"stop_sequences": ["xyz"]},
        {"system": "Be kind."},
        {"system": [{"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}]},
        {"tools": [{**OWN, "cache_control": {"type": "ephemeral"}}]},
        *({"tools": [OWN], "tool_choice": {"type": kind}} for kind in ("auto", "none")),
    ],
}
QUIET_CASES = [(path, fields) for path, some in QUIET.items() for fields in some]
# What always stands there: the simulator counts no tokens, and tools go by the prompt.
USUAL = {"usage_estimated", "tools_emulated"}


def case_id(value: object) -> str:
    """Return a readable id of a case."""
    return value if isinstance(value, str) else str(value)[:60]


@pytest.mark.parametrize(("path", "fields"), QUIET_CASES, ids=case_id)
def test_harmless_fields_leave_no_note(demo: Serving, path: str, fields: dict[str, Any]) -> None:
    """The answer is the usual one, streamed too."""
    answer = demo.post(body_for(path, FINE) | fields, path)

    assert text_in(path, answer) == "fine"
    assert set(answer.headers["x-lingma-notes"].split(",")) <= USUAL
    streamed = demo.post(body_for(path, FINE, stream=True) | fields, path)
    assert streamed.status_code == 200
    assert "fine" in streamed.text


# Fields whose loss a user may want to know of.
NOTED: list[tuple[str, dict[str, Any], str]] = [
    (CHAT, {"temperature": 0, "top_p": 0.5, "seed": 1}, "sampling_ignored"),
    (CHAT, {"user": "ann"}, "fields_ignored"),
    (CHAT, {"reasoning_effort": "high"}, "reasoning_effort_ignored"),
    (CHAT, {"tools": [FUNCTION, {"type": "from_tomorrow"}]}, "tool_dropped"),
    (RESPONSES, {"temperature": 0.5}, "sampling_ignored"),
    (RESPONSES, {"reasoning": {"effort": "high"}}, "reasoning_effort_ignored"),
    (RESPONSES, {"text": {"format": {"type": "text"}, "verbosity": "low"}}, "fields_ignored"),
    (RESPONSES, {"background": True}, "background_ignored"),
    *(
        (RESPONSES, {"tools": [FLAT, {"type": kind}]}, "tool_dropped")
        for kind in ("web_search", "local_shell", "mcp", "image_generation", "code_interpreter")
    ),
    (MESSAGES, {"temperature": 1.0, "top_k": 5}, "sampling_ignored"),
    (MESSAGES, {"metadata": {"user_id": '{"device_id": "x"}'}}, "fields_ignored"),
    (MESSAGES, {"mcp_servers": [{"type": "url", "url": "http://x"}]}, "fields_ignored"),
    (MESSAGES, {"output_config": {"effort": "high"}}, "reasoning_effort_ignored"),
    (MESSAGES, {"thinking": {"type": "enabled", "budget_tokens": 1024}}, "fields_ignored"),
    (MESSAGES, {"tools": [OWN, {**OWN, "name": "x", "defer_loading": True}]}, "tool_deferred"),
]


@pytest.mark.parametrize(("path", "fields", "note"), NOTED, ids=case_id)
def test_what_is_not_kept_is_noted(
    demo: Serving, path: str, fields: dict[str, Any], note: str
) -> None:
    """The answer is the usual one, and the header says what was left out."""
    answer = demo.post(body_for(path, FINE) | fields, path)

    assert text_in(path, answer) == "fine"
    assert note in answer.headers["x-lingma-notes"].split(",")


def test_an_unknown_previous_response_is_never_ignored(demo: Serving) -> None:
    """It is an error that names the field, streamed or not."""
    for stream in (False, True):
        body = body_for(RESPONSES, "hi", previous_response_id="resp_unknown", stream=stream)
        answer = demo.post(body, RESPONSES)

        assert answer.status_code in (400, 404)
        assert answer.json()["error"]["param"] == "previous_response_id"


# Histories in every form that clients write; each must reach the model.

CALL = {"id": "call_1", "type": "function", "function": {"name": "add", "arguments": '{"a":1}'}}
USE = {"type": "tool_use", "id": "toolu_1", "name": "add", "input": {"a": 1}}
RESULT = {"type": "tool_result", "tool_use_id": "toolu_1"}
FUNCTION_CALL = {"type": "function_call", "call_id": "c1", "name": "add", "arguments": '{"a":1}'}
CUSTOM_CALL = {"type": "custom_tool_call", "call_id": "c2", "name": "patch", "input": "+ line"}
OUTPUT_TEXT = {"type": "output_text", "text": "told before", "annotations": []}


def output(kind: str, call_id: str, value: Any) -> dict[str, Any]:
    """Return what a client's tool answered, as an item."""
    return {"type": kind, "call_id": call_id, "output": value}


HISTORIES: list[tuple[str, list[dict[str, Any]], str]] = [
    (CHAT, [{"role": "developer", "content": "Be kind."}], "Be kind."),
    (CHAT, [{"role": "user", "content": [{"type": "text", "text": "parts"}]}], "parts"),
    (
        CHAT,
        [
            {"role": "assistant", "content": None, "tool_calls": [CALL]},
            {"role": "tool", "tool_call_id": "call_1", "content": [{"type": "text", "text": "r1"}]},
        ],
        "r1",
    ),
    (RESPONSES, [{"role": "assistant", "content": "said before"}], "said before"),
    (
        RESPONSES,
        [{"type": "message", "role": "assistant", "content": [OUTPUT_TEXT]}],
        "told before",
    ),
    (RESPONSES, [FUNCTION_CALL, output("function_call_output", "c1", "r2")], "r2"),
    (
        RESPONSES,
        [
            FUNCTION_CALL,
            output("function_call_output", "c1", [{"type": "input_text", "text": "r3"}]),
        ],
        "r3",
    ),
    (RESPONSES, [CUSTOM_CALL, output("custom_tool_call_output", "c2", "r4")], "r4"),
    (RESPONSES, [{"type": "reasoning", "id": "rs_1", "summary": []}], QUOTE),
    (RESPONSES, [{"type": "from_tomorrow", "a": 1}], QUOTE),
    (
        MESSAGES,
        [
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "hm", "signature": "abc"},
                    {"type": "redacted_thinking", "data": "abc"},
                    USE,
                ],
            },
            {
                "role": "user",
                "content": [{**RESULT, "content": "r5"}, {"type": "text", "text": "go on"}],
            },
        ],
        "r5",
    ),
    (
        MESSAGES,
        [
            {"role": "assistant", "content": [USE]},
            {
                "role": "user",
                "content": [
                    {
                        **RESULT,
                        "content": [{"type": "text", "text": "r6"}],
                        "is_error": True,
                        "cache_control": {"type": "ephemeral"},
                    }
                ],
            },
        ],
        "r6",
    ),
    (
        MESSAGES,
        [{"role": "assistant", "content": [USE]}, {"role": "user", "content": [RESULT]}],
        "add",
    ),
]


@pytest.mark.parametrize(("path", "history", "words"), HISTORIES, ids=case_id)
def test_history_in_every_form_is_read(
    demo: Serving, path: str, history: list[dict[str, Any]], words: str
) -> None:
    """The words of the history reach the model, foreign thinking does not."""
    body = body_for(path, QUOTE)
    field = "input" if path == RESPONSES else "messages"
    body[field] = [{"role": "user", "content": "hello"}, *history, *body[field]]

    prompt = text_in(path, demo.post(body, path))

    assert words in prompt
    assert prompt.rstrip().endswith(QUOTE)
    assert "hm" not in prompt.split()
