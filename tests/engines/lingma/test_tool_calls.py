"""The binary's tool calls: named, approved, given out, answered."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator, Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lingma_cli.core.chat import ToolOutputPart
from lingma_cli.engines.lingma.pushes import ToolPush, tool_push
from lingma_cli.engines.lingma.tool_calls import (
    NO_RESULT,
    NOT_OFFERED,
    WITHDRAWN,
    Action,
    Respond,
    Send,
    ToolCalls,
)

IDS = {"requestId": "R", "sessionId": "S"}
GONE = "gone"
YES, NO = "approve", "disapprove"
ACK = ("ack", 7)


def _push(tool_id: str = "t", **params: Any) -> ToolPush:
    return tool_push(msgspec.json.encode({"toolCallId": tool_id, **params}))


class Talk:
    """The calls of an ask, and what is said about them, in short."""

    def __init__(self, *offered: str) -> None:
        numbers = itertools.count(1)
        self.calls = ToolCalls(offered or ("Read", "Bash"), lambda: f"{next(numbers)}")

    def sync(self, status: str = "PENDING", tool_id: str = "t", **more: Any) -> list[Any]:
        """Hear a `tool/call/sync`."""
        return _short(self.calls.sync(_push(tool_id, toolCallStatus=status, **more), IDS))

    def invoke(
        self,
        name: str | None = "Read",
        tool_id: str = "t",
        id_: int | None = 7,
        *,
        blocking: bool = False,
        **more: Any,
    ) -> list[Any]:
        """Hear a `tool/invoke`, asynchronous unless told otherwise."""
        push = _push(tool_id, **{"name": name, "async": not blocking} | more)
        return _short(self.calls.invoke(push, id_, IDS))

    def give(self, *, most: int | None = None) -> list[tuple[str, str, str]]:
        """Give out what is ready, as an ask does."""
        given = self.calls.ready[:most]
        for call in given:
            call.is_given = True
        return [(call.call_id, call.name, call.arguments) for call in given]

    def answer(self, *results: ToolOutputPart) -> list[Any]:
        """Bring results."""
        return _short(self.calls.answer({result.call_id: result for result in results}))

    @property
    def ready(self) -> list[str]:
        """The tools that the client could be given now."""
        return [call.name for call in self.calls.ready]


def _short(actions: Sequence[Action]) -> list[Any]:
    return list(_lines(actions))


def _lines(actions: Sequence[Action]) -> Iterator[Any]:
    for action in actions:
        match action:
            case Send(method="tool/call/approve", params=params):
                assert params["toolCallId"]
                assert {**params, "toolCallId": "", "approval": None} == {
                    "type": "tool_call",
                    **IDS,
                    "toolCallId": "",
                    "approval": None,
                }
                yield YES if params["approval"] else NO
            case Send(method=method, params=params):
                assert method == "tool/invokeResult"
                yield "sent", _outcome(params)
            case Respond(id=id_, result=None):
                yield "ack", id_
            case Respond(id=id_, result=result):
                yield f"response {id_}", _outcome(result)


def _outcome(params: Any) -> str:
    assert set(params) == {"toolCallId", "name", "success", "errorMessage", "result"}
    assert params["success"] == (params["errorMessage"] == "")
    return str(params["result"]["content"] if params["success"] else params["errorMessage"])


def _result(call_id: str = "call_1", text: str = "done", *, failed: bool = False) -> ToolOutputPart:
    return ToolOutputPart(call_id=call_id, text=text, is_error=failed)


# orders


@pytest.mark.parametrize("announced", [False, True])
def test_an_asynchronous_call(announced: bool) -> None:
    """Approved if announced, acknowledged, given once, answered by `tool/invokeResult`."""
    talk = Talk()
    if announced:
        assert talk.sync(name="Read") == [YES]
        assert (talk.ready, talk.calls.is_unsettled) == ([], True)
        assert talk.sync("RUNNING", name="Read") == []

    assert talk.invoke(parameters={"path": "a"}) == [ACK]
    assert (talk.calls.is_unsettled, talk.calls.pending) == (False, frozenset())
    assert talk.give() == [("call_1", "Read", '{"path":"a"}')]
    assert (talk.ready, talk.calls.pending) == ([], frozenset(["call_1"]))
    assert talk.answer(_result()) == [("sent", "done")]
    assert talk.calls.pending == frozenset()
    assert talk.sync("FINISHED", name="Read", results=[{"content": "done"}]) == []
    assert (talk.calls.refused, talk.calls.ran_upstream) == (0, 0)


def test_a_synchronous_call() -> None:
    """The result is the response to the request, which waits for it."""
    talk = Talk()

    assert talk.invoke(blocking=True) == []
    assert talk.give()
    assert talk.answer(_result(failed=True)) == [("response 7", "done")]


def test_a_call_that_is_announced_after_its_invoke() -> None:
    """It is approved all the same, once."""
    talk = Talk()
    talk.invoke()

    assert [talk.sync(name="Read"), talk.sync(name="Read")] == [[YES], []]
    assert (talk.ready, talk.calls.is_unsettled) == (["Read"], False)


def test_a_call_that_is_never_invoked() -> None:
    """Once approved it is the client's when no more is to be expected."""
    talk = Talk()
    talk.sync(name="Read", parameters={"path": "a"})

    assert talk.ready == []
    assert talk.calls.settle(IDS) == []
    assert talk.give() == [("call_1", "Read", '{"path":"a"}')]
    assert talk.answer(_result()) == [("sent", "done")]


@pytest.mark.parametrize("synchronous", [False, True])
def test_an_invoke_that_comes_after_the_result(synchronous: bool) -> None:
    """It gets the result that is there, and the client is not asked again."""
    talk = Talk()
    talk.sync(name="Read")
    talk.calls.settle(IDS)
    talk.give()
    talk.answer(_result())

    late = talk.invoke(blocking=synchronous)

    assert late == ([("response 7", "done")] if synchronous else [ACK, ("sent", "done")])
    assert talk.ready == []


def test_an_invoke_that_comes_while_the_client_runs_the_tool() -> None:
    """Nothing is given twice, and both kinds are answered once."""
    talk = Talk()
    talk.sync(name="Read")
    talk.calls.settle(IDS)
    talk.give()

    assert talk.invoke(blocking=True) == []
    assert talk.ready == []
    assert talk.answer(_result()) == [("response 7", "done")]


def test_requests_that_come_twice() -> None:
    """Each is answered, the call is one."""
    talk = Talk()
    for id_ in (7, 8):
        talk.invoke(id_=id_, blocking=True)

    assert len(talk.give()) == 1
    assert talk.answer(_result()) == [("response 7", "done"), ("response 8", "done")]


def test_an_invoke_without_an_id() -> None:
    """Nobody waits for a response: the result is sent."""
    talk = Talk()

    assert talk.invoke(id_=None) == []
    assert talk.give()
    assert talk.answer(_result()) == [("sent", "done")]


# names


@pytest.mark.parametrize("status", ["INIT", "PENDING", "RUNNING", None])
def test_a_call_without_a_name_is_never_approved(status: str | None) -> None:
    """It is waited for, and then refused."""
    talk = Talk()
    assert talk.sync(status) == []  # type: ignore[arg-type]
    assert (talk.calls.is_unsettled, talk.ready) == (True, [])

    assert _short(talk.calls.settle(IDS)) == [NO]
    assert (talk.calls.is_unsettled, talk.ready, talk.calls.refused) == (False, [], 1)


def test_a_call_without_a_name_that_is_invoked() -> None:
    """Nobody knows what to run."""
    assert Talk().invoke(None) == [ACK, ("sent", NOT_OFFERED)]


@pytest.mark.parametrize(("name", "decision"), [("Read", YES), ("format_disk", NO)])
@pytest.mark.parametrize("marker_first", [False, True])
def test_names_from_the_text(name: str, decision: str, marker_first: bool) -> None:
    """Before the announcement or after it, they decide it once."""
    talk = Talk()
    said = [] if marker_first else talk.sync()
    said += _short(talk.calls.name({"t": name}, IDS))
    said += talk.sync() + talk.sync()

    assert said == [decision]
    assert _short(talk.calls.name({"t": "Bash"}, IDS)) == []


def test_a_name_in_the_text_alone_is_no_call() -> None:
    """Nothing is waited for, and nothing can be given."""
    talk = Talk()
    talk.calls.name({"t": "Read"}, IDS)

    assert (talk.calls.is_unsettled, talk.calls.settle(IDS), talk.ready) == (False, [], [])


def test_a_name_that_the_invoke_tells() -> None:
    """An announcement without one is approved then."""
    talk = Talk()
    talk.sync()

    assert talk.invoke() == [ACK, YES]
    assert talk.ready == ["Read"]


# arguments


def test_arguments_come_with_any_message() -> None:
    """The last that say anything count."""
    talk = Talk()
    talk.sync("INIT", name="Read", parameters={})
    talk.sync(name="Read", parameters={"path": "a"})
    talk.sync("RUNNING", name="Read", parameters={})
    talk.invoke(parameters={})

    assert talk.give() == [("call_1", "Read", '{"path":"a"}')]


# refusals


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        (["sync"], [NO]),
        (["init", "sync"], [NO]),
        (["async"], [ACK, ("sent", NOT_OFFERED)]),
        (["blocking"], [("response 7", NOT_OFFERED)]),
        (["sync", "sync"], [NO]),
        (["sync", "async"], [NO, ACK, ("sent", NOT_OFFERED)]),
        (["sync", "blocking"], [NO, ("response 7", NOT_OFFERED)]),
        (["async", "sync"], [ACK, ("sent", NOT_OFFERED), NO]),
    ],
)
def test_a_tool_that_is_not_offered(steps: list[str], said: list[Any]) -> None:
    """Every question is answered with a no, the call counts once, the client never sees it."""
    talk = Talk()
    heard: list[Any] = []
    for step in steps:
        match step:
            case "sync" | "init":
                heard += talk.sync("INIT" if step == "init" else "PENDING", name="rm")
            case _:
                heard += talk.invoke("rm", blocking=step == "blocking")

    assert said == heard
    assert (talk.calls.refused, talk.ready, talk.calls.is_unsettled) == (1, [], False)
    assert _short(talk.calls.refuse_all(GONE)) == []


def test_an_invoke_that_names_another_tool_than_the_announcement() -> None:
    """What is run counts."""
    talk = Talk()
    talk.sync(name="Read")

    assert talk.invoke("rm") == [ACK, ("sent", NOT_OFFERED)]


def test_a_result_that_is_missing() -> None:
    """The call is refused, never claimed to have run."""
    talk = Talk()
    for tool_id in "ab":
        talk.invoke(tool_id=tool_id)
    talk.give()

    assert talk.answer(_result("call_2")) == [("sent", NO_RESULT), ("sent", "done")]


def test_a_tool_that_failed() -> None:
    """Its text is the reason."""
    talk = Talk()
    talk.invoke()
    talk.give()

    assert _short(talk.calls.answer({"call_1": _result(text="no file", failed=True)})) == [
        ("sent", "no file")
    ]


def test_who_goes_refuses_all_that_waits() -> None:
    """Given out or not, each call once; what was answered stays answered."""
    talk = Talk()
    talk.invoke(tool_id="a")
    talk.give()
    talk.answer(_result())
    for tool_id in "bc":
        talk.invoke(tool_id=tool_id, blocking=tool_id == "c")
    talk.give(most=1)

    assert _short(talk.calls.refuse_all(GONE)) == [("sent", GONE), ("response 7", GONE)]
    assert _short(talk.calls.refuse_all(GONE)) == []
    assert talk.calls.pending == frozenset()


@pytest.mark.parametrize("status", ["FINISHED", "ERROR", "CANCELLED", "REQUEST_FINISHED"])
def test_a_call_that_is_over_before_it_is_answered(status: str) -> None:
    """The client's result comes too late, and a request that waits is not left waiting."""
    talk = Talk()
    talk.invoke(blocking=True)
    talk.give()

    assert talk.sync(status, name="Read") == [("response 7", WITHDRAWN)]
    assert (talk.calls.pending, talk.answer(_result())) == (frozenset(), [])


@pytest.mark.parametrize(("results", "count"), [([{"content": "x"}], 1), ([], 0)])
def test_a_tool_that_ran_upstream(results: list[object], count: int) -> None:
    """Nothing is answered; it counts when it tells what came of it."""
    talk = Talk()

    assert talk.sync("RUNNING", name="Read") == []
    assert talk.sync("FINISHED", name="Read", results=results) == []
    assert (talk.calls.ran_upstream, talk.ready, talk.calls.is_unsettled) == (count, [], False)


def test_other_tools_from_now_on() -> None:
    """A call that waits to be given out is refused when its tool is gone; later ones too."""
    talk = Talk()
    for tool_id, name in {"a": "Read", "b": "Bash", "c": "Read"}.items():
        talk.invoke(name, tool_id=tool_id)
    talk.give(most=1)

    assert _short(talk.calls.offer(["Bash"])) == [("sent", NOT_OFFERED)]
    assert (talk.ready, talk.calls.pending) == (["Bash"], frozenset(["call_1"]))
    assert talk.invoke("Read", tool_id="d") == [ACK, ("sent", NOT_OFFERED)]
    assert talk.calls.refused == 2


# laws

STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            ["sync", "init", "end", "async", "blocking", "name", "settle", "give", "answer"]
        ),
        st.sampled_from("ab"),
        st.sampled_from(["Read", "rm", None]),
    ),
    max_size=14,
)


def _played(talk: Talk, steps: Collection[tuple[str, str, str | None]]) -> Iterator[Action]:
    numbers = itertools.count(100)
    for step, tool_id, name in steps:
        match step:
            case "sync" | "init" | "end":
                status = {"sync": "PENDING", "init": "INIT", "end": "CANCELLED"}[step]
                yield from talk.calls.sync(_push(tool_id, toolCallStatus=status, name=name), IDS)
            case "async" | "blocking":
                push = _push(tool_id, **{"name": name, "async": step == "async"})
                yield from talk.calls.invoke(push, next(numbers), IDS)
            case "name":
                yield from talk.calls.name({tool_id: name} if name else {}, IDS)
            case "settle":
                yield from talk.calls.settle(IDS)
            case "give":
                talk.give()
            case _:
                pending = talk.calls.pending
                yield from talk.calls.answer({id_: _result(id_) for id_ in pending})


@given(STEPS)
def test_every_request_is_answered_once(steps: list[tuple[str, str, str | None]]) -> None:
    """Whatever comes in which order: no id is answered twice, none is left, no stranger runs."""
    talk = Talk()
    actions = [*_played(talk, steps), *talk.calls.refuse_all(GONE)]
    asked = sum(step in ("async", "blocking") for step, _, _ in steps)
    answered = [action.id for action in actions if isinstance(action, Respond)]

    assert sorted(answered, key=int) == list(range(100, 100 + asked))
    approvals = [
        action.params
        for action in actions
        if isinstance(action, Send) and action.method == "tool/call/approve"
    ]
    assert len(approvals) <= len({params["toolCallId"] for params in approvals})
    for params in approvals:
        named = {name for _, tool_id, name in steps if tool_id == params["toolCallId"]}
        assert not params["approval"] or "Read" in named
    assert talk.calls.pending == frozenset()
