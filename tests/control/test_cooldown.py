"""The rest of an engine whose quota is used up."""

from __future__ import annotations

import pytest

from lingma_cli.control.cooldown import Cooldown, CooldownOptions
from lingma_cli.errors import ErrorKind, LingmaError


def _used_up(retry_after: float | None = None) -> LingmaError:
    return LingmaError(ErrorKind.QUOTA_EXCEEDED, "used up", retry_after=retry_after)


class Scene:
    """A cooldown and its clock."""

    def __init__(self) -> None:
        self.now = 0.0
        self.cooldown = Cooldown(CooldownOptions(), lambda: self.now)

    def rests(self, times: int) -> list[float]:
        """Freeze it at the end of each rest and return how long these are."""
        lengths: list[float] = []
        for _ in range(times):
            self.cooldown.freeze(_used_up())
            lengths.append(self.cooldown.rest)
            self.now += self.cooldown.rest
        return lengths


def test_a_rest_doubles_up_to_an_hour() -> None:
    """A minute first; for ever, it is never longer than an hour."""
    expected = [60.0, 120.0, 240.0, 480.0, 960.0, 1920.0, 3600.0, 3600.0]

    assert Scene().rests(100) == pytest.approx([*expected, *[3600.0] * 92])


def test_it_heals_by_itself() -> None:
    """At its end, and not before."""
    scene = Scene()
    scene.cooldown.freeze(_used_up())
    cold = []

    for moment in (0.0, 59.9, 60.0):
        scene.now = moment
        cold.append((scene.cooldown.is_cold, scene.cooldown.rest > 0))

    assert cold == [(True, True), (True, True), (False, False)]


@pytest.mark.parametrize(("asked", "rest"), [(10.0, 60.0), (300.0, 300.0), (1e9, 3600.0)])
def test_the_service_may_ask_for_a_longer_rest(asked: float, rest: float) -> None:
    """Within bounds."""
    scene = Scene()

    scene.cooldown.freeze(_used_up(asked))

    assert scene.cooldown.rest == rest


def test_errors_during_a_rest_do_not_prolong_it() -> None:
    """Ten requests that fail together are one event."""
    scene = Scene()
    for moment in range(10):
        scene.now = moment
        scene.cooldown.freeze(_used_up())

    assert scene.cooldown.rest == 51.0


def test_a_thaw_forgets_everything() -> None:
    """At once; the next rest is a first one; and it says what it rests for until then."""
    scene, error = Scene(), _used_up()
    scene.rests(3)
    scene.cooldown.freeze(error)
    seen = [(scene.cooldown.is_cold, str(scene.cooldown.error))]

    scene.cooldown.thaw()
    seen.append((scene.cooldown.is_cold, str(scene.cooldown.error)))

    assert seen == [(True, "used up"), (False, "None")]
    assert scene.rests(1) == [60.0]


def test_a_rest_does_not_hold_on_to_the_request() -> None:
    """What was raised leads to all that the request had in its hands."""
    cooldown = Scene().cooldown
    with pytest.raises(LingmaError) as caught:
        raise _used_up(300.0)

    cooldown.freeze(caught.value)

    assert cooldown.error is not None
    assert (cooldown.error.__traceback__, cooldown.error.retry_after) == (None, 300.0)


def test_an_answer_thaws_if_it_was_asked_for_since() -> None:
    """As long as one of before is out it may be that one, after a second rest too."""
    scene, seen = Scene(), list[bool]()
    cooldown = scene.cooldown
    first = cooldown.enter()
    scene.rests(1)
    second = cooldown.enter()
    cooldown.freeze(_used_up())
    for left in (second, first):
        cooldown.succeeded()
        seen.append(cooldown.is_cold)
        cooldown.leave(left)
    third = cooldown.enter()
    cooldown.succeeded()
    seen.append(cooldown.is_cold)
    cooldown.leave(third)

    assert seen == [True, True, False]
    assert scene.rests(2) == [60.0, 120.0]


def test_an_answer_from_before_keeps_the_doubling() -> None:
    """Also when the rest is over."""
    scene = Scene()
    before = scene.cooldown.enter()
    scene.rests(2)

    scene.cooldown.succeeded()
    scene.cooldown.leave(before)

    assert scene.rests(1) == [240.0]
