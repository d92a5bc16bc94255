"""The door of the gateway."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.gateway.admission import Admission, AdmissionLimits
from tests.support.virtual_time import VirtualLoop, now, run, settle


def _door(cap: int, *, queue: int = 10, patience: float = 30.0) -> Admission:
    limits = AdmissionLimits(max_in_flight=cap, queue_size=queue, queue_timeout=patience)
    return Admission(limits)


class _Visitor:
    """One request: it enters when it may, stays until told to go, and remembers its fate."""

    def __init__(self, door: Admission) -> None:
        self.go = asyncio.Event()
        self.inside = False
        self.refused: LingmaError | None = None
        self.task = asyncio.ensure_future(self._visit(door))

    @property
    def refusal(self) -> ErrorKind | None:
        """The kind of what sent it away."""
        return None if self.refused is None else self.refused.kind

    async def _visit(self, door: Admission) -> None:
        try:
            async with door.ticket():
                self.inside = True
                try:
                    await self.go.wait()
                finally:
                    self.inside = False
        except LingmaError as error:
            self.refused = error


async def _leave(*visitors: _Visitor) -> None:
    for visitor in visitors:
        visitor.go.set()
    await asyncio.gather(*(visitor.task for visitor in visitors))


def test_places_are_given_in_the_order_of_arrival() -> None:
    """Who came first goes in first, and nobody overtakes those who wait."""

    async def main() -> list[list[bool]]:
        door = _door(1)
        visitors = [_Visitor(door) for _ in range(3)]
        seen = []
        for visitor in visitors:
            await settle()
            seen.append([one.inside for one in visitors])
            await _leave(visitor)
        return seen

    expected = [[True, False, False], [False, True, False], [False, False, True]]
    assert expected == run(main())


@pytest.mark.parametrize("cap", [0, -1])
def test_without_a_limit_nobody_waits(cap: int) -> None:
    """Zero or less means no limit."""

    async def main() -> int:
        door = _door(cap)
        visitors = [_Visitor(door) for _ in range(50)]
        await settle()
        inside = door.in_flight
        await _leave(*visitors)
        assert door.in_flight == 0
        return inside

    assert run(main()) == 50


def test_a_full_queue_refuses_at_once() -> None:
    """The answer is 429 with a time to come back, and it is counted."""

    async def main() -> tuple[LingmaError | None, float, int]:
        door = _door(1, queue=1)
        inside, waiting, refused = (_Visitor(door) for _ in range(3))
        await refused.task
        moment = now()
        await _leave(inside, waiting)
        return refused.refused, moment, door.rejected_total

    error, moment, rejected = run(main())

    assert error is not None
    assert (error.kind, moment, rejected) == (ErrorKind.OVERLOADED, 0.0, 1)
    assert (error.retry_after or 0) >= 1


def test_patience_ends() -> None:
    """Who waited long enough is refused; the place in the queue is free again."""

    async def main() -> tuple[float, ErrorKind | None, int, int]:
        door = _door(1, patience=30)
        inside, waiting = _Visitor(door), _Visitor(door)
        await waiting.task
        moment, kind = now(), waiting.refusal
        queued = door.queued
        await _leave(inside)
        return moment, kind, queued, door.in_flight

    assert run(main()) == (30.0, ErrorKind.OVERLOADED, 0, 0)


def test_who_leaves_the_queue_is_passed_over() -> None:
    """A client that hangs up while it waits takes no place."""

    async def main() -> tuple[bool, int]:
        door = _door(1)
        inside, gone, last = (_Visitor(door) for _ in range(3))
        await settle()
        gone.task.cancel()
        await settle()
        await _leave(inside)
        await settle()
        result = last.inside, door.queued
        await _leave(last)
        return result

    assert run(main()) == (True, 0)


def test_a_place_given_to_someone_who_just_left_goes_on() -> None:
    """Being called in and hanging up at the same moment loses nothing."""

    async def main() -> tuple[bool, int]:
        door = _door(1)
        inside, gone, last = (_Visitor(door) for _ in range(3))
        await settle()
        # The ticket comes back and is given on within this one step; nobody has run since.
        inside.task.cancel()
        await asyncio.sleep(0)
        gone.task.cancel()
        await settle()
        result = last.inside, door.in_flight
        await _leave(last)
        assert door.in_flight == 0
        return result

    assert run(main()) == (True, 1)


def test_closing() -> None:
    """Who waits and who comes is sent away; who is inside may finish; then the house is empty."""

    async def main() -> tuple[list[ErrorKind | None], bool]:
        door = _door(1)
        inside, waiting = _Visitor(door), _Visitor(door)
        await settle()
        door.close()
        late = _Visitor(door)
        await asyncio.gather(waiting.task, late.task)
        emptied = asyncio.ensure_future(door.empty())
        await settle()
        early = emptied.done()
        await _leave(inside)
        await emptied
        return [one.refusal for one in (inside, waiting, late)], early

    gone = ErrorKind.SHUTTING_DOWN
    assert ([None, gone, gone], False) == run(main())


def test_an_error_inside_gives_the_ticket_back() -> None:
    """However a context is left."""

    async def main() -> int:
        door = _door(1)
        with suppress(ZeroDivisionError):
            async with door.ticket():
                raise ZeroDivisionError
        return door.in_flight

    assert run(main()) == 0


CAP, QUEUE, PATIENCE = 2, 3, 10.0


class Door(RuleBasedStateMachine):
    """Requests come, leave, hang up and lose patience in any order."""

    @initialize()
    def open(self) -> None:
        """Build the door."""
        self.loop = VirtualLoop()
        self.closed = False
        self.everybody: list[_Visitor] = []
        self.admitted: list[_Visitor] = []

        async def build() -> Admission:
            return _door(CAP, queue=QUEUE, patience=PATIENCE)

        self.door = self.loop.run_until_complete(build())

    def _step(self, pause: float = 0.0) -> None:
        async def step() -> None:
            await settle()
            await asyncio.sleep(pause)
            await settle()

        self.loop.run_until_complete(step())
        fresh = [one for one in self.everybody if one.inside and one not in self.admitted]
        self.admitted += fresh
        # Nobody who came before the last one let in is still waiting.
        if fresh:
            last = self.everybody.index(fresh[-1])
            assert not any(self._waits(one) for one in self.everybody[:last])

    @staticmethod
    def _waits(visitor: _Visitor) -> bool:
        return not visitor.inside and not visitor.task.done()

    def _pick(self, data: st.DataObject, crowd: list[_Visitor]) -> _Visitor | None:
        return data.draw(st.sampled_from(crowd)) if crowd else None

    @rule(count=st.integers(1, 4))
    def come(self, count: int) -> None:
        """Some arrive at once."""

        async def arrive() -> None:
            self.everybody += [_Visitor(self.door) for _ in range(count)]

        self.loop.run_until_complete(arrive())
        self._step()

    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        """One is done."""
        if visitor := self._pick(data, [one for one in self.everybody if one.inside]):
            visitor.go.set()
            self._step()

    @rule(data=st.data(), others=st.booleans())
    def hang_up(self, data: st.DataObject, others: bool) -> None:
        """One is cancelled, inside or waiting, perhaps while another leaves."""
        alive = [one for one in self.everybody if not one.task.done()]
        inside = [one for one in alive if one.inside]
        if others and inside:
            inside[0].go.set()
        if visitor := self._pick(data, alive):
            visitor.task.cancel()
        self._step()

    @rule(pause=st.sampled_from((1.0, PATIENCE / 2, PATIENCE)))
    def wait(self, pause: float) -> None:
        """Time passes."""
        self._step(pause)

    @rule(really=st.integers(0, 9))
    def close(self, really: int) -> None:
        """The house closes for good, now and then."""
        if really == 0:
            self.closed = True
            self.door.close()
            self._step()

    @invariant()
    def the_books_are_right(self) -> None:
        """The gauges count who is there, the limits hold, no place is free while one waits."""
        inside = sum(one.inside for one in self.everybody)
        waiting = sum(map(self._waits, self.everybody))
        assert (inside, waiting) == (self.door.in_flight, self.door.queued)
        assert 0 <= inside <= CAP
        assert waiting <= QUEUE
        assert waiting == 0 or (inside == CAP and not self.closed)

    def teardown(self) -> None:
        """When all have left, nothing is left."""
        for visitor in self.everybody:
            visitor.go.set()
        self._step()
        assert (self.door.in_flight, self.door.queued) == (0, 0)
        self.loop.run_until_complete(self.door.empty())
        self.loop.close()


Door.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestDoor = Door.TestCase
