"""Engines that are killed all the time: every request ends properly, and nothing is left over."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.kills.plan import PROTOCOLS, Errand, Kind, Storm, errands
from tests.support.kills.prey import Kill
from tests.support.kills.storm import Asked, Attempt, Exchange, Record, Seen, play
from tests.support.kills.verdict import judge
from tests.support.kills.wire import Answer, Call


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing dies with its guardian")
def test_a_hundred_kills_in_a_thousand_requests(tmp_path: Path) -> None:
    """What `verdict` holds a storm to; and the storm was one."""
    storm = Storm()
    verdict = judge(play(storm, tmp_path))

    assert verdict.wrong == [], "\n".join(verdict.lines())
    counts = verdict.counts
    requests = counts["requests"]
    assert requests >= storm.requests
    assert requests * 0.4 < counts["requests: streaming"] < requests * 0.6
    assert all(counts[f"requests: {path}"] > requests * 0.25 for path in PROTOCOLS)
    assert all(counts[f"kills: {one}"] for one in ("simulator", "guardian", "server"))
    # Most kills hit somebody, and whoever could be helped was helped.
    assert counts["affected"] >= storm.kills
    assert counts["affected: answered by another engine"] >= storm.kills // 5
    assert counts["affected: error event"]
    assert counts["affected: HTTP error"]


def _errand(kind: Kind) -> Errand:
    return next(one for one in errands(Storm()) if one.kind is kind and one.stream)


PLAIN, TOOLS = _errand(Kind.PLAIN), _errand(Kind.AGENT_TOOLS)
DIED = Attempt(engine="demo-0", generation=2, error="engine_failed")
SERVED = Attempt(engine="demo-1", generation=1, error="")
CALLED = Answer(calls=[Call(id="call_1", arguments=TOOLS.call_mark(0))])


def _exchange(id_: str, errand: Errand, answer: Answer, status: int = 200) -> Exchange:
    return Exchange(
        id=id_,
        errand=errand,
        turn=0,
        began=10.0,
        ended=11.0,
        status=status,
        answer=answer,
        is_whole=True,
    )


def _good() -> Seen:
    """A small storm with nothing wrong: one request moved, one failed, one called a tool."""
    return Seen(
        storm=Storm(requests=3, kills=1),
        kills=[Kill(engine="demo-0", what="simulator", generation=2, signalled=10.5)],
        exchanges=[
            _exchange("moved", PLAIN, Answer(text=PLAIN.answer())),
            _exchange("failed", PLAIN, Answer(error="engine_failed")),
            _exchange("called", TOOLS, CALLED),
        ],
        records={
            "moved": [Record(end="stop", attempts=[DIED, SERVED], is_resumed=False)],
            "failed": [Record(end="engine_failed", attempts=[DIED], is_resumed=False)],
            "called": [Record(end="tool_calls", attempts=[SERVED], is_resumed=False)],
        },
        asked=[
            Asked(mark=PLAIN.mark, done=0, at=1.0),
            Asked(mark=TOOLS.mark, done=0, at=1.0, is_agent=True),
        ],
        results={"call_1": 1},
    )


def test_a_good_storm_is_good() -> None:
    """Nothing is said against it, and what happened is counted."""
    verdict = judge(_good())

    assert verdict.wrong == []
    assert verdict.counts["affected"] == 2
    assert verdict.counts["affected: answered by another engine"] == 1


def _kill(seen: Seen, **changes: object) -> None:
    seen.kills[0] = replace(seen.kills[0], **changes)  # type: ignore[arg-type]


def _answer(seen: Seen, place: int, answer: Answer, status: int = 200) -> None:
    seen.exchanges[place] = replace(seen.exchanges[place], answer=answer, status=status)


FAULTS: dict[str, tuple[Callable[[Seen], object], str]] = {
    "another life was killed": (lambda seen: _kill(seen, generation=1), "nothing that it needed"),
    "killed later": (lambda seen: _kill(seen, signalled=11.5), "without having been killed"),
    "no kill": (lambda seen: seen.kills.clear(), "0 kills instead of 1"),
    "no failover": (
        lambda seen: _answer(seen, 1, Answer(error="engine_failed"), 502),
        "was not put elsewhere",
    ),
    "half an answer": (lambda seen: _answer(seen, 0, Answer(text="m")), "a wrong answer"),
    "bad grammar": (lambda seen: _answer(seen, 0, Answer(wrong=["CHAT_END"])), "CHAT_END"),
    "no record": (lambda seen: seen.records.pop("moved"), "0 lines in the log"),
    "a call twice": (lambda seen: seen.exchanges.append(seen.exchanges[2]), "the call "),
    "a result twice": (lambda seen: seen.results.update(call_1=2), "the result of call_1"),
    "an agent asked twice": (lambda seen: seen.asked.append(seen.asked[1]), "was put 2 times"),
    "asked a third time": (lambda seen: seen.asked.extend(seen.asked[:1] * 2), "was put 3 times"),
    "something left": (lambda seen: seen.troubles.append("left over: x"), "left over: x"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_is_seen(fault: str) -> None:
    """A storm with one thing wrong is not let pass."""
    spoil, words = FAULTS[fault]
    seen = _good()
    spoil(seen)

    assert words in "\n".join(judge(seen).wrong)
