"""Sessions upstream: found again, kept within bounds, given up once."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lingma_cli.core.record import ReuseReason
from lingma_cli.sessions.keys import Fingerprints, Scope
from lingma_cli.sessions.upstream import Found, Pin, SessionLimits, UpstreamSessions
from tests.support.talks import turns

PIN = Pin(engine="demo-0", generation=1, session="S", model="org_auto")
SCOPE = Scope(caller="key-1", model="org_auto")
FINGERPRINTS = Fingerprints(b"secret")
LIMITS = SessionLimits(entries=256, seconds=1800, bytes=1 << 20)


class Cache:
    """Sessions with their clock and all that was given up, by conversations written as lines."""

    def __init__(self, limits: SessionLimits = LIMITS) -> None:
        self.now = 0.0
        self.dropped: list[str] = []
        self.sessions = UpstreamSessions(
            limits, lambda: self.now, lambda pin: self.dropped.append(pin.session)
        )

    def put(self, *lines: str, session: str = "S", engine: str = "demo-0") -> None:
        """Keep a session that knows these turns."""
        pin = replace(PIN, session=session, engine=engine)
        self.sessions.put(FINGERPRINTS.of(SCOPE, turns(*lines)), pin)

    def take(self, *lines: str, scope: Scope = SCOPE) -> Found:
        """Look for one."""
        return self.sessions.take(FINGERPRINTS.of(scope, turns(*lines)))

    def found(self, *lines: str) -> str | None:
        """Look for one and return its id."""
        pin = self.take(*lines).pin
        return pin.session if pin else None


def test_a_conversation_goes_on() -> None:
    """The turns before the new one are what was kept; the session is out while it is used."""
    cache = Cache()
    cache.put("u:1", "a:one")

    assert cache.take("u:1", "a:one", "u:2") == Found(reason=ReuseReason.CONTINUED, pin=PIN)
    assert (len(cache.sessions), cache.sessions.bytes) == (0, 0)
    assert cache.take("u:1", "a:one", "u:2").pin is None
    assert cache.dropped == []


# Misses say why, and where the conversations part.

MISSES: dict[str, tuple[tuple[str, ...], Scope, ReuseReason, int | None]] = {
    "another caller": (
        ("u:1", "a:one", "u:2", "a:two", "u:3"),
        replace(SCOPE, caller="key-2"),
        ReuseReason.UNKNOWN,
        None,
    ),
    "another model": (
        ("u:1", "a:one", "u:2", "a:two", "u:3"),
        replace(SCOPE, model="other"),
        ReuseReason.OTHER_SETTINGS,
        None,
    ),
    "edited first turn": (("u:x", "a:one", "u:2", "a:two", "u:3"), SCOPE, ReuseReason.DIFFERS, 0),
    "edited third turn": (("u:1", "a:one", "u:x", "a:two", "u:3"), SCOPE, ReuseReason.DIFFERS, 2),
    "longer than is known": (
        ("u:1", "a:one", "u:2", "a:two", "u:3", "a:x", "u:4"),
        SCOPE,
        ReuseReason.DIFFERS,
        4,
    ),
    "asked again": (("u:1", "a:one", "u:2"), SCOPE, ReuseReason.MOVED_ON, None),
    "rewritten, and gone on": (("u:1", "a:x", "u:2"), SCOPE, ReuseReason.DIFFERS, 1),
}


@pytest.mark.parametrize(("lines", "scope", "reason", "turn"), MISSES.values(), ids=MISSES.keys())
def test_a_miss_says_why(
    lines: tuple[str, ...], scope: Scope, reason: ReuseReason, turn: int | None
) -> None:
    """The session stays for whoever has what it knows."""
    cache = Cache()
    cache.put("u:1", "a:one", "u:2", "a:two")

    assert cache.take(*lines, scope=scope) == Found(reason=reason, turn=turn)
    assert cache.found("u:1", "a:one", "u:2", "a:two", "u:3") == "S"


def test_a_rewritten_answer_is_found_by_its_question() -> None:
    """If only one version of it is known; the record names the turn."""
    cache = Cache()
    cache.put("u:1", "a:a long answer")

    found = cache.take("u:1", "a:a long…", "u:2")

    assert found == Found(reason=ReuseReason.REWRITTEN, pin=PIN, turn=1)


def test_an_earlier_answer_that_was_rewritten_is_another_conversation() -> None:
    """Clients trim what has just come; who changes what lies back means it."""
    cache = Cache()
    cache.put("u:1", "a:one", "u:2", "a:two")

    found = cache.take("u:1", "a:on", "u:2", "a:two", "u:3")

    assert found == Found(reason=ReuseReason.DIFFERS, turn=1)


def test_a_question_is_no_version_of_an_answer() -> None:
    """Turns of two users in a row stand where the answer would."""
    cache = Cache()
    cache.put("u:1", "u:2", "a:two")

    assert cache.take("u:1", "a:one", "u:2") == Found(reason=ReuseReason.DIFFERS, turn=1)


def test_two_answers_are_told_apart() -> None:
    """Each is found by its own words, and neither by others."""
    cache = Cache()
    cache.put("u:1", "a:one", session="A")
    cache.put("u:1", "a:eins", session="B")

    assert cache.take("u:1", "a:un", "u:2") == Found(reason=ReuseReason.AMBIGUOUS, turn=1)
    assert cache.found("u:1", "a:eins", "u:2") == "B"
    assert cache.found("u:1", "a:one", "u:2") == "A"


def test_an_answer_that_went_on_is_still_known() -> None:
    """A trimmed answer may be that one's, so the other is not guessed."""
    cache = Cache()
    cache.put("u:1", "a:one", "u:2", "a:two", session="A")
    cache.put("u:1", "a:eins", session="B")

    assert cache.take("u:1", "a:un", "u:2").reason is ReuseReason.AMBIGUOUS
    assert cache.found("u:1", "a:eins", "u:2") == "B"


def test_the_oldest_makes_room() -> None:
    """By the time of the last turn."""
    cache = Cache(replace(LIMITS, entries=2))
    for name in "ABC":
        cache.put("u:1", f"a:{name}", session=name)

    assert cache.dropped == ["A"]
    assert len(cache.sessions) == 2


def test_memory_is_bounded() -> None:
    """Long conversations take more of it, and one that is too long is not kept at all."""
    cache = Cache(replace(LIMITS, bytes=6000))
    for name in "ABCDEFG":
        cache.put("u:1", f"a:{name}", session=name)
        assert cache.sessions.bytes <= 6000
    kept = len(cache.sessions)
    long = [line for turn in range(100) for line in (f"u:{turn}", f"a:{turn}")]
    cache.put(*long, session="L")

    assert kept == 5
    assert cache.dropped == [*"ABCDEFG", "L"]
    assert cache.sessions.bytes == 0


def test_time_is_bounded() -> None:
    """What is as old as the limit is gone, whether somebody looks or not."""
    cache = Cache()
    cache.put("u:1", "a:one", session="A")
    cache.now = 1000.0
    cache.put("u:2", "a:two", session="B")
    cache.now = 1799.0
    cache.sessions.expire()
    assert cache.dropped == []
    cache.now = 1800.0

    assert cache.found("u:1", "a:one", "u:") is None
    assert cache.dropped == ["A"]
    cache.now = 2800.0
    cache.sessions.expire()
    assert cache.dropped == ["A", "B"]


def test_sessions_of_an_engine_that_is_gone() -> None:
    """An engine that comes back under the same name knows nothing of them."""
    cache = Cache()
    cache.put("u:1", "a:one", session="A", engine="demo-0")
    cache.put("u:2", "a:two", session="B", engine="demo-1")
    cache.sessions.expire({"demo-1"})

    assert cache.dropped == ["A"]


def test_the_same_conversation_twice() -> None:
    """The older session is of no use any more."""
    cache = Cache()
    cache.put("u:1", "a:one", session="A")
    cache.put("u:1", "a: one", session="B")

    assert (cache.dropped, len(cache.sessions)) == (["A"], 1)
    assert cache.found("u:1", "a:one", "u:2") == "B"


def test_at_the_end_all_are_given_up() -> None:
    """Each once."""
    cache = Cache()
    for name in "AB":
        cache.put("u:1", f"a:{name}", session=name)
    cache.sessions.clear()
    cache.sessions.clear()

    assert cache.dropped == ["A", "B"]
    assert (len(cache.sessions), cache.sessions.bytes) == (0, 0)


STEPS = st.lists(
    st.tuples(st.sampled_from("ptw"), st.integers(0, 3), st.integers(0, 2)), max_size=40
)


@given(STEPS)
def test_each_session_is_given_out_or_given_up_once(steps: list[tuple[str, int, int]]) -> None:
    """Whatever happens in whichever order, none is lost and none is in two hands."""
    cache = Cache(SessionLimits(entries=3, seconds=5, bytes=1 << 20))
    out: list[str] = []
    count = 0
    for what, question, answer in steps:
        lines = (f"u:{question}", f"a:{answer}")
        if what == "p":
            cache.put(*lines, session=str(count))
            count += 1
        elif what == "t":
            out += filter(None, [cache.found(*lines, "u:next")])
        else:
            cache.now += 1
        assert len(cache.sessions) <= 3
    cache.sessions.clear()

    assert sorted([*out, *cache.dropped], key=int) == [str(number) for number in range(count)]
    assert cache.sessions.bytes == 0


@settings(max_examples=100, deadline=None)
@given(st.randoms(use_true_random=False))
def test_two_callers_never_share(random: Random) -> None:
    """Of 10,000 pairs of keys with the same conversation, a hundred at a time, none crosses."""
    cache = Cache(replace(LIMITS, entries=1000))
    owners: dict[str, str] = {}
    for number in range(100):
        mine, theirs = (f"key-{random.getrandbits(32):08x}" for _ in range(2))
        lines = ("u:1", f"a:{random.randrange(3)}")
        pin = replace(PIN, session=str(number))
        owners[pin.session] = mine
        cache.sessions.put(FINGERPRINTS.of(replace(SCOPE, caller=mine), turns(*lines)), pin)

        for caller in (theirs, mine):
            found = cache.take(*lines, "u:next", scope=replace(SCOPE, caller=caller)).pin
            assert found is None or owners[found.session] == caller
        # What stays for the next pairs to meet.
        cache.sessions.put(FINGERPRINTS.of(replace(SCOPE, caller=mine), turns(*lines)), pin)
