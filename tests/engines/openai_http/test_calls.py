"""Pieces of tool calls, told in order."""

from __future__ import annotations

from itertools import count

import pytest

from lingma_cli.core.collect import Block, Collector
from lingma_cli.core.events import BlockDelta, BlockKind, ChatEvent
from lingma_cli.core.grammar import Seal
from lingma_cli.engines.openai_http.calls import CallReader

Piece = tuple[int | None, str, str, str]


def reader(*, parallel: bool = True) -> CallReader:
    """Return a reader whose own ids are counted."""
    numbers = count(1)
    return CallReader(lambda: f"own{next(numbers)}", parallel=parallel)


def blocks(pieces: list[Piece], *, parallel: bool = True) -> list[tuple[str, str, str]]:
    """Return id, name and arguments of each call that is told."""
    calls = reader(parallel=parallel)
    events: list[ChatEvent] = [event for piece in pieces for event in calls.add(*piece)]
    events += calls.end()
    collector = Collector()
    collector.feed(Seal("m").feed(events))
    told: list[Block] = collector.blocks
    assert all(block.kind is BlockKind.TOOL_CALL for block in told)
    return [(block.call_id, block.name, block.text) for block in told]


A, B = ("a", "f", '{"x":1}'), ("b", "g", '{"y":2}')
CASES: dict[str, tuple[list[Piece], list[tuple[str, str, str]]]] = {
    "one": ([(0, "a", "f", ""), (0, "", "", '{"x"'), (0, "", "", ":1}")], [A]),
    "whole": ([(0, *A), (1, *B)], [A, B]),
    "one after the other": (
        [(0, "a", "f", ""), (0, "", "", '{"x":1}'), (1, "b", "g", '{"y"'), (1, "", "", ":2}")],
        [A, B],
    ),
    "interleaved": (
        [
            *((0, "a", "f", ""), (1, "b", "g", "")),
            *((1, "", "", '{"y"'), (0, "", "", '{"x"'), (1, "", "", ":2}"), (0, "", "", ":1}")),
        ],
        [A, B],
    ),
    "name repeated": ([(0, "a", "f", '{"x"'), (0, "a", "f", ":1}")], [A]),
    "all numbered 0": ([(0, *A), (0, *B)], [A, B]),
    "not numbered": ([(None, *A), (None, "b", "g", '{"y"'), (None, "", "", ":2}")], [A, B]),
    "not numbered, ids repeated": (
        [(None, "a", "f", '{"x"'), (None, "b", "g", '{"y":2}'), (None, "a", "", ":1}")],
        [A, B],
    ),
    "no ids": (
        [(0, "", "f", "{}"), (1, "", "g", "{}")],
        [("call_own1", "f", "{}"), ("call_own2", "g", "{}")],
    ),
    "no arguments": ([(0, "a", "f", "")], [("a", "f", "")]),
    "late name": ([(0, "a", "", '{"x"'), (0, "", "f", ":1}")], [A]),
    "starts at 1": ([(1, *A), (2, *B)], [A, B]),
}


@pytest.mark.parametrize(("pieces", "told"), CASES.values(), ids=CASES)
def test_dialects(pieces: list[Piece], told: list[tuple[str, str, str]]) -> None:
    """However a server numbers and mixes them, each call is told whole and in order."""
    assert blocks(pieces) == told


def test_the_first_call_is_told_while_it_comes() -> None:
    """Its pieces do not wait for the end."""
    calls = reader()
    list(calls.add(0, "a", "f", ""))

    assert list(calls.add(0, "", "", '{"x"')) == [BlockDelta(kind=BlockKind.TOOL_CALL, text='{"x"')]


def test_a_call_after_a_whole_one_is_told_while_it_comes() -> None:
    """The second of two does not wait for the end if the first can get no longer."""
    calls = reader()
    list(calls.add(0, *A))
    list(calls.add(1, "b", "g", ""))

    assert list(calls.add(1, "", "", "{")) == [BlockDelta(kind=BlockKind.TOOL_CALL, text="{")]


def test_only_the_first_is_told_if_one_is_wanted() -> None:
    """Others are dropped, and that is known."""
    assert blocks([(0, *A), (1, *B)], parallel=False) == [A]
    calls = reader(parallel=False)
    for piece in ((0, *A), (1, *B)):
        list(calls.add(*piece))
    list(calls.end())
    assert calls.dropped


def test_a_call_without_a_name_is_not_told() -> None:
    """Nobody could run it; those after it are told all the same."""
    calls = reader()
    list(calls.add(0, "a", "", "{}"))

    assert blocks([(0, "a", "", "{}"), (1, *B)]) == [B]
    assert list(calls.end()) == []
    assert calls.dropped
    assert not calls.told
