"""Tool messages of the binary."""

import pytest

from lingma_cli.demo.outcomes import Ending, Outcome
from lingma_cli.demo.toolcalls import ToolCall
from lingma_cli.demo.toolpushes import Tool
from tests.demo.test_answers import make_ask


def make_tool(named: str = "top") -> Tool:
    """Build a tool of the plain ask."""
    call = ToolCall(name="Write", arguments={"path": "ä"})
    return Tool(ask=make_ask("hi"), id="T", call=call, named=named)


@pytest.mark.parametrize("place", ["toolCall", "tool_call", "tool", "data"])
def test_the_name_stands_where_it_is_wished(place: str) -> None:
    """Builds disagree."""
    params = make_tool(place).sync("PENDING")

    assert params[place] == {"name": "Write"}
    assert "name" not in params


def test_a_sync_may_have_no_name() -> None:
    """The plugin's own class has none."""
    named = make_tool().sync("PENDING")

    assert named.pop("name") == "Write"
    assert make_tool("none").sync("PENDING") == named


def test_parameters_come_after_the_first_state() -> None:
    """INIT is told before they are known."""
    assert make_tool().sync("INIT")["parameters"] == {}
    assert make_tool().sync("PENDING")["parameters"] == {"path": "ä"}


@pytest.mark.parametrize(
    ("ending", "status", "results", "code"),
    [
        ("result", "FINISHED", [{"content": 1}], ""),
        ("upstream", "FINISHED", [{"content": 1}], ""),
        ("failed", "ERROR", [], "500"),
        ("refused", "CANCELLED", [], "500"),
        ("overdue", "CANCELLED", [], "500"),
    ],
)
def test_ends(ending: Ending, status: str, results: list[object], code: str) -> None:
    """Results are objects; failures have a code."""
    params = make_tool().ended(Outcome(name="Write", ending=ending, result={"content": 1}))

    assert (params["toolCallStatus"], params["results"], params["errorCode"]) == (
        status,
        results,
        code,
    )


def test_a_marker_is_a_fence_of_its_own() -> None:
    """The info string has name, id and state."""
    assert make_tool().marker() == '\n```toolCall::Write::T::PENDING\n{"path": "ä"}\n```\n'
