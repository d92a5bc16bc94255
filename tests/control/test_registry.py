"""The pool and its leases."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack, suppress

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from lingma_cli.control.registry import EngineState, Registry, Slot
from lingma_cli.core.login import LoginState
from lingma_cli.errors import ErrorKind, LingmaError
from tests.support.scripted_engine import ScriptedEngine
from tests.support.virtual_time import now, run, settle

READY, STARTING, ERROR, STOPPED = (
    EngineState.READY,
    EngineState.STARTING,
    EngineState.ERROR,
    EngineState.STOPPED,
)
IN, OUT, UNKNOWN = LoginState.IN, LoginState.OUT, LoginState.UNKNOWN
TROUBLE = LingmaError(ErrorKind.LOGIN_REQUIRED, "no login")


def _pool(*states: EngineState) -> Registry:
    engines = [ScriptedEngine(name=str(place)) for place in range(len(states))]
    registry = Registry([Slot(engine=engine) for engine in engines])
    for slot, state in zip(registry.slots, states, strict=True):
        if state is not STARTING:
            registry.move(slot, state)
    return registry


def test_the_least_busy_ready_engine_is_leased() -> None:
    """Fewest leases first, the first slot on ties, and never one that is not ready."""
    registry = _pool(ERROR, READY, READY)
    names: list[str] = []

    with ExitStack() as held:
        names += [held.enter_context(registry.lease()).engine.name for _ in range(4)]

    assert names == ["1", "2", "1", "2"]
    assert [slot.in_flight for slot in registry.slots] == [0, 0, 0]


def _say(registry: Registry, *logins: LoginState) -> None:
    for slot, login in zip(registry.slots, logins, strict=True):
        assert isinstance(slot.engine, ScriptedEngine)
        slot.engine.login = login


def test_an_engine_that_is_logged_in_goes_first() -> None:
    """However busy it is; in doubt before a no, and a no before nothing."""
    registry = _pool(READY, READY, READY)
    names: list[str] = []

    for logins in ((OUT, UNKNOWN, IN), (OUT, UNKNOWN, OUT), (OUT, OUT, OUT)):
        _say(registry, *logins)
        with registry.lease() as first, registry.lease() as second:
            names += [first.engine.name, second.engine.name]

    assert names == ["2", "2", "1", "1", "0", "1"]


def test_a_start_is_waited_for_if_all_others_are_logged_out() -> None:
    """It may have a login; when it fails, or takes too long, the others give their answer."""

    async def main(*later: EngineState) -> float:
        registry = _pool(READY, STARTING)
        _say(registry, OUT, IN)
        waiting = asyncio.ensure_future(registry.wait_ready(10))
        await asyncio.sleep(4)
        for state in later:
            registry.move(registry.slots[1], state)
        await waiting
        return now()

    assert [run(main(READY)), run(main(ERROR)), run(main())] == [4.0, 4.0, 10.0]


def test_a_login_under_way_is_waited_for() -> None:
    """If nobody else can serve."""

    async def main(first: LoginState) -> float:
        registry = _pool(READY, READY)
        _say(registry, first, OUT)
        registry.slots[1].is_logging_in = True
        waiting = asyncio.ensure_future(registry.wait_ready(10))
        await asyncio.sleep(4)
        registry.slots[1].is_logging_in = False
        registry.wake()
        await waiting
        return now() if first is OUT else 0.0

    assert [run(main(OUT)), run(main(IN))] == [4.0, 0.0]


def test_waiting_for_the_last_lease() -> None:
    """Until it is back, or not so long."""

    async def main(held: float) -> float:
        registry = _pool(READY)
        (slot,) = registry.slots

        async def hold() -> None:
            with registry.lease():
                await asyncio.sleep(held)

        holding = asyncio.ensure_future(hold())
        await settle()
        registry.move(slot, STARTING)
        await registry.wait_idle(slot, 10)
        waited = now()
        await holding
        return waited

    assert [run(main(3)), run(main(30))] == [3.0, 10.0]


def test_advice_about_the_login() -> None:
    """Only where it is about that, and known."""
    known = Slot(engine=ScriptedEngine(), login_hint="run it")
    other = LingmaError(ErrorKind.OVERLOADED, "busy", hint="wait")

    assert known.advised(TROUBLE).advice == "no login; run it"
    assert known.advised(other) is other
    assert Slot(engine=ScriptedEngine()).advised(TROUBLE) is TROUBLE


def test_a_lease_ends_whatever_happens_inside() -> None:
    """An exception gives it back too."""
    registry = _pool(READY)

    with suppress(ZeroDivisionError), registry.lease():
        raise ZeroDivisionError

    assert registry.slots[0].in_flight == 0


def test_no_lease_without_a_ready_engine() -> None:
    """The reason is the first engine's own, if one has a reason."""
    registry = _pool(STARTING, STARTING)

    with pytest.raises(LingmaError) as nameless, registry.lease():
        pass
    registry.move(registry.slots[1], ERROR, TROUBLE)
    with pytest.raises(LingmaError) as caught, registry.lease():
        pass

    assert ErrorKind.ENGINE_UNAVAILABLE is nameless.value.kind
    assert nameless.value.retry_after is not None
    assert TROUBLE is caught.value


def test_getting_ready_forgets_the_trouble_and_counts_a_generation() -> None:
    """A new life has no past."""
    registry = _pool(STARTING)
    (slot,) = registry.slots
    registry.move(slot, ERROR, TROUBLE)
    registry.move(slot, STARTING)
    kept = slot.last_error

    registry.move(slot, READY)

    assert (kept, slot.last_error, slot.generation) == (TROUBLE, None, 1)


def test_a_ready_engine_is_not_waited_for() -> None:
    """The clock does not move."""

    async def main() -> float:
        await _pool(STARTING, READY).wait_ready(10)
        return now()

    assert run(main()) == 0.0


def test_waiting_ends_when_an_engine_gets_ready() -> None:
    """At that moment, for all who wait."""

    async def main() -> tuple[float, int]:
        registry = _pool(STARTING)
        waiting = [asyncio.ensure_future(registry.wait_ready(10)) for _ in range(3)]
        await asyncio.sleep(4)
        registry.move(registry.slots[0], READY)
        await asyncio.gather(*waiting)
        return now(), len(waiting)

    assert run(main()) == (4.0, 3)


@pytest.mark.parametrize("state", [ERROR, STOPPED])
def test_waiting_ends_at_once_when_no_engine_is_on_its_way(state: EngineState) -> None:
    """There is nothing to wait for."""

    async def main() -> float:
        registry = _pool(state)
        with pytest.raises(LingmaError):
            await registry.wait_ready(10)
        return now()

    assert run(main()) == 0.0


def test_waiting_fails_with_the_reason_when_the_start_fails() -> None:
    """Whoever waits hears why, at once."""

    async def main() -> tuple[float, BaseException | None]:
        registry = _pool(STARTING)
        waiting = asyncio.ensure_future(registry.wait_ready(10))
        await asyncio.sleep(2)
        registry.move(registry.slots[0], ERROR, TROUBLE)
        await asyncio.wait([waiting])
        return now(), waiting.exception()

    assert run(main()) == (2.0, TROUBLE)


def test_waiting_ends_in_time() -> None:
    """A start that takes too long is an unavailable engine."""

    async def main() -> tuple[float, ErrorKind]:
        with pytest.raises(LingmaError) as caught:
            await _pool(STARTING).wait_ready(10)
        return now(), caught.value.kind

    assert run(main()) == (10.0, ErrorKind.ENGINE_UNAVAILABLE)


def test_closing_sends_everybody_away() -> None:
    """Those who wait and those who come."""
    bye = LingmaError(ErrorKind.SHUTTING_DOWN, "bye")

    async def main() -> list[BaseException | None]:
        registry = _pool(STARTING)
        waiting = asyncio.ensure_future(registry.wait_ready(10))
        await settle()
        registry.close(bye)
        late = asyncio.ensure_future(registry.wait_ready(10))
        await asyncio.wait([waiting, late])
        return [waiting.exception(), late.exception()]

    assert [bye, bye] == run(main())


class Leases(RuleBasedStateMachine):
    """Leases come and go while engines change their state."""

    def __init__(self) -> None:
        super().__init__()
        self.registry = _pool(READY, STARTING, ERROR)
        self.held: list[tuple[ExitStack, Slot]] = []

    @rule(place=st.integers(0, 2), state=st.sampled_from(EngineState))
    def move(self, place: int, state: EngineState) -> None:
        """Move one engine."""
        self.registry.move(self.registry.slots[place], state)

    @rule()
    def take(self) -> None:
        """Take a lease, if any engine is ready."""
        stack = ExitStack()
        ready = [slot for slot in self.registry.slots if slot.state is READY]
        if not ready:
            with pytest.raises(LingmaError), self.registry.lease():
                pass
            return
        least = min(slot.in_flight for slot in ready)
        slot = stack.enter_context(self.registry.lease())
        assert slot.state is READY
        assert least + 1 == slot.in_flight
        self.held.append((stack, slot))

    @rule(data=st.data())
    def give_back(self, data: st.DataObject) -> None:
        """End any lease."""
        if self.held:
            stack, _ = self.held.pop(data.draw(st.integers(0, len(self.held) - 1)))
            stack.close()

    @invariant()
    def counts_are_true(self) -> None:
        """Each slot counts exactly its own leases."""
        for slot in self.registry.slots:
            assert sum(held is slot for _, held in self.held) == slot.in_flight

    def teardown(self) -> None:
        """In the end everything is back."""
        for stack, _ in self.held:
            stack.close()
        assert [slot.in_flight for slot in self.registry.slots] == [0, 0, 0]


Leases.TestCase.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
TestLeases = Leases.TestCase
