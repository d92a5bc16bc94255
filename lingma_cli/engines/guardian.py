"""The small process between us and the binary, so that nothing outlives us.

Run as a script, by path and without `site`: it starts in tens of milliseconds. It runs the command
in its arguments in a process group of its own, and ends with it and its whole family. A byte on its
standard input asks for a polite end; when the input closes, which happens however we die, there
is less time for manners. Its first argument is the seconds that a polite end may take. Should it be
killed itself, the command dies with it on Linux.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable

_ORPHAN_SECONDS = 1.0
_POLL_SECONDS = 0.02
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


def main() -> int:
    """Run the command; return its exit status, 128 + n after signal n, 127 if it cannot run."""
    bonds: dict[str, object] = {"process_group": 0} if os.name == "posix" else {}
    if sys.platform == "linux":
        bonds["preexec_fn"] = _bond()
    try:
        child = subprocess.Popen(sys.argv[2:], stdin=subprocess.DEVNULL, **bonds)  # type: ignore[call-overload]  # noqa: S603 - our own argv
    except OSError as error:
        sys.stderr.write(f"cannot run {sys.argv[2]}: {error.strerror}\n")
        return 127
    deadline = _Deadline()
    threading.Thread(target=_watch, args=(child, deadline), daemon=True).start()
    status: int = child.wait()
    if os.name == "posix":
        _end_family(child.pid, deadline)
    return 128 - status if status < 0 else status


class _Deadline:
    """When the family must be gone; until somebody asks, that is as soon as the child is."""

    moment = 0.0


def _watch(child: subprocess.Popen[bytes], deadline: _Deadline) -> None:
    # Not through `sys.stdin`: its lock would be held when the interpreter ends.
    grace = float(sys.argv[1]) if os.read(0, 1) else _ORPHAN_SECONDS
    deadline.moment = time.monotonic() + grace
    if os.name != "posix":
        taskkill = ("taskkill", "/T", "/F", "/PID", str(child.pid))
        subprocess.run(taskkill, check=False)  # noqa: S603 - ends the whole tree on Windows
        return
    _signal_group(child.pid, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(grace)
    _signal_group(child.pid, signal.SIGKILL)


def _end_family(group: int, deadline: _Deadline) -> None:
    """Return when nobody is left of the child's group, nor of those who left it."""
    while _signal_group(group, 0) and time.monotonic() < deadline.moment:
        _reap()
        time.sleep(_POLL_SECONDS)
    _signal_group(group, signal.SIGKILL)
    while children := _adopted():
        for pid in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        _reap()
        time.sleep(_POLL_SECONDS)


def _signal_group(group: int, number: int) -> bool:
    """Send a signal; tell whether there was anybody to send it to."""
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def _bond() -> Callable[[], None]:
    """Become the parent of descendants whose own parent ends; return what binds the child to us.

    That runs in the child: it is to be killed when we are.
    """
    import ctypes  # noqa: PLC0415 - a cost that other platforms need not pay

    prctl, guardian = ctypes.CDLL(None).prctl, os.getpid()
    prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)

    def bind() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != guardian:
            # We were killed in between.
            os.kill(os.getpid(), signal.SIGKILL)

    return bind


def _adopted() -> list[int]:
    try:
        with open(f"/proc/self/task/{os.getpid()}/children") as file:  # noqa: PTH123 - no imports
            return [int(pid) for pid in file.read().split()]
    except OSError:
        return []


def _reap() -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


if __name__ == "__main__":
    sys.exit(main())
