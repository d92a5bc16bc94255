"""What checks streams can fail: golden streams pass, and each rule has a stream that breaks it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import pytest

from tests.support.golden import case_files, read_case
from tests.support.wire_grammar import Rule, Violation, chat, messages, responses, samples
from tests.support.wire_grammar.samples import Bad

Check = Callable[[bytes], list[Violation]]


def _golden(protocol: str, case: Path) -> list[Violation]:
    read = read_case(case)
    if protocol == "anthropic_messages":
        return messages(read.sse)
    if protocol == "openai_responses":
        return responses(read.sse)
    body = json.loads(read.request)
    include = body.get("stream_options", {}).get("include_usage", False)
    return chat(read.sse, choices=body.get("n", 1), include_usage=include)


@pytest.mark.parametrize(
    ("protocol", "case"),
    [
        pytest.param(protocol, case, id=f"{protocol}-{case.stem}")
        for protocol in ("openai_chat", "openai_responses", "anthropic_messages")
        for case in case_files(protocol)
    ],
)
def test_golden_streams_are_good(protocol: str, case: Path) -> None:
    """Nothing is wrong with them, but that nobody counted in the empty one."""
    uncounted = {Rule.RESPONSES_COUNTS} if case.stem == "empty" else set()

    assert [one for one in _golden(protocol, case) if one.rule not in uncounted] == []


def _check_chat(stream: bytes) -> list[Violation]:
    return chat(stream, choices=2, include_usage=True)


GOOD: Final[Mapping[str, tuple[str, Check, tuple[Bad, ...]]]] = {
    "chat": (samples.CHAT, _check_chat, samples.CHAT_BAD),
    "messages": (samples.MESSAGES, messages, samples.MESSAGES_BAD),
    "responses": (samples.RESPONSES, responses, samples.RESPONSES_BAD),
}


@pytest.mark.parametrize("protocol", GOOD)
def test_a_good_stream_is_good(protocol: str) -> None:
    """The streams that are broken below are good before."""
    stream, check, _ = GOOD[protocol]

    assert check(stream.encode()) == []


@pytest.mark.parametrize(
    ("protocol", "bad"),
    [
        pytest.param(protocol, bad, id=f"{bad.rule.name}-{number}")
        for protocol, (_, _, table) in GOOD.items()
        for number, bad in enumerate(table)
    ],
)
def test_a_broken_rule_is_seen(protocol: str, bad: Bad) -> None:
    """One change to a good stream breaks the rule."""
    stream, check, _ = GOOD[protocol]
    assert bad.old in stream

    found = check(stream.replace(bad.old, bad.new, 1).encode())

    assert bad.rule in {violation.rule for violation in found}, [str(one) for one in found]


def test_damaged_text_and_hidden_thinking_are_seen() -> None:
    """What no change of text shows: bytes that are no UTF-8, and thinking that nobody asked for."""
    damaged = chat(samples.CHAT.encode().replace(b"hi", b"\xe4\xbb"), choices=2, include_usage=True)
    shown = messages(samples.MESSAGES.encode(), thinking=False)

    assert {Rule.SSE_UTF8} <= {violation.rule for violation in damaged}
    assert {violation.rule for violation in shown} == {Rule.MESSAGES_THINKING}


def test_each_rule_has_a_stream_that_breaks_it() -> None:
    """No rule is listed that nothing was seen to break."""
    tried = {bad.rule for _, _, table in GOOD.values() for bad in table}

    assert set(Rule) - tried == {Rule.SSE_UTF8, Rule.MESSAGES_THINKING}


@pytest.mark.parametrize("protocol", GOOD)
def test_a_stream_that_just_stops_is_bad(protocol: str) -> None:
    """After no frame but the last a good stream may stop."""
    stream, check, _ = GOOD[protocol]
    frames = _frames(stream)

    for length in range(len(frames)):
        assert check("".join(frames[:length]).encode()) != []


@pytest.mark.parametrize(
    ("protocol", "error"), [("chat", samples.ERROR), ("messages", samples.MESSAGE_ERROR)]
)
def test_an_error_may_end_a_stream_anywhere(protocol: str, error: str) -> None:
    """After any frame of a good stream its protocol's error is a good end."""
    stream, check, _ = GOOD[protocol]
    frames = _frames(stream)

    for length in range(len(frames)):
        assert check("".join([*frames[:length], error]).encode()) == []


def _frames(stream: str) -> list[str]:
    return [f"{frame}\n\n" for frame in stream.split("\n\n")[:-1]]
