"""A radix tree of texts that remembers who had which beginning.

Theory: a compressed trie over characters. A node holds a fragment and the owners that brought a
text through it, the latest last; whoever owns a node owns all nodes above it. A text that ends
inside a fragment splits it. Of each owner the nodes where its texts end are kept in the order of
their last insertions, so that what has not come for longest can be taken away first: that node, if
none of the owner's texts goes on below it, and then whatever above it has become an end thereby.

Fragments are compared as slices, never character by character, so matching is linear in the text
at the speed of `memcmp`, inserting in the text and the one fragment that it splits.

Source: D. R. Morrison, "PATRICIA", JACM 15 (1968).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """The longest known beginning of a text.

    Attributes:
        length: its characters.
        owner: who brought a text with it last, `None` when nothing is known.
    """

    length: int
    owner: str | None


class _Node:
    """`owners` is a set in the order of the last insertions."""

    __slots__ = ("children", "fragment", "owners", "parent")

    def __init__(self, parent: _Node | None, fragment: str) -> None:
        self.parent = parent
        self.fragment = fragment
        self.children: dict[str, _Node] = {}
        self.owners: dict[str, None] = {}

    def is_end(self, owner: str) -> bool:
        """Tell whether none of the owner's texts goes on below."""
        return not any(owner in child.owners for child in self.children.values())


@dataclass(slots=True)
class _Holding:
    """What an owner has: its size, and the nodes where its texts end, the oldest first.

    Every node without another one of the owner's below it is in `ends`.
    """

    size: int = 0
    ends: OrderedDict[_Node, None] = field(default_factory=OrderedDict)


class RadixTree:
    """Texts and their owners.

    Args:
        node_cost: what a node adds to its owners' sizes besides its characters, as it takes memory
            of its own.
    """

    def __init__(self, node_cost: int = 0) -> None:
        self._root = _Node(None, "")
        self._node_cost = node_cost
        self._holdings: dict[str, _Holding] = {}

    def size(self, owner: str) -> int:
        """Return the characters of all that `owner` has, shared beginnings once, with nodes."""
        holding = self._holdings.get(owner)
        return 0 if holding is None else holding.size

    def insert(self, text: str, owner: str) -> None:
        """Remember that `owner` has `text`."""
        holding = self._holdings.setdefault(owner, _Holding())
        node, at = self._root, 0
        self._enter(node, owner, holding)
        while at < len(text):
            child = node.children.get(text[at])
            if child is None:
                child = node.children[text[at]] = _Node(node, text[at:])
            else:
                shared = _shared(child.fragment, text, at)
                if shared < len(child.fragment):
                    child = self._split(child, shared)
            self._enter(child, owner, holding)
            node, at = child, at + len(child.fragment)
        if node is not self._root:
            holding.ends[node] = None
            holding.ends.move_to_end(node)

    def match(self, text: str) -> Match:
        """Return the longest beginning of `text` that is known."""
        node, at = self._root, 0
        while at < len(text):
            child = node.children.get(text[at])
            if child is None:
                break
            shared = _shared(child.fragment, text, at)
            node, at = child, at + shared
            if shared < len(child.fragment):
                break
        return Match(length=at, owner=next(reversed(node.owners), None))

    def remove(self, owner: str) -> None:
        """Forget all that `owner` has."""
        holding = self._holdings.pop(owner, None)
        if holding is not None:
            for node in list(self._nodes_of(owner)):
                self._leave(node, owner, holding)

    def evict(self, limit: int) -> None:
        """Take texts' ends from each owner, the oldest first, until its size is at most `limit`."""
        for owner, holding in self._holdings.items():
            while holding.size > limit:
                node, _ = holding.ends.popitem(last=False)
                if node.is_end(owner):
                    self._shorten(node, owner, holding, limit)

    def _shorten(self, node: _Node, owner: str, holding: _Holding, limit: int) -> None:
        """Take `node`, and what above it becomes an end older than all others."""
        while holding.size > limit:
            self._leave(node, owner, holding)
            parent = node.parent
            if parent is None or parent is self._root or parent in holding.ends:
                return
            if not parent.is_end(owner):
                return
            node = parent
        holding.ends[node] = None
        holding.ends.move_to_end(node, last=False)

    def _enter(self, node: _Node, owner: str, holding: _Holding) -> None:
        if owner in node.owners:
            del node.owners[owner]
        else:
            holding.size += self._cost(node)
        node.owners[owner] = None

    def _leave(self, node: _Node, owner: str, holding: _Holding) -> None:
        """Take `owner` from a node; one without owners goes, and with it all below."""
        del node.owners[owner]
        holding.size -= self._cost(node)
        if not node.owners and node.parent is not None:
            del node.parent.children[node.fragment[0]]

    def _split(self, node: _Node, length: int) -> _Node:
        """Put a node with the first `length` characters above `node`, and return it."""
        upper = _Node(node.parent, node.fragment[:length])
        upper.owners = dict(node.owners)
        upper.children = {node.fragment[length]: node}
        if node.parent is not None:
            node.parent.children[node.fragment[0]] = upper
        node.parent, node.fragment = upper, node.fragment[length:]
        for owner in upper.owners:
            self._holdings[owner].size += self._node_cost
        return upper

    def _cost(self, node: _Node) -> int:
        return len(node.fragment) + self._node_cost if node.fragment else 0

    def _nodes_of(self, owner: str) -> Iterator[_Node]:
        waiting = [self._root]
        while waiting:
            node = waiting.pop()
            yield node
            waiting += (child for child in node.children.values() if owner in child.owners)


def _shared(fragment: str, text: str, at: int) -> int:
    """Return how many characters `fragment` shares with `text` from `at` on."""
    if text.startswith(fragment, at):
        return len(fragment)
    low, high = 0, min(len(fragment), len(text) - at)
    while low < high:
        middle = (low + high + 1) // 2
        if fragment[low:middle] == text[at + low : at + middle]:
            low = middle
        else:
            high = middle - 1
    return low
