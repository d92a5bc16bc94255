"""Who fails again and again is left alone for a while."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lingma_cli.control.breaker import Breaker, BreakerOptions, BreakerState

CLOSED, OPEN, HALF_OPEN = BreakerState
OPTIONS = BreakerOptions(failures=3, window=10.0, pause=60.0, successes=2)


class Scene:
    """A breaker and its clock."""

    def __init__(self, options: BreakerOptions = OPTIONS) -> None:
        self.now = 0.0
        self.breaker = Breaker(options, lambda: self.now)

    def fail(self, times: int) -> None:
        """Fail so often, at once."""
        for _ in range(times):
            self.breaker.failed()


def test_the_defaults() -> None:
    """Ten in a row within two minutes; a minute's pause; three good ones."""
    scene = Scene(BreakerOptions())
    states: list[BreakerState] = []

    for _ in range(10):
        states.append(scene.breaker.state)
        scene.fail(1)
    states.append(scene.breaker.state)
    scene.now = 60.0
    for _ in range(3):
        states.append(scene.breaker.state)
        scene.breaker.succeeded()
    states.append(scene.breaker.state)

    assert states == [*[CLOSED] * 10, OPEN, *[HALF_OPEN] * 3, CLOSED]


def test_a_success_in_between_counts_from_nothing() -> None:
    """Only failures in a row open it."""
    scene = Scene()

    for _ in range(5):
        scene.fail(2)
        scene.breaker.succeeded()

    assert (scene.breaker.state, scene.breaker.failures) == (CLOSED, 0)


def test_a_pause_can_end_early_but_not_at_once() -> None:
    """It is half open from then on; closed, there is nothing to end."""
    scene = Scene()
    scene.breaker.relent(0.0)
    states = [scene.breaker.state]
    scene.fail(3)
    for scene.now in (1.9, 2.0):
        scene.breaker.relent(2.0)
        states.append(scene.breaker.state)
    scene.breaker.enter()
    scene.fail(1)
    states.append(scene.breaker.state)

    assert states == [CLOSED, OPEN, HALF_OPEN, OPEN]


def test_old_failures_do_not_count() -> None:
    """Three in eleven seconds are no series; three in ten are."""
    slow, quick = Scene(), Scene()

    for scene, step in ((slow, 5.5), (quick, 5.0)):
        for place in range(3):
            scene.now = place * step
            scene.fail(1)

    assert (slow.breaker.state, quick.breaker.state) == (CLOSED, OPEN)


def test_one_probe_at_a_time() -> None:
    """After the pause one request passes; the next when that has come to something."""
    scene = Scene()
    scene.fail(3)
    breaker, admitted = scene.breaker, [scene.breaker.admits()]

    scene.now = 59.9
    admitted.append(breaker.admits())
    scene.now = 60.0
    admitted.append(breaker.admits())
    probe = breaker.enter()
    admitted.append(breaker.admits())
    breaker.leave(probe)
    admitted.append(breaker.admits())
    breaker.enter()
    breaker.succeeded()
    admitted.append(breaker.admits())

    assert probe is not None
    assert admitted == [False, False, True, False, True, True]


def test_a_probe_that_fails_opens_it_again() -> None:
    """For a whole pause; successes before do not count any more."""
    scene = Scene()
    scene.fail(3)
    scene.now = 60.0
    scene.breaker.succeeded()

    scene.fail(1)
    again = (scene.breaker.state, scene.breaker.rest)
    scene.now = 120.0
    scene.breaker.succeeded()

    assert (*again, scene.breaker.state) == (OPEN, 60.0, HALF_OPEN)


def test_the_end_of_an_old_probe_frees_no_new_one() -> None:
    """Two lives of the breaker do not meet."""
    scene = Scene()
    scene.fail(3)
    scene.now = 60.0
    old = scene.breaker.enter()
    scene.fail(1)
    scene.now = 120.0
    scene.breaker.enter()

    scene.breaker.leave(old)

    assert scene.breaker.admits() is False


def test_answers_from_before_change_nothing_while_it_is_open() -> None:
    """Neither good ones nor bad ones."""
    scene = Scene()
    scene.fail(3)
    scene.now = 30.0

    scene.breaker.succeeded()
    scene.fail(5)

    assert (scene.breaker.state, scene.breaker.rest) == (OPEN, 30.0)


def test_it_can_be_switched_off_and_reset() -> None:
    """No number of failures opens it then; a reset closes it at once."""
    off, reset = Scene(BreakerOptions(failures=0)), Scene()

    off.fail(1000)
    reset.fail(3)
    reset.breaker.reset()

    assert (off.breaker.state, reset.breaker.state, reset.breaker.rest) == (CLOSED, CLOSED, 0.0)


@given(st.lists(st.one_of(st.sampled_from(["ok", "bad", "enter", "leave"]), st.floats(0, 100))))
def test_it_always_heals(steps: list[str | float]) -> None:
    """Whatever has happened, a request passes a pause later once no probe is out."""
    scene, probes = Scene(), list[int | None]()
    for step in steps:
        match step:
            case "ok":
                scene.breaker.succeeded()
            case "bad":
                scene.fail(1)
            case "enter":
                if scene.breaker.admits():
                    probes.append(scene.breaker.enter())
            case "leave":
                if probes:
                    scene.breaker.leave(probes.pop())
            case _:
                assert isinstance(step, float)
                scene.now += step

    for probe in probes:
        scene.breaker.leave(probe)
    scene.now += OPTIONS.pause

    assert scene.breaker.admits()
