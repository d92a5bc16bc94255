"""The life of the listening server: its socket, its signals, its drain and its end.

Source of the order at shutdown: stop accepting, let running answers finish for a while, end the
rest with an error in their own protocol, then close. A second signal ends it at once; children
are ended by their guardians.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Callable, Iterator
from typing import Any, Final

import psutil
import uvicorn
from starlette.types import ASGIApp

from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.gateway.gateway import Gateway

_BACKLOG: Final = 2048
# Windows has no such signal.
_HANGUP: Final = getattr(signal, "SIGHUP", -1)
# How long the last events and the farewell of idle connections may take.
_LAST_WORDS_SECONDS: Final = 1.0
_KEEP_ALIVE_SECONDS: Final = 15


def bind(host: str, port: int) -> socket.socket:
    """Return a listening socket on exactly this port; 0 lets the system choose.

    Raises:
        LingmaError: the port is in use, with its owner if that can be seen, or the address is
            not ours.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        if os.name == "posix":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        if error.errno in _IN_USE:
            raise LingmaError(
                ErrorKind.PORT_IN_USE,
                f"port {port} is in use{_owner(port)}",
                hint=f"give it `--port {port + 1}`, or `--port 0` for any free one",
            ) from None
        raise LingmaError(
            ErrorKind.USAGE, f"cannot listen on `{host}` port {port}: {error.strerror}"
        ) from None
    except OverflowError:
        listener.close()
        raise LingmaError(ErrorKind.USAGE, f"there is no port {port}") from None
    listener.setblocking(False)  # noqa: FBT003 - the socket's own signature
    return listener


_IN_USE: Final = frozenset({48, 98, 10048, 10013})


def _owner(port: int) -> str:
    with contextlib.suppress(psutil.Error, OSError):
        for connection in psutil.net_connections(kind="tcp"):
            if connection.status != psutil.CONN_LISTEN or not connection.laddr:
                continue
            if connection.laddr.port == port and connection.pid:
                name = psutil.Process(connection.pid).name()
                return f" by `{name}`, process {connection.pid}"
    return ""


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers: ours know what a drain is."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def make_server(app: ASGIApp, protocol: type[asyncio.Protocol]) -> uvicorn.Server:
    """Return the HTTP server around `app`."""
    config = uvicorn.Config(
        app,
        http=protocol,
        ws="none",
        lifespan="off",
        loop="none",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        backlog=_BACKLOG,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=int(_LAST_WORDS_SECONDS),
    )
    return _Server(config)


async def serve_until_signal(
    server: uvicorn.Server,
    listener: socket.socket,
    gateway: Gateway,
    *,
    drain_timeout: float,
    on_listening: Callable[[], None],
    on_second_signal: Callable[[int], None],
) -> None:
    """Serve until SIGINT, SIGTERM or the terminal's end (SIGHUP), then drain.

    Args:
        server: from `make_server`.
        listener: from `bind`; closed on return.
        gateway: drained before the server closes.
        drain_timeout: seconds that running answers get.
        on_listening: told once signals are heard; who learns of the server then can stop it.
        on_second_signal: told the signal number when somebody cannot wait; must not return.
    """
    stop = asyncio.Event()

    def on_signal(number: int) -> None:
        # A closing terminal says so more than once; only a person is in a hurry.
        if stop.is_set() and number != _HANGUP:
            on_second_signal(number)
        stop.set()

    with _signals(on_signal):
        on_listening()
        async with asyncio.TaskGroup() as group:
            serving = group.create_task(server.serve(sockets=[listener]))
            await stop.wait()
            for accepting in getattr(server, "servers", ()):
                accepting.close()
            await _drain(gateway, drain_timeout)
            server.should_exit = True
            await serving


async def _drain(gateway: Gateway, drain_timeout: float) -> None:
    try:
        async with asyncio.timeout(drain_timeout):
            await gateway.drain()
    except TimeoutError:
        gateway.abort(
            LingmaError(ErrorKind.SHUTTING_DOWN, "the gateway was shut down during the answer")
        )
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LAST_WORDS_SECONDS):
                await gateway.drain()


@contextlib.contextmanager
def _signals(on_signal: Callable[[int], None]) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    numbers = [signal.SIGINT, signal.SIGTERM]
    if os.name == "posix":
        # Who started us with `nohup` wants no end with the terminal.
        hears_hangup = signal.getsignal(_HANGUP) is not signal.SIG_IGN
        for number in [*numbers, *([_HANGUP] if hears_hangup else ())]:
            loop.add_signal_handler(number, on_signal, number)
        # They stay until the loop is closed: engines may take a while to end after the server.
        yield
        return

    # Windows loops have no signal handlers of their own; Ctrl-Break is its SIGTERM.
    def hop(number: int, _frame: Any) -> None:
        loop.call_soon_threadsafe(on_signal, number)

    numbers.append(getattr(signal, "SIGBREAK", signal.SIGINT))
    earlier = {number: signal.signal(number, hop) for number in numbers}
    try:
        yield
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)
