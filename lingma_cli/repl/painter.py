"""The end of an answer on a terminal: lines that stay, and below them lines that still change.

What has been printed for good is never touched again. The changing lines stand below it, never
wider than the screen nor more than fit on it; of them only those that differ are written anew,
over the old ones, in a single write: nothing is blank in between, so nothing flickers. The cursor
rests at the end of the last line.

Source of the sequences: ECMA-48, CUU (cursor up), EL (erase to the end of the line) and ED (erase
to the end of the screen).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Final, TextIO

from lingma_cli.repl.render import Line

_ERASE_LINE: Final = "\x1b[K"
_ERASE_BELOW: Final = "\x1b[J"


class Painter:
    """Writes one text; the cursor must be at the start of a line at first."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._live: list[Line] = []

    def paint(self, fixed: Sequence[Line], live: Sequence[Line], size: os.terminal_size) -> None:
        """Print `fixed` for good, and below it, until the next call, the end of `live`.

        Without `live` the cursor is left at the start of a line.
        """
        shown = list(live)[-max(1, size.lines - 1) :]
        wanted = [*fixed, *shown]
        text = self._change(wanted, size.columns)
        if fixed and not shown:
            text += "\n"
        self._live = shown
        if text:
            self._out.write(text)
            self._out.flush()

    def _change(self, wanted: Sequence[Line], columns: int) -> str:
        """Return what turns the changing lines into `wanted`."""
        old = self._live
        same = 0
        while same < min(len(old), len(wanted)) and old[same] == wanted[same]:
            same += 1
        if same == len(old):
            added = "\n".join(line.styled for line in wanted[same:])
            return f"\n{added}" if old and wanted[same:] else added
        # The cursor ends behind a line, so there must be one to write.
        same -= same == len(wanted) and same > 0
        rest = wanted[same:]
        if same == len(old) - 1 and rest and rest[0].styled.startswith(old[same].styled):
            return "\n".join(line.styled for line in rest)[len(old[same].styled) :]
        rows = sum(_rows(line, columns) for line in old[same:])
        up = f"\x1b[{rows - 1}A" if rows > 1 else ""
        over = "\n".join(_over(line, columns) for line in rest)
        return f"{up}\r{over}{_ERASE_BELOW}"


def _rows(line: Line, columns: int) -> int:
    # Wider than the screen only after the window was made narrower.
    return max(1, -(-line.cells // columns))


def _over(line: Line, columns: int) -> str:
    # Behind a full row the cursor still stands on its last character, which would be erased.
    fills_row = line.cells > 0 and line.cells % columns == 0
    return line.styled if fills_row else line.styled + _ERASE_LINE
