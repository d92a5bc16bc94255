"""Stop sequences, applied to the answer's text while it streams.

Theory: an Aho-Corasick automaton tells after each character the longest suffix of the text that
begins a stop sequence, and the stop sequences that end here. What lies before that suffix can be
sent; the rest waits. Of several matches the earliest beginning counts, of those the longest, so a
match waits as long as one that begins no later may still complete. Time is linear in the text.

Source: A. Aho, M. Corasick, "Efficient string matching", CACM 18 (1975).
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Final

from lingma_cli.core.events import (
    BlockClosed,
    BlockDelta,
    BlockKind,
    BlockOpened,
    ChatEvent,
    Failed,
    Finished,
    FinishReason,
)
from lingma_cli.core.notes import Note

_NEVER: Final = re.compile(r"(?!)")


class _Node:
    """A prefix of some stop sequence.

    `stop` is the longest stop sequence that it ends with, `growing` the length of its longest
    suffix, itself included, that is the beginning of a longer one.
    """

    __slots__ = ("children", "depth", "fallback", "growing", "stop")

    def __init__(self, depth: int, fallback: _Node | None) -> None:
        self.children: dict[str, _Node] = {}
        self.depth = depth
        self.fallback = fallback
        self.growing = 0
        self.stop = ""


def _automaton(stops: Sequence[str]) -> _Node:
    root = _Node(0, None)
    for stop in stops:
        node = root
        for char in stop:
            node = node.children.setdefault(char, _Node(node.depth + 1, root))
        node.stop = stop
    waiting = deque(root.children.values())
    while waiting:
        node = waiting.popleft()
        if node.fallback is not None:
            node.stop = node.stop or node.fallback.stop
            node.growing = node.depth if node.children else node.fallback.growing
        for char, child in node.children.items():
            child.fallback = _next(node.fallback, char, root)
            waiting.append(child)
    return root


def _next(node: _Node | None, char: str, root: _Node) -> _Node:
    while node is not None:
        if (child := node.children.get(char)) is not None:
            return child
        node = node.fallback
    return root


class StopSequences:
    """Ends a stream at the first stop sequence in its text; the sequence itself is cut off.

    Args:
        stops: what ends the answer; empty ones are none.

    Attributes:
        ended: whether one was found; everything after it is dropped.
        notes: none, nothing of the request is lost here.
    """

    notes: tuple[Note, ...] = ()

    def __init__(self, stops: Sequence[str]) -> None:
        self._root = _automaton([stop for stop in stops if stop])
        firsts = "".join(map(re.escape, self._root.children))
        self._first = re.compile(f"[{firsts}]") if firsts else _NEVER
        self._node = self._root
        self._held = ""
        # Where the best match begins in the held text, -1 for none yet.
        self._found_at, self._found = -1, ""
        self._in_block = False
        self.ended = False

    def feed(self, events: Iterable[ChatEvent]) -> list[ChatEvent]:
        """Return what of `events` may go out by now."""
        out: list[ChatEvent] = []
        for event in events:
            if self.ended:
                break
            match event:
                case BlockDelta(text=""):
                    continue
                case BlockDelta(kind=BlockKind.TEXT, text=text):
                    self._scan(text, out)
                    continue
                case BlockDelta() | BlockOpened() | BlockClosed() | Finished() | Failed():
                    if self._flush(out):
                        break
                case _:
                    pass
            if isinstance(event, BlockOpened | BlockClosed):
                self._in_block = isinstance(event, BlockOpened)
            out.append(event)
        return out

    def _scan(self, text: str, out: list[ChatEvent]) -> None:
        at, text = len(self._held), self._held + text
        node = self._node
        while at < len(text):
            if node is self._root:
                first = self._first.search(text, at)
                if first is None:
                    break
                at = first.start()
            node = _next(node, text[at], self._root)
            at += 1
            if node.stop and (self._found_at < 0 or at - len(node.stop) <= self._found_at):
                self._found_at, self._found = at - len(node.stop), node.stop
            if 0 <= self._found_at < at - node.growing:
                self._end(text, out)
                return
        self._node = node
        kept = len(text) - node.growing
        self._held = text[kept:]
        self._found_at = max(-1, self._found_at - kept)
        _send(text[:kept], out)

    def _flush(self, out: list[ChatEvent]) -> bool:
        """Settle what waited, as the text is over; tell whether that ended the stream."""
        if self._found_at >= 0:
            self._end(self._held, out)
            return True
        _send(self._held, out)
        self._held, self._node = "", self._root
        return False

    def _end(self, text: str, out: list[ChatEvent]) -> None:
        _send(text[: self._found_at], out)
        if self._in_block:
            out.append(BlockClosed())
        out.append(Finished(reason=FinishReason.STOP, stop_sequence=self._found))
        self._found_at = -1
        self.ended = True


def _send(text: str, out: list[ChatEvent]) -> None:
    if text:
        out.append(BlockDelta(kind=BlockKind.TEXT, text=text))
