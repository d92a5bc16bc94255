"""Makes text from elsewhere harmless for a terminal, however it is cut.

Escape sequences can move the cursor, retitle the window, write the clipboard (OSC 52) or type for
the user; bidirectional overrides make text read as something else. Answers, model names and
error messages of a server pass through here before they are shown.

Theory (ECMA-48): ESC or a C1 control opens a sequence. `ESC [` takes parameters up to a final byte
0x40-0x7E; `ESC ]`, `P`, `X`, `^` and `_` take a string up to ST; any other ESC takes intermediates
0x20-0x2F and one final byte. A line feed ends every sequence here, so that one that is never
closed hides a line at most and not the rest of the answer.
"""

from __future__ import annotations

import re
from enum import Enum, auto
from typing import Final

_UNSAFE: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_ESC: Final = "\x1b"
_CANCEL: Final = "\x07\x18\x1a\x9c"
_STRING_AFTER_ESC: Final = "]PX^_"
_C1_STRINGS: Final = "\x90\x98\x9d\x9e\x9f"
_C1_CSI: Final = "\x9b"


class _State(Enum):
    TEXT = auto()
    ESCAPE = auto()
    CSI = auto()
    STRING = auto()


class Sanitiser:
    """Takes the control characters and sequences out of one stream of text.

    What comes out holds no C0 but line feed and tab, no DEL, no C1, no part of an escape
    sequence, no lone carriage return, no bidirectional override and no lone surrogate.
    """

    def __init__(self) -> None:
        self._state = _State.TEXT

    def feed(self, text: str) -> str:
        """Return what is safe of the next piece; its state carries over to the one after."""
        if self._state is _State.TEXT and not _UNSAFE.search(text):
            return text
        return "".join(filter(self._keeps, text))

    def _keeps(self, char: str) -> bool:
        if char == "\n" or char in _CANCEL:
            self._state = _State.TEXT
            return char == "\n"
        if char == _ESC:
            self._state = _State.ESCAPE
            return False
        if char in _C1_STRINGS or char == _C1_CSI:
            self._state = _State.CSI if char == _C1_CSI else _State.STRING
            return False
        if _UNSAFE.match(char):
            return False
        return self._passes(char)

    def _passes(self, char: str) -> bool:
        match self._state:
            case _State.TEXT:
                return True
            case _State.STRING:
                return False
            case _State.ESCAPE if char == "[":
                self._state = _State.CSI
                return False
            case _State.ESCAPE if char in _STRING_AFTER_ESC:
                self._state = _State.STRING
                return False
            case _State.ESCAPE | _State.CSI:
                return self._ends(char)

    def _ends(self, char: str) -> bool:
        last_parameter = "/" if self._state is _State.ESCAPE else "?"
        if " " <= char <= last_parameter:
            return False
        self._state = _State.TEXT
        return char > "~" or char == "\t"


def clean(text: str) -> str:
    """Return `text` without anything that a terminal would obey."""
    return Sanitiser().feed(text)


def clean_line(text: str) -> str:
    """Return `text` cleaned and on one line."""
    return " ".join(clean(text).split())
