"""Tool calls of a stream, told one after the other though servers may interleave them. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import msgspec

from lingma_cli.core.events import BlockClosed, BlockDelta, BlockKind, BlockOpened, ChatEvent
from lingma_cli.core.ids import NewId

_CALL = BlockKind.TOOL_CALL


@dataclass(slots=True, kw_only=True)
class _Call:
    index: int
    id: str
    name: str
    pieces: list[str] = field(default_factory=list)
    told: int = 0
    is_open: bool = False


class CallReader:
    """Gathers pieces of calls; the first that is not complete is told live, later ones wait.

    Args:
        new_call_id: makes ids for servers that give none.
        parallel: whether more than one call is wanted.
    """

    def __init__(self, new_call_id: NewId, *, parallel: bool) -> None:
        self._new_id = new_call_id
        self._parallel = parallel
        self._calls: list[_Call] = []
        self._live = 0
        self.dropped = False

    def __bool__(self) -> bool:
        return bool(self._calls)

    @property
    def told(self) -> bool:
        """Whether any call has been told."""
        return any(call.is_open for call in self._calls)

    def add(self, index: int | None, id_: str, name: str, arguments: str) -> Iterator[ChatEvent]:
        """Take one piece and yield what can be told."""
        call = self._meant(index, id_, name)
        is_new = call is None
        if call is None:
            place = index if index is not None else len(self._calls)
            call = _Call(index=place, id=id_, name=name)
            self._calls.append(call)
        call.id, call.name = call.id or id_, call.name or name
        if arguments:
            call.pieces.append(arguments)
        # The live call may have been complete before this one began.
        may_end = is_new or arguments.rstrip().endswith("}")
        yield from self._tell(may_end=may_end and len(self._calls) > self._live + 1)

    def end(self) -> Iterator[ChatEvent]:
        """Yield what has waited for the end."""
        while self._live < len(self._calls):
            yield from self._close(self._calls[self._live])

    def _meant(self, index: int | None, id_: str, name: str) -> _Call | None:
        """Return the call that a piece belongs to, `None` for a new one."""
        if index is None:
            # quirk: some servers number no calls; what names one begins one.
            known = [call for call in self._calls if id_ and call.id == id_]
            return known[0] if known else None if id_ or name else next(reversed(self._calls), None)
        found = next((call for call in reversed(self._calls) if call.index == index), None)
        if found is not None and name and id_ and found.id and id_ != found.id:
            # quirk: older Ollama gives each of its whole calls the number 0.
            return None
        return found

    def _tell(self, *, may_end: bool) -> Iterator[ChatEvent]:
        while self._live < len(self._calls):
            call = self._calls[self._live]
            if not call.name:
                return
            yield from self._pieces(call)
            is_last = self._live + 1 == len(self._calls)
            if is_last or not may_end or not _is_whole(call):
                return
            yield from self._close(call)

    def _pieces(self, call: _Call) -> Iterator[ChatEvent]:
        if self._live and not self._parallel:
            return
        if not call.is_open:
            call.is_open = True
            id_ = call.id or f"call_{self._new_id()[:24]}"
            yield BlockOpened(kind=_CALL, call_id=id_, name=call.name)
        if text := "".join(call.pieces[call.told :]):
            call.told = len(call.pieces)
            yield BlockDelta(kind=_CALL, text=text)

    def _close(self, call: _Call) -> Iterator[ChatEvent]:
        if call.name and (self._parallel or not self._live):
            yield from self._pieces(call)
            yield BlockClosed()
        else:
            self.dropped = True
        self._live += 1


def _is_whole(call: _Call) -> bool:
    try:
        msgspec.json.decode("".join(call.pieces))
    except (msgspec.DecodeError, RecursionError):
        return False
    return True
