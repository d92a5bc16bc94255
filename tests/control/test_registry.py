"""The pool and its leases."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from contextlib import ExitStack, suppress

import pytest

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
    assert vars(TROUBLE) == vars(caught.value)


def test_what_is_kept_does_not_grow_with_those_who_hear_of_it() -> None:
    """Each refused request has an error of its own, which goes with it."""
    registry = _pool(STARTING, STARTING)
    kept, bye = (LingmaError(ErrorKind.LOGIN_REQUIRED, "no"), LingmaError(ErrorKind.INTERNAL, "x"))
    registry.move(registry.slots[0], ERROR, kept)

    async def main() -> None:
        for _ in range(2):
            with pytest.raises(LingmaError, match="no"), registry.lease(avoid=["1"]):
                pass
            with pytest.raises(LingmaError, match="no"):
                await registry.wait_ready(1, avoid=["1"])
        registry.close(bye)
        with pytest.raises(LingmaError, match="x"):
            await registry.wait_ready(1)

    run(main())

    assert (kept.__traceback__, bye.__traceback__) == (None, None)


def test_whoever_is_ready_tells_why_there_is_no_lease() -> None:
    """That another one is broken is no news to those who wait for a place."""
    registry = _pool(ERROR, READY)
    broken, full = registry.slots
    broken.last_error, full.limit = TROUBLE, 1

    with registry.lease(), pytest.raises(LingmaError) as caught, registry.lease():
        pass
    with pytest.raises(LingmaError) as other, registry.lease(avoid=["1"]):
        pass

    assert (caught.value.kind, caught.value.retry_after) == (ErrorKind.OVERLOADED, 2.0)
    assert other.value.kind is TROUBLE.kind


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

    moment, error = run(main())
    assert (moment, str(error)) == (2.0, TROUBLE.message)


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

    assert [str(error) for error in run(main())] == ["bye", "bye"]


# the choice


def test_a_policy_sees_all_and_chooses_among_the_eligible() -> None:
    """Those that serve the request, in order; of these, the ones that may be had and are best."""
    registry = _pool(READY, ERROR, READY, READY, READY)
    _say(registry, IN, IN, OUT, IN, IN)
    told: list[tuple[str, list[str]]] = []

    def last(slots: Sequence[Slot], eligible: AbstractSet[str]) -> Slot | None:
        told.append(("".join(slot.id for slot in slots), sorted(eligible)))
        return next(slot for slot in reversed(slots) if slot.id in eligible)

    with registry.lease(last, serves=lambda slots: slots[1:], avoid=["4"]) as leased:
        assert leased.id == "3"
    assert told == [("1234", ["3"])]


@pytest.mark.parametrize("place", [None, 1])
def test_a_policy_cannot_choose_what_may_not_be_had(place: int | None) -> None:
    """None, or one that is not eligible: there is no lease, and nobody is said to have failed."""
    registry = _pool(READY, ERROR)
    registry.slots[1].last_error = TROUBLE

    with (
        pytest.raises(LingmaError, match="routing header") as caught,
        registry.lease(lambda slots, _: None if place is None else slots[place]),
    ):
        pass

    assert caught.value.kind is ErrorKind.ENGINE_UNAVAILABLE
    assert [slot.in_flight for slot in registry.slots] == [0, 0]


def test_who_must_not_be_chosen_has_not_failed() -> None:
    """It is ready and free, and was asked before."""
    registry = _pool(READY)

    with pytest.raises(LingmaError, match="no engine is ready"), registry.lease(avoid=["0"]):
        pass


# who belongs to it


def test_engines_come_and_go() -> None:
    """Ids stay when places shift; names are unique; only what has stopped can be removed."""
    registry = _pool(READY, READY)
    new = Slot(engine=ScriptedEngine(name="new"), id="e-1")
    registry.add(new)
    first = registry.find("0")

    with pytest.raises(LingmaError, match="has not stopped"):
        registry.remove(first)
    registry.move(first, STOPPED)
    registry.remove(first)

    assert [slot.id for slot in registry.slots] == ["1", "e-1"]
    assert (registry.find("e-1"), registry.find("new")) == (new, new)
    with pytest.raises(LingmaError, match="no engine `0`"):
        registry.find("0")
    for taken in (Slot(engine=ScriptedEngine(name="new")), Slot(engine=ScriptedEngine(), id="1")):
        with pytest.raises(LingmaError, match="already") as caught:
            registry.add(taken)
        assert caught.value.kind is ErrorKind.CONFLICT


def test_an_empty_pool_keeps_nobody_waiting() -> None:
    """There is nobody to wait for; one that comes is waited for."""

    async def main() -> tuple[float, float]:
        registry = _pool()
        with pytest.raises(LingmaError):
            await registry.wait_ready(10)
        at_once = now()
        registry.add(Slot(engine=ScriptedEngine()))
        waiting = asyncio.ensure_future(registry.wait_ready(10))
        await asyncio.sleep(3)
        registry.move(registry.slots[0], READY)
        await waiting
        return at_once, now()

    assert run(main()) == (0.0, 3.0)


def test_an_illegal_move_changes_nothing() -> None:
    """What drains cannot come back."""
    registry = _pool(READY)
    (slot,) = registry.slots
    registry.move(slot, EngineState.DRAINING)

    with pytest.raises(ValueError, match="from draining to ready"):
        registry.move(slot, READY)

    assert registry.try_move(slot, ERROR, TROUBLE) is False
    assert (slot.state, slot.reason, slot.generation) == (EngineState.DRAINING, "it is to stop", 1)
