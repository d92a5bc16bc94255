"""What an ask is to do about tools."""

from typing import Any

import pytest

from lingma_cli.demo import toolplan
from lingma_cli.demo.directives import parse
from lingma_cli.demo.toolplan import Offer, Plan

CALLS = '[{"name":"Write","arguments":{"p":1}},{"name":"Bash"}]'
WORDS = f"calls='{CALLS}'"
USER = f"# Conversation so far\n\n## User\n\n[[demo: {WORDS}]] go"
CALLED = '\n\n## Assistant\n\n```json action\n{"tool":"Write"}\n```'
WRITE = {"type": "function", "function": {"name": "Write", "parameters": {}}}


def plan(prompt: str, words: str = WORDS, side: str = "text", **params: Any) -> Plan:
    """Plan an ask."""
    return toolplan.make(dict(params), prompt, parse(words), side)


@pytest.mark.parametrize(
    ("transcript", "done", "quotes"),
    [
        ("", 0, ()),
        (CALLED + "\n\n## Tool\n\nTool result for id call_1:\nok", 1, ('"ok"',)),
        (CALLED + "\n\n# Last turn: Tool\n\nTool result for id call_1:\nok\n", 1, ('"ok"',)),
        (
            CALLED + "\n\nTool result for id call_1: ok\n\nTool result for id call_1: ok",
            1,
            ('"ok"',),
        ),
        (
            CALLED + "\n\n## Tool\n\nTool result for id c1:\na\n"
            "\n## Tool\n\nTool result for id c2:\n[b]\n\n## User\n\nand now?",
            2,
            ('"[b]"',),
        ),
        ("\n\n[tool]\nfirst\n\n[tool]\nsecond\n\n[user]\nmore", 2, ('"second"',)),
        ("\n\n<tool_result>\nok\n</tool_result>", 1, ('"ok"',)),
        ("\n\nThe phrase Tool result for id x: in a line", 0, ()),
    ],
)
def test_results_in_the_transcript_tell_the_step(
    transcript: str, done: int, quotes: tuple[str, ...]
) -> None:
    """Distinct results behind the directive are counted, and the last step's are quoted."""
    found = plan(USER + transcript)

    assert (found.done, found.quotes, len(found.left)) == (done, quotes, 2 - done)


def test_results_before_the_directive_belong_to_another_question() -> None:
    """Every directive starts anew."""
    old = "## Tool\n\nTool result for id c0:\nold\n\n"

    assert plan(old + USER).done == 0


@pytest.mark.parametrize(
    ("results", "done"),
    [(0, 0), (1, 1), (2, 1), (3, 2), (4, 3), (9, 3)],
)
def test_parallel_calls_are_one_step(results: int, done: int) -> None:
    """Two results end the step of two calls; a client that dropped one gives only one."""
    steps = parse("""calls='[[{"name":"a"},{"name":"b"}],{"name":"c"},{"name":"d"}]'""").calls
    assert steps is not None

    assert toolplan.done_steps(steps, Offer(), results) == done


def test_merged_and_unknown_calls_have_no_results() -> None:
    """Same calls count once, and those that were not offered not at all."""
    steps = parse("""calls='[[{"name":"a"},{"name":"a"},{"name":"x"}],[{"name":"a"}]]'""").calls
    assert steps is not None

    assert toolplan.done_steps(steps, Offer(names=("a",)), 1) == 1
    assert toolplan.done_steps(steps, Offer(names=("a",)), 2) == 2


@pytest.mark.parametrize(
    ("side", "params", "words", "route"),
    [
        ("text", {"mode": "agent", "extra": {"tools": [WRITE]}}, "", "text"),
        ("native", {}, "", "text"),
        ("native", {"mode": "agent"}, "", "native"),
        ("native", {"sessionType": "ask"}, "", "native"),
        ("native", {"chatTask": "AI_ASSISTANT_AGENT_TASK"}, "", "native"),
        ("native", {"extra": {"tools": [WRITE]}}, "", "native"),
        ("native", {"tools": [WRITE]}, "", "native"),
        ("native-agent", {"tools": [WRITE]}, "", "text"),
        ("native-agent", {"mode": "agent"}, "", "native"),
        ("native", {"mode": "agent"}, "via=text", "text"),
        ("text", {}, "via=native", "native"),
    ],
)
def test_the_route_follows_side_and_ask(
    side: str, params: dict[str, object], words: str, route: str
) -> None:
    """Native needs a side that plays it, and an ask that wants it; `via` decides over both."""
    assert plan(USER, f"{WORDS} {words}", side, **params).route == route


@pytest.mark.parametrize(
    ("params", "offer"),
    [
        (
            {"extra": {"tools": [WRITE], "toolChoice": "auto"}, "tools": [{}]},
            Offer(names=("Write",), place="extra", choice="auto"),
        ),
        (
            {"extra": None, "tools": [WRITE, {"name": "flat"}, 7], "toolChoice": {"x": 1}},
            Offer(names=("Write",), place="top", choice={"x": 1}, odd=2),
        ),
        ({"extra": {"tools": []}}, Offer()),
        ({}, Offer()),
    ],
)
def test_offered_tools_are_found(params: dict[str, object], offer: Offer) -> None:
    """In `extra` first, then at the top; what is no function tool is counted as odd."""
    assert toolplan.offered(params) == offer


@pytest.mark.parametrize(
    ("prompt", "params", "calls"),
    [
        (USER, {}, 0),
        (f"# Instructions\n\nWrite(p) - writes\n\n{USER}", {}, 2),
        (USER, {"extra": {"tools": [WRITE]}}, 2),
        (f"# Instructions\n\nWriter\n\n{USER}", {}, 0),
    ],
)
def test_known_keeps_side_requests_plain(prompt: str, params: dict[str, Any], calls: int) -> None:
    """Clients repeat the prompt to ask for a title, without any tools."""
    assert len(plan(prompt, f"{WORDS} known", **params).left) == calls
