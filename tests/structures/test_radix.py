"""The radix tree, against a list that is searched from one end to the other."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from lingma_cli.structures.radix import Match, RadixTree

OWNERS = "xyz"
# Few letters, so that texts share beginnings; one is outside the basic plane.
TEXTS = st.text("ab\U0001f600", max_size=8)


class NaiveList:
    """What the tree must be like: who inserted which text, the latest last."""

    def __init__(self) -> None:
        self.entries: list[tuple[str, str]] = []

    def match(self, text: str) -> Match:
        shared = [_shared(text, known) for known, _ in self.entries]
        length = max(shared, default=0)
        owners = [
            owner for (_, owner), share in zip(self.entries, shared, strict=True) if share == length
        ]
        return Match(length=length, owner=owners[-1] if owners else None)

    def size(self, owner: str) -> int:
        texts = [text for text, who in self.entries if who == owner]
        return len({text[:end] for text in texts for end in range(1, len(text) + 1)})


def _shared(one: str, other: str) -> int:
    ends = range(min(len(one), len(other)), -1, -1)
    return next(end for end in ends if one[:end] == other[:end])


class Comparison(RuleBasedStateMachine):
    """Insert and remove in both, and ask both."""

    def __init__(self) -> None:
        super().__init__()
        self.tree = RadixTree()
        self.naive = NaiveList()

    @rule(text=TEXTS, owner=st.sampled_from(OWNERS))
    def insert(self, text: str, owner: str) -> None:
        self.tree.insert(text, owner)
        self.naive.entries.append((text, owner))

    @rule(owner=st.sampled_from(OWNERS))
    def remove(self, owner: str) -> None:
        self.tree.remove(owner)
        self.naive.entries = [entry for entry in self.naive.entries if entry[1] != owner]

    @rule(text=TEXTS)
    def match(self, text: str) -> None:
        assert self.naive.match(text) == self.tree.match(text)

    @invariant()
    def sizes_agree(self) -> None:
        for owner in OWNERS:
            assert self.naive.size(owner) == self.tree.size(owner)


TestComparison = Comparison.TestCase


@given(
    st.lists(st.tuples(TEXTS, st.sampled_from(OWNERS)), max_size=30),
    st.integers(0, 12),
    st.sampled_from([0, 3]),
)
def test_eviction_keeps_the_bound(
    entries: list[tuple[str, str]], limit: int, node_cost: int
) -> None:
    """Nobody exceeds the limit, who was within it loses nothing, and nothing is made up."""
    tree, naive = RadixTree(node_cost), NaiveList()
    for text, owner in entries:
        tree.insert(text, owner)
        naive.entries.append((text, owner))
    before = {owner: tree.size(owner) for owner in OWNERS}

    tree.evict(limit)

    for owner, size in before.items():
        assert tree.size(owner) == size if size <= limit else tree.size(owner) <= limit
    for text, _ in entries:
        assert tree.match(text).length <= naive.match(text).length
    for owner in OWNERS:
        tree.remove(owner)
    assert tree.match("ab") == Match(length=0, owner=None)


@given(st.lists(TEXTS.filter(bool), min_size=1, max_size=20), st.integers(1, 40))
def test_eviction_takes_the_oldest_first(texts: list[str], limit: int) -> None:
    """If a text survives whole, so does every text that came after its last insertion."""
    tree = RadixTree()
    for text in texts:
        tree.insert(text, "x")
    tree.evict(limit)
    last = sorted(set(texts), key=lambda text: max(i for i, one in enumerate(texts) if one == text))

    whole = [tree.match(text).length == len(text) for text in last]

    # A text that other ones begin with lives on as their beginning, however old it is.
    ends = [
        is_whole
        for text, is_whole in zip(last, whole, strict=True)
        if not any(other != text and other.startswith(text) for other in last)
    ]
    assert ends == sorted(ends)


def test_a_use_makes_a_text_young() -> None:
    """The text that was inserted again outlives one that came later."""
    tree = RadixTree()
    for text in ("one", "two", "one"):
        tree.insert(text, "x")

    tree.evict(3)

    assert tree.match("one") == Match(length=3, owner="x")
    assert tree.match("two").length == 0


def test_what_is_left_of_an_old_text_goes_next() -> None:
    """A beginning whose texts are gone counts as old as they were."""
    tree = RadixTree()
    for text in ("abx", "aby", "new"):
        tree.insert(text, "x")

    tree.evict(5)
    left = tree.match("abx")
    tree.evict(4)

    assert (left.length, tree.match("abx").length, tree.match("new").length) == (2, 0, 3)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("hello", Match(length=5, owner="y")),
        ("hello world", Match(length=11, owner="x")),
        ("hello worms", Match(length=9, owner="x")),
        ("hello there!", Match(length=11, owner="y")),
        ("help", Match(length=3, owner="y")),
        ("bye", Match(length=0, owner="y")),
        ("", Match(length=0, owner="y")),
    ],
)
def test_a_match_inside_a_fragment_counts(text: str, expected: Match) -> None:
    """The deepest node that shares anything gives the owner, of several the latest."""
    tree = RadixTree()
    tree.insert("hello world", "x")
    tree.insert("hello there", "y")

    assert expected == tree.match(text)


def test_nodes_have_their_price() -> None:
    """A split costs each owner one node more, and an eviction gives it back."""
    tree = RadixTree(node_cost=100)
    tree.insert("abc", "x")
    one = tree.size("x")
    tree.insert("abd", "y")
    tree.insert("abd", "y")

    assert (one, tree.size("x"), tree.size("y")) == (103, 203, 203)
    tree.evict(102)
    assert (tree.size("x"), tree.size("y")) == (102, 102)


def test_a_long_conversation_is_walked_without_recursion() -> None:
    """More turns than Python has frames, each after all others; then all of them go."""
    tree, text = RadixTree(), ""
    for turn in range(1500):
        text += f"{turn};"
        tree.insert(text, "x")

    assert tree.match(text) == Match(length=len(text), owner="x")
    tree.evict(10)
    assert tree.size("x") <= 10
    tree.remove("x")
    assert tree.match(text) == Match(length=0, owner=None)
