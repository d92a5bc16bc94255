"""What one scripted stream must carry, written into its prompt and known at both ends.

Owns the directive and the text of every chunk. Must not know protocols or sockets.
"""

import re
from dataclasses import dataclass
from typing import Self

_DIRECTIVE = re.compile(rb"\[bench stream=(\d+) chunks=(\d+) rate=(\d+) ids=([01])\]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """One stream: its number, how many chunks, and how fast.

    `rate` is in chunks per second; 0 sends all chunks at once. With `ids` the Lingma upstream
    sends every push as a request and withholds the end until each one is acknowledged.
    """

    stream: int
    chunks: int
    rate: int
    ids: bool = False

    def prompt(self) -> str:
        """The directive to send as the user's message."""
        return (
            f"[bench stream={self.stream} chunks={self.chunks} rate={self.rate} ids={self.ids:d}]"
        )

    def texts(self) -> list[str]:
        """The text of each chunk, unique over streams and positions, partly outside ASCII."""
        return [f" s{self.stream}.{position} 流🙂" for position in range(self.chunks)]

    @classmethod
    def find(cls, body: bytes) -> Self | None:
        """The first directive in the bytes of a request, or None."""
        match = _DIRECTIVE.search(body)
        if match is None:
            return None
        stream, chunks, rate, ids = map(int, match.groups())
        return cls(stream=stream, chunks=chunks, rate=rate, ids=bool(ids))
