"""Tool messages of the client: judged and counted."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lingma_cli.demo.journal import Journal
from lingma_cli.demo.outcomes import Outcome
from lingma_cli.demo.rpc import Answer
from lingma_cli.demo.tooldesk import APPROVE, RESULT, Pending, ToolDesk

FIELDS = {
    "toolCallId": "T",
    "name": "n",
    "success": True,
    "errorMessage": "",
    "result": {"content": "ok"},
}
APPROVAL = {
    "type": "tool_call",
    "sessionId": "S",
    "requestId": "R",
    "toolCallId": "T",
    "approval": True,
}
GOOD = Outcome(name="n", ending="result", text="ok", result={"content": "ok"})


def at_the_desk(
    path: Path, act: Callable[[ToolDesk, Pending], object]
) -> tuple[Outcome | None, list[dict[str, Any]]]:
    """Act on a desk with one call; return its outcome, if any, and the notes."""
    journal = Journal(path / "j", lambda: 0.0, "on")

    async def once() -> Outcome | None:
        desk, pending = ToolDesk(journal), Pending("R", "T", "n")
        desk.open(pending)
        act(desk, pending)
        return pending.outcome.result() if pending.outcome.done() else None

    outcome = asyncio.run(once())
    journal.close()
    return outcome, [json.loads(line) for line in (path / "j").read_text().splitlines()]


def test_the_first_result_counts(tmp_path: Path) -> None:
    """The second is noted as unexpected."""

    def act(desk: ToolDesk, pending: Pending) -> None:
        desk.deliver(APPROVE, APPROVAL)
        desk.deliver(RESULT, FIELDS)
        desk.deliver(RESULT, FIELDS | {"success": False})

    outcome, notes = at_the_desk(tmp_path, act)
    assert outcome == GOOD
    assert [(note["nth"], note["expected"], note["odd"]) for note in notes] == [
        (1, True, []),
        (1, True, []),
        (2, False, []),
    ]
    assert notes[1]["answer"] == FIELDS


def test_odd_fields_are_named(tmp_path: Path) -> None:
    """Missing ones and those of another type."""
    _, notes = at_the_desk(
        tmp_path, lambda desk, _: desk.deliver(RESULT, {"toolCallId": "T", "result": "text"})
    )

    assert notes[0]["odd"] == ["name", "success", "errorMessage", "result"]


def test_messages_for_nobody_are_noted(tmp_path: Path) -> None:
    """An id that no call has."""
    outcome, notes = at_the_desk(
        tmp_path, lambda desk, _: desk.deliver(RESULT, FIELDS | {"toolCallId": "other"})
    )

    assert outcome is None
    assert (notes[0]["expected"], notes[0]["requestId"]) == (False, None)


@pytest.mark.parametrize(
    ("payload", "asynchronous", "outcome"),
    [
        (None, True, None),
        (FIELDS, True, None),
        (FIELDS, False, GOOD),
        (
            FIELDS | {"success": False, "errorMessage": "no"},
            False,
            Outcome(name="n", ending="failed", text="no"),
        ),
        (
            None,
            False,
            Outcome(name="n", ending="failed", text="the answer of tool/invoke is no result"),
        ),
    ],
)
def test_an_invocation_is_acknowledged_or_answered(
    tmp_path: Path, payload: object, asynchronous: bool, outcome: Outcome | None
) -> None:
    """An asynchronous one only by tool/invokeResult, a synchronous one only by its own answer."""
    answer = Answer(id=1, payload=payload, is_error=False)
    got, _ = at_the_desk(
        tmp_path, lambda desk, one: desk.invoked(one, answer, asynchronous=asynchronous)
    )

    assert got == outcome


def test_an_error_ends_either_kind(tmp_path: Path) -> None:
    """A client may refuse with a JSON-RPC error."""
    answer = Answer(id=1, payload={"code": -1}, is_error=True)
    got, notes = at_the_desk(
        tmp_path, lambda desk, one: desk.invoked(one, answer, asynchronous=True)
    )

    assert got == Outcome(name="n", ending="failed", text='{"code": -1}')
    assert notes[0]["answer"] == {"code": -1}


@pytest.mark.parametrize(
    ("more", "text"), [({}, "the call was not approved"), ({"errorMessage": "no"}, "no")]
)
def test_a_refusal_ends_the_call(tmp_path: Path, more: dict[str, object], text: str) -> None:
    """With the reason, should one be given."""
    refusal = APPROVAL | {"approval": False} | more
    got, _ = at_the_desk(tmp_path, lambda desk, _: desk.deliver(APPROVE, refusal))

    assert got == Outcome(name="n", ending="refused", text=text)
