"""The hash ring."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lingma_cli.structures.hash_ring import HashRing, position

NAMES = st.lists(st.text(max_size=5), unique=True, max_size=6)
KEYS = [f"key {number}" for number in range(2000)]


def _ring(*members: str) -> HashRing:
    ring = HashRing()
    ring.update(members)
    return ring


def _homes(ring: HashRing) -> list[str]:
    return [next(ring.walk(key)) for key in KEYS]


def test_a_key_stands_at_the_same_place_in_every_process() -> None:
    """The first eight bytes of BLAKE2b, little endian."""
    assert position("") == 0xB4B2_7974_57A0_A6E4
    assert position("a#0") == 0x19BE_8E7D_F4D3_60AB


def test_an_empty_ring_has_nobody() -> None:
    """A walk over it ends at once."""
    assert list(_ring().walk("key")) == []


@given(NAMES, st.text())
def test_a_walk_meets_everybody_once(members: list[str], key: str) -> None:
    """However the points are mixed, each member comes exactly once."""
    assert sorted(members) == sorted(_ring(*members).walk(key))


def test_the_order_of_joining_does_not_matter() -> None:
    """Whoever knows the same members finds the same one."""
    assert _homes(_ring("a", "b", "c")) == _homes(_ring("c", "a", "b"))


def test_about_one_key_in_n_moves() -> None:
    """A fourth member takes about a quarter of the keys, and no key moves between the others."""
    before, after = _homes(_ring("a", "b", "c")), _homes(_ring("a", "b", "c", "d"))
    moved = [new for old, new in zip(before, after, strict=True) if old != new]

    assert set(moved) == {"d"}
    assert len(KEYS) / 8 < len(moved) < len(KEYS) / 2


def test_who_comes_back_has_its_keys_again() -> None:
    """Leaving and returning changes nothing."""
    ring = _ring("a", "b", "c")
    before = _homes(ring)
    ring.update(["a", "c"])
    between = _homes(ring)
    ring.update(["a", "b", "c"])

    assert "b" not in between
    assert before == _homes(ring)


def test_keys_are_shared_evenly() -> None:
    """With 150 points each, nobody has much more than its share."""
    homes = _homes(_ring("a", "b", "c", "d"))

    assert all(len(KEYS) / 8 < homes.count(member) < len(KEYS) / 2 for member in "abcd")
