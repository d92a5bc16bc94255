"""Calls written as text, read from an answer while it streams.

Three states: text, where openings are looked for; a code fence that holds no calls, passed on
untouched until it is closed; and a block that may hold calls (`tool_blocks`), kept until it ends
or is ruled out by its first words. Blocks that hold calls vanish with the blank lines around
them, everything else stays as it was: what is no call of an offered tool is text.

Examples are not calls: nothing counts inside a code fence or a code span, right after a backtick,
or in a line that quotes with `>`.

Source: Lingma protocol document, section 8.1. Linear in the length of the answer, wherever it is
cut into deltas.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from lingma_cli.core.chat import Tool
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
from lingma_cli.core.notes import MEANINGS, Note, NoteCode
from lingma_cli.transforms.tool_blocks import Block, Ending
from lingma_cli.transforms.tool_dialects import Call, Dialect, Piece, read_block
from lingma_cli.transforms.tool_fit import Offer
from lingma_cli.transforms.tool_gaps import GappedOut
from lingma_cli.transforms.tool_openings import (
    MAX_TICKS,
    UNDECIDED,
    Opening,
    Undecided,
    opening_fence,
    opening_tag,
)

_PORTION: Final = 1024
_CREDIT: Final = 64 * 1024
# As much of a line as tells what it is.
_MAX_LINE: Final = 64
_SPACE: Final = " \t\r\n"
_TOKEN: Final = re.compile(r"[^\n`<]+|\n[ \t\r\n]*|`+|<")
_PLAIN: Final = re.compile(r"[^\n`<]+")
_WORD: Final = re.compile(r"[\w+#.-]*\s*")


@dataclass(frozen=True, slots=True, kw_only=True)
class TextCall:
    """A call that stood in the text: an offered tool's name, and its arguments as JSON text."""

    name: str
    arguments: str


class ToolTextReader:
    """Splits an answer's text into text and calls.

    Args:
        tools: what may be called; text that names other tools stays text.
        parallel: whether one answer may hold more than one call.
        max_calls: how many calls are kept.
    """

    def __init__(self, tools: Iterable[Tool], *, parallel: bool = True, max_calls: int = 8) -> None:
        self._offer = Offer(tools)
        self._most = max_calls if parallel else 1
        self._seen: set[TextCall] = set()
        self._notes: dict[Note, None] = {}
        self._credit = _CREDIT
        self._out = GappedOut[TextCall]()
        self._begin()

    def _begin(self) -> None:
        self._held = ""
        self._block: Block | None = None
        # The run of characters that opened a code fence.
        self._fence = ""
        # The line so far, without its indentation; and the backticks that opened a code span.
        self._line = ""
        self._span = ""
        # What follows them; and the backticks right before.
        self._info = ""
        self._ticks = ""

    @property
    def notes(self) -> list[Note]:
        """What had to be mended or left out so far."""
        return list(self._notes)

    def feed(self, text: str) -> list[str | TextCall]:
        """Return the text and the calls that `text` makes certain, in order."""
        if not self._offer:
            return [text] if text else []
        if self._is_plain(text):
            self._pass(text)
            return self._out.taken()
        for start in range(0, len(text), _PORTION):
            self._read(text[start : start + _PORTION], is_last=False)
        return self._out.taken()

    def _is_plain(self, text: str) -> bool:
        """Tell whether `text` goes on with a line and opens nothing: nearly always."""
        if self._held or self._fence or self._block is not None or not self._line:
            return False
        return _PLAIN.fullmatch(text) is not None

    def close(self) -> list[str | TextCall]:
        """Return what was held back, at the end of the answer; a next text is read as a new one."""
        self._read("", is_last=True)
        self._out.put(self._out.end())
        self._begin()
        return self._out.taken()

    def release(self) -> str:
        """Return what was held back as it came, when the answer broke off."""
        block = self._block
        held = self._held if block is None else block.opening.source + block.inside
        self._begin()
        return self._out.end() + held

    def _read(self, text: str, *, is_last: bool) -> None:
        todo = [text]
        while todo:
            text = todo.pop()
            if len(text) > _PORTION:
                # Each step copies what it has not read yet.
                todo.append(text[_PORTION:])
                text = text[:_PORTION]
            ends = is_last and not todo
            if self._block is not None:
                text = self._read_block(self._block, text, is_last=ends)
            elif self._fence:
                text = self._read_fence(text)
            else:
                text = self._read_text(text, is_last=ends)
            if text or (ends and self._block is not None):
                todo.append(text)

    def _read_text(self, text: str, *, is_last: bool) -> str:
        """Read up to a code fence or a block; return what follows."""
        text, self._held = self._held + text, ""
        at = 0
        while token := _TOKEN.match(text, at):
            start, at = token.span()
            piece = token[0]
            if piece[0] == "\n" and self._end_line():
                self._out.put("\n")
                return text[start + 1 :]
            if piece[0] in "`<" and not self._is_quoted(piece):
                opening = self._opening(text, start, at)
                if opening is UNDECIDED and not is_last:
                    self._held = text[start:]
                    return ""
                if isinstance(opening, Opening):
                    self._block = Block(opening, self._credit)
                    return text[start + len(opening.source) :]
            self._pass(piece)
        return ""

    def _is_quoted(self, piece: str) -> bool:
        """Tell whether backticks or a tag that come now open nothing."""
        if self._line.startswith(">") or (piece[0] == "`" and len(self._ticks) > MAX_TICKS):
            return True
        return piece[0] == "<" and bool(self._span or self._ticks)

    def _opening(self, text: str, start: int, end: int) -> Opening | Undecided | None:
        if text[start] == "<":
            return opening_tag(text, start, self._offer)
        found = opening_fence(text, start, end)
        return None if self._span and found is not UNDECIDED else found

    def _end_line(self) -> bool:
        """Begin a new line; tell whether the one before it opened a code fence."""
        tildes = len(self._line) - len(self._line.lstrip("~"))
        if tildes >= 3:
            self._fence = "~" * tildes
        elif len(self._span) >= 3 and not self._line.startswith(">"):
            # In the middle of a line, only a single word after backticks makes them a fence.
            is_fence = self._line.startswith("```") or _WORD.fullmatch(self._info)
            self._fence = self._span if is_fence else ""
        self._line = self._span = self._info = self._ticks = ""
        return bool(self._fence)

    def _pass(self, piece: str) -> None:
        """Pass on what opens nothing."""
        if not self._line:
            text = piece.lstrip(_SPACE)
            self._out.space(piece[: len(piece) - len(text)])
            piece = text
        if not piece:
            return
        self._line = (self._line + piece)[:_MAX_LINE]
        self._out.put(piece)
        if piece[0] == "`":
            self._pass_ticks(piece)
            return
        self._ticks = ""
        if self._span:
            self._info = (self._info + piece)[:_MAX_LINE]

    def _pass_ticks(self, piece: str) -> None:
        # The rest of an overlong run begins no span.
        begins, piece = not self._ticks, piece[: MAX_TICKS + 1]
        self._ticks = (self._ticks + piece)[: MAX_TICKS + 1]
        if begins and not self._span:
            self._span, self._info = piece, ""
        elif begins:
            self._span = "" if self._span == piece else self._span

    def _read_fence(self, text: str) -> str:
        """Pass on a line of a code fence; return what follows it."""
        end = text.find("\n")
        self._line = (self._line + (text if end < 0 else text[:end]))[: _MAX_LINE + 1]
        if end < 0:
            self._out.put(text)
            return ""
        is_whole = len(self._line) <= _MAX_LINE
        line, self._line = self._line.strip(_SPACE), ""
        if is_whole and line.startswith(self._fence) and not line.strip(self._fence[0]):
            self._fence = ""
            self._out.put(text[:end])
            return text[end:]
        self._out.put(text[: end + 1])
        return text[end + 1 :]

    def _read_block(self, block: Block, text: str, *, is_last: bool) -> str:
        """Read a segment of a block; return what follows it, or is to be read anew."""
        after = block.take(text)
        if not block.is_plausible(self._offer):
            return self._rule_out(block) + (after or "")
        if after is None and not is_last:
            return ""
        ending = block.end_segment()
        if ending is None:
            if after is not None:
                return after
            ending = Ending(body=block.inside, closing="", rest="")
        return self._settle(block, ending) + (after or "")

    def _rule_out(self, block: Block) -> str:
        """Make a block text by its first words; return what is to be read anew."""
        self._block = None
        opening = block.opening
        self._out.put(opening.source)
        self._fence = opening.ticks
        self._line = "" if opening.ticks else (self._line + opening.source)[:_MAX_LINE]
        return block.inside

    def _settle(self, block: Block, ending: Ending) -> str:
        """Make an ended block calls or text; return what is to be read anew."""
        self._block = None
        pieces = self._pieces(block, ending)
        earlier = block.fall_back()
        if pieces is None and earlier is not None and earlier != ending:
            ending = earlier
            pieces = self._pieces(block, ending)
        self._credit -= len(ending.rest)
        if pieces is None:
            self._put_source(f"{block.opening.source}{ending.body}{ending.closing}")
        else:
            for piece in pieces:
                self._put_piece(piece)
        return ending.rest

    def _pieces(self, block: Block, ending: Ending) -> list[Piece] | None:
        dialect, body = block.opening.dialect, ending.body
        if dialect is Dialect.FUNCTION:
            body = f"{block.opening.source}{body}{ending.closing}"
        return read_block(dialect, body, self._offer, closed=bool(ending.closing))

    def _put_source(self, source: str) -> None:
        text = source.rstrip(_SPACE)
        space = source[len(text) :]
        self._out.put(text)
        self._line = "" if "\n" in space else text.rpartition("\n")[2][:_MAX_LINE]
        self._ticks = ""
        self._out.space(space)

    def _put_piece(self, piece: Piece) -> None:
        if isinstance(piece, str):
            # What a block held beside calls stands on lines of its own.
            self._out.break_line()
            self._put_source(f"{piece}\n")
            return
        self._out.vanish()
        self._line = self._ticks = ""
        call = TextCall(name=piece.tool.name, arguments=piece.fitted.arguments)
        if call in self._seen:
            self._note(NoteCode.CALLS_DROPPED, "identical calls became one")
        elif len(self._seen) >= self._most:
            self._note(NoteCode.CALLS_DROPPED, MEANINGS[NoteCode.CALLS_DROPPED])
        else:
            self._seen.add(call)
            self._out.call(call)
            self._tell_repairs(piece)

    def _tell_repairs(self, call: Call) -> None:
        code = NoteCode.CALL_ARGUMENTS_REPAIRED
        if call.repaired:
            self._note(code, MEANINGS[code])
        if dropped := ", ".join(call.fitted.dropped):
            text = f"`{call.tool.name}` takes no such arguments, they were left out"
            self._note(code, f"{text}: {dropped[:200]}")

    def _note(self, code: NoteCode, text: str) -> None:
        self._notes[Note(code=code, text=text)] = None


class ToolTextTransform:
    """Reads the calls out of an answer's text; to be fed before the stream is sealed.

    Brackets around text are dropped, as blocks of calls come between: the seal infers them.

    Args:
        tools: what may be called.
        new_call_id: makes the id of a call.
        parallel: whether one answer may hold more than one call.

    Attributes:
        calls: how many calls were read.
    """

    def __init__(
        self, tools: Iterable[Tool], *, new_call_id: Callable[[], str], parallel: bool = True
    ) -> None:
        self._reader = ToolTextReader(tools, parallel=parallel)
        self._new_call_id = new_call_id
        self._open: BlockKind | None = None
        self.calls = 0

    @property
    def notes(self) -> list[Note]:
        """What had to be mended or left out so far."""
        return self._reader.notes

    def feed(self, events: Iterable[ChatEvent]) -> list[ChatEvent]:
        """Return the next events, loose as to brackets around text."""
        out: list[ChatEvent] = []
        for event in events:
            match event:
                case BlockDelta(kind=BlockKind.TEXT, text=text):
                    self._give(self._reader.feed(text), out)
                case BlockOpened(kind=kind):
                    self._open = kind
                    if kind is BlockKind.TOOL_CALL:
                        self._give(self._reader.close(), out)
                    if kind is not BlockKind.TEXT:
                        out.append(event)
                case BlockClosed():
                    if self._open is not BlockKind.TEXT:
                        out.append(event)
                    self._open = None
                case Finished():
                    self._give(self._reader.close(), out)
                    out.append(self._end(event))
                case Failed():
                    self._give([self._reader.release()], out)
                    out.append(event)
                case _:
                    out.append(event)
        return out

    def _give(self, pieces: Iterable[str | TextCall], out: list[ChatEvent]) -> None:
        for piece in pieces:
            if isinstance(piece, TextCall):
                self.calls += 1
                kind, call_id = BlockKind.TOOL_CALL, self._new_call_id()
                out.append(BlockOpened(kind=kind, call_id=call_id, name=piece.name))
                out.append(BlockDelta(kind=kind, text=piece.arguments))
                out.append(BlockClosed())
            elif piece:
                out.append(BlockDelta(kind=BlockKind.TEXT, text=piece))

    def _end(self, finished: Finished) -> Finished:
        if not self.calls or finished.reason is not FinishReason.STOP:
            return finished
        return Finished(reason=FinishReason.TOOL_CALLS)
