"""`lingma` for as long as its standard input is open.

Run as a script, by path: a server that a program started ends when the program does, however that
ends, since only the program holds the other end of the pipe. Its arguments are those of `lingma`.
"""

from __future__ import annotations

import os
import runpy
import signal
import sys
import threading
from pathlib import Path


def main() -> None:
    """Run the program in this process, with an eye on its input."""
    # Whoever started us may have found the package by a path of its own.
    sys.path.append(str(Path(__file__).parents[2]))
    threading.Thread(target=_watch, daemon=True).start()
    runpy.run_module("lingma_cli", run_name="__main__", alter_sys=True)


def _watch() -> None:
    # Not through `sys.stdin`: its lock would be held when the interpreter ends.
    while os.read(0, 1):
        pass
    # Windows has no other signal that its C library passes on within a process.
    signal.raise_signal(signal.SIGTERM if os.name == "posix" else signal.SIGINT)


if __name__ == "__main__":
    main()
