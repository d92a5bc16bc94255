"""The tools that the binary wants run in one ask: named, approved, given out, answered. Pure.

Source: Lingma local protocol, "Tools": `tool/call/sync` tells a call's state and waits for
`tool/call/approve`; `tool/invoke` wants it run and is answered by its own result when it is
synchronous, by `tool/invokeResult` when not. Orders differ between builds, and so does where the
name stands. A tool that was not offered is never approved and never run.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from lingma_cli.core.chat import ToolOutputPart
from lingma_cli.core.ids import NewId, new_call_id
from lingma_cli.engines.lingma.jsonrpc import MessageId
from lingma_cli.engines.lingma.pushes import ToolPush, tool_result

NOT_OFFERED: Final = "this tool is not offered by the client"
WITHDRAWN: Final = "the call was over before it was answered"
NO_RESULT: Final = "the client gave no result for this call"
_OVER: Final = frozenset({"FINISHED", "ERROR", "CANCELLED", "REQUEST_FINISHED"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Send:
    """A request to the binary."""

    method: str
    params: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Respond:
    """The answer to a request of the binary."""

    id: MessageId
    result: Any


Action = Send | Respond


@dataclass(slots=True, kw_only=True, eq=False)
class Call:
    """One tool call of the binary; `call_id` is ours, the others are its own."""

    tool_id: str
    call_id: str
    name: str = ""
    arguments: str = "{}"
    is_announced: bool = False
    is_decided: bool = False
    is_invoked: bool = False
    is_given: bool = False
    waiting: list[MessageId] = field(default_factory=list)
    outcome: Mapping[str, Any] | None = None


class ToolCalls:
    """What is known of the calls of one ask.

    Args:
        offered: the names that the client can run.
        new_id: makes the ids that the client sees.
    """

    def __init__(self, offered: Collection[str], new_id: NewId) -> None:
        self.offered = offered
        self.refused = 0
        self.ran_upstream = 0
        self._new_id = new_id
        self._calls: dict[str, Call] = {}

    def knows(self, tool_id: str) -> bool:
        """Tell whether a call of that id has been heard of."""
        return tool_id in self._calls

    def sync(self, push: ToolPush, ids: Mapping[str, str]) -> list[Action]:
        """Take a `tool/call/sync`; `ids` are the request's and the session's."""
        call = self._learn(push)
        if push.toolCallStatus in _OVER:
            return self._end(call, push)
        call.is_announced = True
        return self._decide(call, ids, push.toolCallStatus)

    def name(self, names: Mapping[str, str], ids: Mapping[str, str]) -> list[Action]:
        """Take tool call ids and names that the text's markers told."""
        actions: list[Action] = []
        for tool_id, name in names.items():
            call = self._call(tool_id)
            if not call.name:
                call.name = name
                if call.is_announced:
                    actions += self._decide(call, ids, "PENDING")
        return actions

    def invoke(self, push: ToolPush, id_: MessageId | None, ids: Mapping[str, str]) -> list[Action]:
        """Take a `tool/invoke` with its JSON-RPC id."""
        call = self._learn(push)
        actions = self._decide(call, ids, "PENDING") if call.is_announced else []
        if call.name not in self.offered:
            actions += self._refuse(call)
        call.is_invoked = True
        if push.asynchronous:
            if id_ is not None:
                actions.insert(0, Respond(id=id_, result=None))
            if call.outcome is not None:
                # Who asks is answered, and again if the answer came before the question.
                actions.append(Send(method="tool/invokeResult", params=call.outcome))
            return actions
        if id_ is not None and call.outcome is not None:
            return [*actions, Respond(id=id_, result=call.outcome)]
        if id_ is not None:
            call.waiting.append(id_)
        return actions

    @property
    def ready(self) -> list[Call]:
        """Calls that the client can be given now."""
        return [call for call in self._open() if call.is_invoked and not call.is_given]

    @property
    def is_unsettled(self) -> bool:
        """Whether a call is announced that cannot be given out yet."""
        return any(call.is_announced and not call.is_invoked for call in self._open())

    def settle(self, ids: Mapping[str, str]) -> list[Action]:
        """Wait no longer: what has no name is refused, what was approved needs no `tool/invoke`."""
        actions: list[Action] = []
        for call in self._open():
            if not call.name:
                actions += self._disapprove(call, ids)
            elif call.is_decided:
                call.is_invoked = True
        return actions

    @property
    def pending(self) -> frozenset[str]:
        """Our ids of the calls that the client was given and that wait for results."""
        return frozenset(call.call_id for call in self._open() if call.is_given)

    def answer(self, results: Mapping[str, ToolOutputPart]) -> list[Action]:
        """Answer every call that the client was given; one without a result is refused."""
        actions: list[Action] = []
        for call in [call for call in self._open() if call.is_given]:
            result = results.get(call.call_id)
            text = NO_RESULT if result is None else result.text
            success = result is not None and not result.is_error
            actions += self._close(call, text, success=success)
        return actions

    def offer(self, offered: Collection[str]) -> list[Action]:
        """Offer other tools from now on; what waits to be given out and is none is refused."""
        self.offered = offered
        actions: list[Action] = []
        for call in self._open():
            if call.is_invoked and not call.is_given and call.name not in offered:
                actions += self._refuse(call)
        return actions

    def refuse_all(self, reason: str) -> list[Action]:
        """Answer everything that waits with a refusal."""
        return [
            action
            for call in self._open()
            if call.is_invoked
            for action in self._close(call, reason, success=False)
        ]

    def _open(self) -> list[Call]:
        return [call for call in self._calls.values() if call.outcome is None]

    def _call(self, tool_id: str) -> Call:
        if tool_id not in self._calls:
            self._calls[tool_id] = Call(tool_id=tool_id, call_id=new_call_id(self._new_id))
        return self._calls[tool_id]

    def _learn(self, push: ToolPush) -> Call:
        call = self._call(push.toolCallId or "")
        call.name = push.tool_name or call.name
        # An announcement may come without the parameters that another message has.
        if push.arguments not in (None, "{}"):
            call.arguments = push.arguments
        return call

    def _decide(self, call: Call, ids: Mapping[str, str], status: str | None) -> list[Action]:
        """Approve or disapprove a call once, as soon as its name is known."""
        if call.is_decided or not call.name or status not in ("INIT", "PENDING"):
            return []
        if call.name not in self.offered:
            return self._disapprove(call, ids)
        if status == "INIT":
            return []
        call.is_decided = True
        return [_approval(call, ids, approval=True)]

    def _disapprove(self, call: Call, ids: Mapping[str, str]) -> list[Action]:
        call.is_decided = True
        return [_approval(call, ids, approval=False), *self._refuse(call)]

    def _refuse(self, call: Call) -> list[Action]:
        """Close a call that nobody offers; whoever waits for its result is told so."""
        if call.outcome is not None:
            return []
        self.refused += 1
        answers = self._close(call, NOT_OFFERED, success=False)
        return answers if call.is_invoked else []

    def _end(self, call: Call, push: ToolPush) -> list[Action]:
        """Take the news that a call is over in the binary, whoever ran it."""
        if call.outcome is not None:
            return []
        self.ran_upstream += push.has_results and not call.is_given
        call.outcome = tool_result(call.tool_id, call.name, WITHDRAWN, success=False)
        return [Respond(id=id_, result=call.outcome) for id_ in call.waiting]

    def _close(self, call: Call, text: str, *, success: bool) -> list[Action]:
        call.outcome = tool_result(call.tool_id, call.name, text, success=success)
        if call.waiting:
            return [Respond(id=id_, result=call.outcome) for id_ in call.waiting]
        return [Send(method="tool/invokeResult", params=call.outcome)]


def _approval(call: Call, ids: Mapping[str, str], *, approval: bool) -> Send:
    params = {"type": "tool_call", **ids, "toolCallId": call.tool_id, "approval": approval}
    return Send(method="tool/call/approve", params=params)
