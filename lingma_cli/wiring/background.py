"""The server in the background: started with a handshake, found by its lock, stopped by its pid."""

from __future__ import annotations

import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

import msgspec
import psutil

from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.paths import Paths, opened, private_folder, try_lock, write_private
from lingma_cli.server.presence import ServerFile, find_server, is_served, only_server
from lingma_cli.settings import Settings, environment_name, forget_secrets, table
from lingma_cli.wiring.bootstrap import Talk, bootstrap
from lingma_cli.wiring.handshake import VARIABLE, Ready, Word, read_word
from lingma_cli.wiring.log_file import begin, last_lines
from lingma_cli.wiring.unwinding import unwound

# What a server needs besides the seconds that the settings give the executable.
_START_MARGIN: Final = 20.0
# What it needs after its drain: farewells to engines, logins taken back, processes ended.
_STOP_MARGIN: Final = 20.0
_END_SECONDS: Final = 10.0
_PAUSE_SECONDS: Final = 0.05
# The clock of the system and the start time of a process are not told by the same hand.
_CLOCK_SLACK: Final = 2.0
_SHOWN_LINES: Final = 20


class Start(msgspec.Struct, frozen=True, kw_only=True):
    """How a server is started.

    Attributes:
        config: what `--config` names.
        flags: key to value of the options given; never a secret, since secrets have no option.
        folder: the working directory, from which relative paths count.
        pid: the process that came of it.
    """

    config: str | None = None
    flags: dict[str, Any] = {}
    folder: str
    pid: int = 0

    @property
    def arguments(self) -> tuple[str, ...]:
        """The same as arguments of `lingma serve`."""
        words = [f"--config={self.config}"] if self.config else []
        for item, row in table():
            value = self.flags.get(item.name) if row.flag else None
            if value is True:
                words.append(row.flag)
            elif value:
                values = value if isinstance(value, list | tuple) else [value]
                words += [f"{row.flag}={one}" for one in values]
        return tuple(words)


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """A server to be started.

    Attributes:
        start: how.
        settings: what follows from that.
        environ: what the server inherits, secrets included; its home counts from `start.folder`.
        patience: seconds until it must listen.
    """

    start: Start
    settings: Settings
    environ: Mapping[str, str]
    patience: float


def start_patience(settings: Settings) -> float:
    """Return the seconds in which a server with these settings listens."""
    return settings.startup_timeout + _START_MARGIN


def stop_patience(settings: Settings) -> float:
    """Return the seconds in which a server with these settings has ended."""
    return settings.drain_timeout + _STOP_MARGIN


def last_start(paths: Paths) -> Start | None:
    """Return how the server in the background was started last, if that is known."""
    try:
        return msgspec.json.decode(paths.background_file.read_bytes(), type=Start)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return None


def start(launch: Launch, paths: Paths, talk: Talk) -> Ready:
    """Start a server that outlives this process and its terminal; return once it listens.

    Whatever must be asked is asked before, see `Talk`: nobody sits in front of that server.

    Raises:
        LingmaError: a server already runs for this home, there is no executable, or the server
            has failed: then with its own error. Nothing is left running.
    """
    with _only_starter(launch, paths):
        # The error names the one that runs.
        with only_server(paths):
            pass
        _bootstrapped(launch, paths, talk)
        return _launched(launch, paths, talk)


def restart(
    launch: Launch, paths: Paths, talk: Talk, on_stopped: Callable[[ServerFile], None]
) -> Ready:
    """Stop the server, if one runs, and start another.

    Args:
        launch: the new one.
        paths: the home.
        talk: see `start`.
        on_stopped: told of the old one when it has ended.

    Raises:
        LingmaError: as for `start` and `stop`.
    """
    with _only_starter(launch, paths):
        # First: a server is not stopped for another one that cannot be run.
        _bootstrapped(launch, paths, talk)
        if is_served(paths):
            on_stopped(stop(paths, within=stop_patience(launch.settings)))
        return _launched(launch, paths, talk)


def stop(paths: Paths, *, within: float, force: bool = False) -> ServerFile:
    """End the server of this home as SIGTERM does, and return what it said of itself.

    On Windows there is no SIGTERM: there it ends at once, without a drain.

    Args:
        paths: the home.
        within: seconds until it must have ended.
        force: whether it is killed after that.

    Raises:
        LingmaError: none runs, it cannot be told for sure, or it has not ended.
    """
    server = find_server(paths)
    if server is None:
        raise no_server(paths)
    process = _verified(paths, server)
    with suppress(psutil.NoSuchProcess):
        process.terminate()
    if _has_ended(paths, server, within):
        return server
    if not force:
        raise LingmaError(
            ErrorKind.ALREADY_RUNNING,
            f"the server still runs after {within:g} seconds: {server.url}, process {server.pid}",
            hint="run `lingma gateway stop --force` to kill it",
        )
    with suppress(psutil.NoSuchProcess):
        process.kill()
    if not _has_ended(paths, server, _END_SECONDS):
        raise LingmaError(ErrorKind.INTERNAL, f"process {server.pid} cannot be killed")
    return server


def no_server(paths: Paths) -> LingmaError:
    """Return the error for a home without a server that could be named."""
    if is_served(paths):
        return LingmaError(
            ErrorKind.SERVER_NOT_FOUND,
            "a server of this home is just starting or ending",
            hint="try again in a moment",
        )
    return LingmaError(
        ErrorKind.SERVER_NOT_FOUND,
        "no server runs for this home",
        hint="run `lingma gateway start`",
    )


def _verified(paths: Paths, server: ServerFile) -> psutil.Process:
    """Return the process that holds the server lock; a pid may be somebody else's by now."""
    try:
        process = psutil.Process(server.pid)
        if process.create_time() <= server.started + _CLOCK_SLACK and _holds(process, paths):
            return process
    except (psutil.Error, OSError):
        pass
    raise LingmaError(
        ErrorKind.SERVER_NOT_FOUND,
        f"process {server.pid} is not the server of this home, or nobody can tell",
        hint="stop the server where it was started",
    )


def _holds(process: psutil.Process, paths: Paths) -> bool:
    # In a container the same number is another process. Windows does not tell reliably.
    return os.name == "nt" or any(
        Path(file.path).samefile(paths.server_lock) for file in process.open_files()
    )


def _has_ended(paths: Paths, server: ServerFile, within: float) -> bool:
    deadline = time.monotonic() + within
    while is_served(paths) and find_server(paths) in (server, None):
        if time.monotonic() >= deadline:
            return False
        time.sleep(_PAUSE_SECONDS)
    return True


@contextmanager
def _only_starter(launch: Launch, paths: Paths) -> Iterator[None]:
    """Wait until no other command starts a server for this home, and keep them waiting."""
    deadline = time.monotonic() + launch.patience
    private_folder(paths.runtime)
    with opened(paths.background_lock, os.O_RDWR | os.O_CREAT) as descriptor:
        while not try_lock(descriptor):
            if time.monotonic() >= deadline:
                raise LingmaError(
                    ErrorKind.ALREADY_RUNNING,
                    "another command is starting a server for this home",
                    hint="wait for it, or end it",
                )
            time.sleep(_PAUSE_SECONDS)
        yield


def _bootstrapped(launch: Launch, paths: Paths, talk: Talk) -> None:
    from lingma_cli.wiring.pool import no_lingma  # noqa: PLC0415 - other commands need no engines

    if no_lingma(launch.settings):
        return
    environ = dict(launch.environ)
    forget_secrets(environ)
    bootstrap(launch.settings, paths, environ, talk)


def _launched(launch: Launch, paths: Paths, talk: Talk) -> Ready:
    with unwound():
        process = _spawned(launch, paths)
        try:
            word = _first_word(process, launch.patience)
            if not isinstance(word, Ready):
                # It is ending, and may have something to say in its log.
                with suppress(subprocess.TimeoutExpired):
                    process.wait(_END_SECONDS)
                raise word.error() if word is not None else _wordless(process, paths)
            _remember(launch.start, word.pid, paths, talk)
        except BaseException:
            # A signal too: who has not waited for the server does not know that it runs.
            _end(process)
            raise
        return word


def _remember(start: Start, pid: int, paths: Paths, talk: Talk) -> None:
    try:
        known = msgspec.structs.replace(start, pid=pid)
        write_private(paths.background_file, msgspec.json.encode(known))
    except LingmaError as error:
        talk.say(f"warning: `lingma gateway restart` will not know these flags: {error.message}")


def _spawned(launch: Launch, paths: Paths) -> subprocess.Popen[bytes]:
    # -P: what lies in the working directory is not imported.
    command = (sys.executable, "-P", "-m", "lingma_cli", "serve", *launch.start.arguments)
    with begin(paths.background_log) as log:
        try:
            return subprocess.Popen(  # noqa: S603 - no shell, and the words are ours
                command,
                cwd=launch.start.folder,
                env=_environment(launch.environ),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                # The hangup of this terminal is not for it, nor is Ctrl-C; on Windows a console
                # of its own, without a window, does the same.
                start_new_session=True,
                creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)
                | getattr(subprocess, "CREATE_NO_WINDOW", 0),
            )
        except OSError as error:
            raise LingmaError(
                ErrorKind.INTERNAL, f"cannot start a process: {error.strerror}"
            ) from error


def _environment(environ: Mapping[str, str]) -> dict[str, str]:
    # What these two ask for has just been done, at the terminal.
    done = dict.fromkeys(map(environment_name, ("bootstrap_always", "force_refresh")), "false")
    return {**environ, **done, VARIABLE: "1"}


def _first_word(process: subprocess.Popen[bytes], within: float) -> Word | None:
    """Return what the server says, `None` if it ends without a word."""
    words: queue.SimpleQueue[Word | None] = queue.SimpleQueue()
    # A thread: there is no other way to wait for a pipe on every platform.
    listening = threading.Thread(target=_listen, args=(process.stdout, words), daemon=True)
    listening.start()
    try:
        return words.get(timeout=within)
    except queue.Empty:
        raise LingmaError(
            ErrorKind.ENGINE_TIMEOUT,
            f"the server was not up within {within:g} seconds",
            hint="see `lingma gateway logs`, or give it more with `--startup-timeout`",
        ) from None


def _listen(pipe: IO[bytes], words: queue.SimpleQueue[Word | None]) -> None:
    with pipe:
        said = (word for line in pipe if (word := read_word(line)) is not None)
        words.put(next(said, None))


def _wordless(process: subprocess.Popen[bytes], paths: Paths) -> LingmaError:
    lines = last_lines(paths.background_log, _SHOWN_LINES)
    errors = [line for line in lines if line.startswith("error: ")]
    said = (errors or list(lines) or ["nothing"])[-1].removeprefix("error: ")
    return LingmaError(
        ErrorKind.INTERNAL,
        f"the server ended with status {process.poll()} before it listened, and said: {said}",
        hint="run `lingma gateway logs` for more",
    )


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
