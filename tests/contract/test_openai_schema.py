"""What goes out in the golden cases of OpenAI's protocols fits OpenAI's own schema."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lingma_cli.protocols.sse import SseReader
from tests.support.golden import case_files, read_case
from tests.support.openai_schema import violations

# Protocol, what its events are, what its bodies are.
COMPONENTS = [
    ("openai_chat", "CreateChatCompletionStreamResponse", "CreateChatCompletionResponse"),
    ("openai_responses", "ResponseStreamEvent", "Response"),
]
# OpenAI streams calls of freeform tools, though its schema of a chunk lists functions alone.
GAPS = {"$.choices[0].delta.tool_calls[0].type: 'custom' is not one of ['function']"}
CASES = [
    pytest.param(path, event, body, id=f"{protocol}-{path.stem}")
    for protocol, event, body in COMPONENTS
    for path in case_files(protocol)
]


def _component(value: dict[str, Any], usual: str) -> str:
    return "ErrorResponse" if value.keys() == {"error"} else usual


@pytest.mark.parametrize(("path", "event", "body"), CASES)
def test_golden_cases_fit_the_schema(path: Path, event: str, body: str) -> None:
    """Every event and every body has all that OpenAI promises, and nothing of another type."""
    case = read_case(path)
    frames = [frame for frame in SseReader().feed(case.sse) if frame != b"[DONE]"]
    told = [(json.loads(frame), event) for frame in frames] + [(case.json, body)]

    found = {
        wrong for value, usual in told for wrong in violations(_component(value, usual), value)
    }

    assert found - GAPS == set()


def test_a_violation_is_seen() -> None:
    """The check is able to fail, and says where."""
    (missing, *_) = violations("ResponseStreamEvent", {"type": "response.output_text.delta"})
    (wrong,) = violations("ResponseUsage", {**USAGE, "input_tokens": "1"})

    assert "is a required property" in missing
    assert wrong.startswith("$.input_tokens: ")


USAGE = {
    "input_tokens": 1,
    "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
    "output_tokens": 1,
    "output_tokens_details": {"reasoning_tokens": 0},
    "total_tokens": 2,
}
