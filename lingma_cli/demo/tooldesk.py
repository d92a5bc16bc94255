"""Where the client's tool messages arrive: judged, counted, journalled, given to their calls.

Source: Lingma local protocol, section 4.7. A message nobody waits for is noted as such; nothing
is taken twice.
"""

import asyncio
from collections import Counter
from collections.abc import Callable

from lingma_cli.demo import rpc
from lingma_cli.demo.journal import Journal, compact
from lingma_cli.demo.outcomes import Ending, Outcome

APPROVE = "tool/call/approve"
RESULT = "tool/invokeResult"
INVOKED = "tool/invoke"
TOOL_METHODS = frozenset({APPROVE, RESULT})
_FIELDS: dict[str, type] = {
    "toolCallId": str, "name": str, "success": bool, "errorMessage": str, "result": dict,
}  # fmt: skip
_APPROVAL: dict[str, type] = {
    "type": str, "sessionId": str, "requestId": str, "toolCallId": str, "approval": bool,
}  # fmt: skip
_CALL_LIMIT = 10_000


class Pending:
    """One call that waits: for its approval, and for its outcome.

    `acks` is the directive `tool_acks`.
    """

    def __init__(self, request_id: str, tool_id: str, name: str, acks: str = "now") -> None:
        loop = asyncio.get_running_loop()
        self.request_id = request_id
        self.tool_id = tool_id
        self.name = name
        self.acks = acks
        self.takes_results = True
        self.approved: asyncio.Future[bool] = loop.create_future()
        self.outcome: asyncio.Future[Outcome] = loop.create_future()
        self.owed: list[Callable[[], None]] = []

    def settle(self, outcome: Outcome) -> None:
        """Take the first outcome; an outcome also ends the waiting for an approval."""
        if not self.outcome.done():
            self.outcome.set_result(outcome)
        self.approve()

    def approve(self) -> None:
        """Take an approval."""
        if not self.approved.done():
            self.approved.set_result(True)

    def pay(self) -> None:
        """Send the answers that were held back."""
        for send in self.owed:
            send()
        self.owed.clear()


class ToolDesk:
    """All calls of the process that wait."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._pending: dict[str, Pending] = {}
        self._counts: Counter[tuple[str, str]] = Counter()

    def open(self, pending: Pending) -> None:
        """Wait for a call."""
        self._pending[pending.tool_id] = pending

    def find(self, tool_id: object) -> Pending | None:
        """Return the call that waits under an id."""
        return self._pending.get(str(tool_id))

    def close(self, pending: Pending) -> None:
        """Wait no longer."""
        pending.pay()
        pending.outcome.cancel()
        pending.approved.cancel()
        if self._pending.get(pending.tool_id) is pending:
            del self._pending[pending.tool_id]

    def withholds(self, params: object, send: Callable[[], None]) -> bool:
        """Whether the answer to a tool message is not due yet; a late one is sent at the end."""
        pending = self.find(params.get("toolCallId")) if isinstance(params, dict) else None
        if pending is None or pending.acks == "now":
            return False
        if pending.acks == "late":
            pending.owed.append(send)
        return True

    def deliver(self, method: str, params: rpc.Params) -> None:
        """Take tool/call/approve or tool/invokeResult."""
        pending = self.find(params.get("toolCallId"))
        if method == APPROVE:
            odd = _odd(params, _APPROVAL)
            expected = pending is not None and not pending.approved.done()
            self._note(APPROVE, pending, params, expected=expected, odd=odd)
            if pending is not None and params.get("approval") is True:
                pending.approve()
            elif pending is not None:
                reason = params.get("errorMessage") or "the call was not approved"
                pending.settle(_bad(pending, "refused", str(reason)))
            return
        expected = _expects(pending)
        self._note(RESULT, pending, params, expected=expected, odd=_odd(params, _FIELDS))
        if pending is not None and expected:
            pending.settle(_read(pending, params))

    def invoked(self, pending: Pending, answer: rpc.Answer, *, asynchronous: bool) -> None:
        """Take the answer of tool/invoke: an acknowledgement, or the result itself."""
        payload = answer.payload
        expected = asynchronous or not pending.outcome.done()
        fields = payload if isinstance(payload, dict) and not answer.is_error else {"raw": payload}
        odd = [] if asynchronous and payload is None else _odd(fields, _FIELDS)
        self._note(INVOKED, pending, fields, expected=expected, odd=odd)
        if answer.is_error:
            pending.settle(_bad(pending, "failed", compact(payload)))
        elif not asynchronous:
            is_result = isinstance(payload, dict) and "success" in payload
            nothing = _bad(pending, "failed", "the answer of tool/invoke is no result")
            pending.settle(_read(pending, fields) if is_result else nothing)

    def _note(
        self,
        method: str,
        pending: Pending | None,
        params: rpc.Params,
        *,
        expected: bool,
        odd: list[str],
    ) -> None:
        tool_id = str(params.get("toolCallId") or (pending.tool_id if pending else ""))
        if len(self._counts) > _CALL_LIMIT:
            self._counts.clear()
        self._counts[method, tool_id] += 1
        self._journal.note(
            "tool-answer",
            method=method,
            requestId=pending.request_id if pending else None,
            toolCallId=tool_id,
            name=pending.name if pending else None,
            nth=self._counts[method, tool_id],
            expected=expected,
            odd=odd,
            answer=params.get("raw", params),
        )


def _expects(pending: Pending | None) -> bool:
    return pending is not None and pending.takes_results and not pending.outcome.done()


def _odd(params: rpc.Params, fields: dict[str, type]) -> list[str]:
    """Return the fields that are missing or of another type."""
    return [name for name, kind in fields.items() if not isinstance(params.get(name), kind)]


def _bad(pending: Pending, ending: Ending, text: str) -> Outcome:
    return Outcome(name=pending.name, ending=ending, text=text)


def _read(pending: Pending, params: rpc.Params) -> Outcome:
    """Read the five fields."""
    if params.get("success") is not True:
        return _bad(pending, "failed", str(params.get("errorMessage")))
    result = params.get("result")
    content = result.get("content") if isinstance(result, dict) else None
    text = content if isinstance(content, str) else compact(result)
    return Outcome(name=pending.name, ending="result", text=text, result=result)
