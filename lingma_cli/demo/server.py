"""The running simulator: ports, info files, signals and the dispatch of messages.

Owns the life of the process from the first start fault to its exit.
"""

import asyncio
import contextlib
import os
import re
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from lingma_cli.demo import localpages, methods, rpc
from lingma_cli.demo.asks import Asks, Surroundings
from lingma_cli.demo.command import VERSION, Flags
from lingma_cli.demo.connection import Connection, Seen
from lingma_cli.demo.httpdoor import HttpDoor
from lingma_cli.demo.images import Images
from lingma_cli.demo.journal import Journal, Log
from lingma_cli.demo.logins import Around, Logins
from lingma_cli.demo.player import NO_RESPONSE
from lingma_cli.demo.sessions import Sessions
from lingma_cli.demo.site import Site
from lingma_cli.demo.switches import Start, Switches
from lingma_cli.demo.tooldesk import TOOL_METHODS
from lingma_cli.demo.workdir import Listening, WorkDir, dead_pid

_BANNER = (
    "lingma demo: this is a simulator of the Lingma binary; it has no account, asks no model and"
    " sends nothing beyond this machine\n"
)
_FLOOD_LINE = b"flood " * 170 + b"\n"


def run(
    flags: Flags, switches: Switches, arguments: Sequence[str], environment: Mapping[str, str]
) -> int:
    """Run a server in the foreground until it is told to end; returns the exit code."""
    sys.stderr.write(_BANNER)
    sys.stderr.flush()
    work_dir = WorkDir(flags.root)
    if flags.work_dir is None and work_dir.has_foreign_login():
        sys.stderr.write(f"Error: {flags.root} belongs to a real Lingma, use --workDir\n")
        return 2
    work_dir.prepare()
    start = switches.start
    if start.once and not work_dir.claim(switches.start_text):
        start = Start()
    if start.exit is not None:
        sys.stderr.write(f"simulated failure at the start, exit code {start.exit}\n")
        return start.exit
    _flood(start.flood)
    if start.wrapper:
        return _wrap(arguments, environment)
    return asyncio.run(Simulator(flags, switches, start, work_dir).serve())


def _flood(size: int) -> None:
    for stream in (sys.stdout.buffer, sys.stderr.buffer):
        for _ in range(0, size, len(_FLOOD_LINE)):
            stream.write(_FLOOD_LINE)
        stream.flush()


def _wrap(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Be a wrapper script: start the real listener as a child and wait for it."""
    inner = dict(environment)
    inner["LINGMA_DEMO_START"] = re.sub(r"\b(wrapper|once)\b", "", inner["LINGMA_DEMO_START"])
    inner["PYTHONPATH"] = str(Path(__file__).parents[2])
    command = [sys.executable, "-m", "lingma_cli.demo", *arguments]
    return subprocess.run(command, env=inner, check=False).returncode  # noqa: S603 - ourselves


class Simulator:
    """One listening process."""

    def __init__(self, flags: Flags, switches: Switches, start: Start, work_dir: WorkDir) -> None:
        self.muted = False
        self._flags = flags
        self._switches = switches
        self._start = start
        self._work_dir = work_dir
        self._connections: set[Connection] = set()
        self._servers: list[asyncio.Server] = []
        self._ended = asyncio.Event()
        self._exit_code = 0
        self._shutting_down = False

    async def serve(self) -> int:
        """Listen until a signal or an exit notification."""
        self._heed_signals()
        self._log = Log(self._work_dir.logs / "lingma.log", time.time)
        level = self._switches.journal
        self._journal = Journal(self._work_dir.logs / "demo.jsonl", time.time, level)
        with contextlib.closing(self._log), contextlib.closing(self._journal):
            async with asyncio.TaskGroup() as group:
                group.create_task(self._open(group))
                await self._ended.wait()
                self._close()
        return self._exit_code

    def _heed_signals(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            if self._start.stubborn:
                signal.signal(number, signal.SIG_IGN)
            elif sys.platform != "win32":
                asyncio.get_running_loop().add_signal_handler(number, self._ended.set)

    async def _open(self, group: asyncio.TaskGroup) -> None:
        if self._start.info == "stale":
            self._work_dir.write_stale_info()
        await asyncio.sleep(self._start.delay)
        machine = self._work_dir.settle(self._switches.login, int(time.time() * 1000))
        self._state = self._build(group)

        def connect() -> Connection:
            switches = self._switches
            return Connection(self, switches.sides, machine.token, switches.wire)

        wanted = 0 if self._start.port == "other" else self._flags.socket_port
        logins = self._state.logins
        site = Site(logins, self._switches.pages)
        local = partial(localpages.answer, logins)
        delay = self._switches.pages.delay
        self._servers = [
            await _listen(connect, wanted),
            await _listen(lambda: HttpDoor(local), self._flags.http_port),
            await _listen(lambda: HttpDoor(site.answer, delay), 0),
        ]
        ports = [server.sockets[0].getsockname()[1] for server in self._servers]
        _, logins.http_port, logins.site_port = ports
        await asyncio.sleep(self._start.info_delay)
        self._announce(*ports)

    def _build(self, group: asyncio.TaskGroup) -> methods.State:
        sessions = Sessions()
        endpoint = self._flags.endpoint
        logins = Logins(
            Around(
                switches=self._switches,
                work_dir=self._work_dir,
                log=self._log,
                journal=self._journal,
                endpoint=endpoint,
                clock=time.time,
                new_id=lambda: str(uuid.uuid4()),
                publish=self._publish,
            )
        )
        around = Surroundings(
            switches=self._switches,
            work_dir=self._work_dir,
            journal=self._journal,
            sessions=sessions,
            logins=logins,
            clock=time.time,
            new_id=lambda: str(uuid.uuid4()),
            spawn=group.create_task,
            hang=self._hang,
        )
        return methods.State(
            version=VERSION,
            endpoint=endpoint or "https://simulated.invalid",
            sides=self._switches.sides,
            login=self._switches.login,
            logins=logins,
            sessions=sessions,
            asks=Asks(around),
            images=Images(self._switches.sides.images, self._journal),
        )

    def _publish(self, method: str, params: object) -> None:
        for connection in self._connections:
            connection.push(method, params)

    def _announce(self, port: int, http_port: int, site_port: int) -> None:
        pids = {"wrong-pid": 1, "dead-pid": dead_pid()}
        listening = Listening(
            port=self._start.info_port or port,
            pid=pids.get(self._start.info, os.getpid()),
            ipc_path=self._work_dir.ipc_path,
        )
        line = (
            f"Communication servers ready - WebSocket: {port}, HTTP: {http_port},"
            f" IPC: {listening.ipc_path}"
        )
        self._log.line("INFO", f"startup id: {self._flags.startup_id}")
        self._log.line("INFO", line)
        self._journal.note(
            "listening", port=port, httpPort=http_port, sitePort=site_port, pid=os.getpid()
        )
        self._work_dir.write_info(listening, self._start.info)
        sys.stdout.write(line + "\n")
        sys.stdout.flush()

    def _hang(self) -> None:
        self.muted = True

    def _close(self) -> None:
        self._journal.note("ending", exitCode=self._exit_code)
        for server in self._servers:
            server.close()
        connections, self._connections = self._connections, set()
        for connection in connections:
            connection.close(1001)
            connection.finish()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()

    # what connections tell

    def opened(self, connection: Connection, path: str, headers: Seen) -> None:
        """Keep a connection."""
        self._connections.add(connection)
        self._note_handshake("connect", path, headers)

    def refused(self, path: str, headers: Seen, reason: str) -> None:
        """Note a refused handshake."""
        self._note_handshake("refused", path, headers, reason=reason)

    def _note_handshake(self, event: str, path: str, seen: Seen, **more: str) -> None:
        token, origin = seen.machine_token, seen.origin
        self._journal.note(event, path=path, machineToken=token, origin=origin, **more)

    def received(self, connection: Connection, message: rpc.Incoming) -> None:
        """Dispatch one message."""
        match message:
            case rpc.Call():
                self._call(connection, message)
            case rpc.Answer():
                self._journal.note("stray-answer", id=message.id)
            case rpc.Malformed():
                self._log.line("ERROR", message.reason)
                self._journal.note("malformed", reason=message.reason)
                connection.send(rpc.error(None, message.code, message.reason))

    def strayed(self, payload: bytes) -> None:
        """Note bytes without a header."""
        self._log.line("ERROR", f"Unknown message header: {payload[:40]!r}")
        self._journal.note("unknown-header", size=len(payload))

    def unanswered(self, method: str, identity: int) -> None:
        """Note a push without an acknowledgement."""
        self._log.line("WARN", f"{method} id {identity}: {NO_RESPONSE}")
        self._journal.note("unacknowledged", method=method, id=identity)

    def closed(self, connection: Connection) -> None:
        """Forget a connection and end its streams."""
        if connection in self._connections:
            self._connections.discard(connection)
            self._journal.note("disconnect")
            self._state.asks.leave(connection)

    def _call(self, connection: Connection, call: rpc.Call) -> None:
        self._journal.note(
            "received", method=call.method, id=call.id, params=_shown(call.method, call.params)
        )
        try:
            body = self._answer(connection, call)
        except rpc.RpcError as error:
            self._log.line("ERROR", f"{call.method}: {error.message}")
            body = None if call.id is None else rpc.error(call.id, error.code, error.message)
        if body is not None:
            self._send_in_time(connection, call, body)
        self._after(connection, call)

    def _answer(self, connection: Connection, call: rpc.Call) -> bytes | None:
        if call.method == "chat/ask":
            params = rpc.object_params(call.params, "AskParams")
            self._state.asks.begin(connection, call.id, params)
            return None
        result = methods.call(self._state, call.method, call.params)
        return None if call.id is None else rpc.result(call.id, result)

    def _send_in_time(self, connection: Connection, call: rpc.Call, body: bytes) -> None:
        delay = self._start.initialize_delay
        if call.method == "initialize" and delay:
            asyncio.get_running_loop().call_later(delay, connection.send, body)
        elif not (
            call.method in TOOL_METHODS
            and self._state.asks.tools.withholds(call.params, lambda: connection.send(body))
        ):
            connection.send(body)

    def _after(self, connection: Connection, call: rpc.Call) -> None:
        """Do what comes after the answer has gone out."""
        params = call.params if isinstance(call.params, dict) else {}
        match call.method:
            case "chat/stop":
                self._state.asks.stop(params.get("requestId"))
            case "chat/stopSession":
                self._state.asks.stop_session(params.get("sessionId"))
            case "image/upload":
                told = self._state.images.notification(params)
                if told is not None:
                    connection.push("image/uploadResultNotification", told)
            case "shutdown":
                self._shutting_down = True
            case "exit":
                self._exit_code = 0 if self._shutting_down else 1
                self._ended.set()


def _shown(method: str, params: object) -> object:
    """Leave params out that carry tokens."""
    return "(secret)" if method.startswith(("auth/", "login/")) else params


async def _listen(factory: Callable[[], asyncio.Protocol], wanted: int) -> asyncio.Server:
    """Listen on a loopback port, or on a free one if the wanted one is busy."""
    loop = asyncio.get_running_loop()
    try:
        return await loop.create_server(factory, "127.0.0.1", wanted)
    except OSError:
        return await loop.create_server(factory, "127.0.0.1", 0)
