"""A minimal client of the demo Lingma that shares no code with either end.

Starts the real process, frames by hand over `websockets`, and reads the journal.
"""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

ROOT = Path(__file__).parents[2]
LIMIT = 10.0

Json = dict[str, Any]


# Nothing may touch the home of whoever runs the tests.
NOWHERE = "/nonexistent"


def environment(home: str, switches: dict[str, str]) -> dict[str, str]:
    """Return what the process sees: switches by their name without `LINGMA_DEMO_`."""
    named = {f"LINGMA_DEMO_{name.upper()}": value for name, value in switches.items()}
    kept = {name: os.environ[name] for name in ("PATH", "SYSTEMROOT") if name in os.environ}
    return kept | {"PYTHONPATH": str(ROOT), "HOME": home, "USERPROFILE": home} | named


def launch(*arguments: str, home: str = NOWHERE, **switches: str) -> subprocess.Popen[str]:
    """Start `python -m lingma_cli.demo` with piped output."""
    return subprocess.Popen(
        [sys.executable, "-m", "lingma_cli.demo", *arguments],
        env=environment(home, switches),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(*arguments: str, home: str = NOWHERE, **switches: str) -> tuple[int, str, str]:
    """Run to the end; return exit code, stdout and stderr."""
    with launch(*arguments, home=home, **switches) as process:
        try:
            out, err = process.communicate(timeout=LIMIT)
        finally:
            process.kill()
    return process.returncode, out, err


def eventually(condition: Callable[[], Any], limit: float = LIMIT) -> Any:
    """Return the condition's first true value; fail when the time is over."""
    deadline = time.monotonic() + limit
    while not (value := condition()):
        assert time.monotonic() < deadline, "the condition never came true"
        time.sleep(0.005)
    return value


@dataclass(frozen=True, slots=True, kw_only=True)
class Demo:
    """A running process and its work directory."""

    process: subprocess.Popen[str]
    work_dir: Path

    @property
    def written(self) -> Json:
        """What `.info.json` says."""
        return dict(json.loads((self.work_dir / ".info.json").read_text(encoding="utf-8")))

    @property
    def port(self) -> int:
        """The WebSocket port of the journal, which never lies."""
        return int(eventually(lambda: self.notes("listening"))[-1]["port"])

    @property
    def url(self) -> str:
        """The WebSocket address."""
        return f"ws://127.0.0.1:{self.port}"

    def notes(self, event: str) -> list[Json]:
        """Return the journal's notes of one event."""
        try:
            lines = (self.work_dir / "logs/demo.jsonl").read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return []
        return [note for line in lines if (note := json.loads(line))["event"] == event]

    def note(self, event: str) -> Json:
        """Wait for the first note of an event."""
        return dict(eventually(lambda: self.notes(event))[0])

    def received(self, method: str) -> list[Json]:
        """Return what was received of one method."""
        return [note for note in self.notes("received") if note["method"] == method]

    def log(self) -> str:
        """Return the binary's log."""
        return (self.work_dir / "logs/lingma.log").read_text(encoding="utf-8")


@contextlib.contextmanager
def running(work_dir: Path, *flags: str, ready: bool = True, **switches: str) -> Iterator[Demo]:
    """Start a server on free ports and end it; `ready` waits for its announcement."""
    chosen = flags or ("--socketPort", "0", "--httpPort", "0")
    bare = "command=bare" in switches.get("sides", "")
    words = [*([] if bare else ["start"]), "--workDir", str(work_dir), *chosen]
    with launch(*words, **switches) as process:
        demo = Demo(process=process, work_dir=work_dir)
        try:
            if ready:
                assert process.stdout is not None
                assert "Communication servers ready" in process.stdout.readline()
            yield demo
        finally:
            _end(demo)


def _end(demo: Demo) -> None:
    with contextlib.suppress(ProcessLookupError):
        demo.process.kill()
    for note in demo.notes("listening"):
        if note["pid"] != demo.process.pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(note["pid"], signal.SIGKILL)
    demo.process.communicate(timeout=LIMIT)


def frame(body: bytes) -> bytes:
    """Put the header before a body."""
    return b"Content-Length: %d\r\n\r\n%b" % (len(body), body)


@dataclass(slots=True, kw_only=True)
class Client:
    """One connection: messages out and in, acknowledging pushes unless told otherwise."""

    socket: ClientConnection
    acks: bool = True
    answers: Json = field(default_factory=dict)
    buffer: bytearray = field(default_factory=bytearray)
    messages: list[str | bytes] = field(default_factory=list)
    next_id: int = 0

    async def send(self, message: Json) -> None:
        """Send one framed message as text."""
        body = json.dumps(message).encode()
        await self.socket.send(frame(body).decode())

    async def receive(self) -> Json:
        """Return the next message of the byte stream."""
        async with asyncio.timeout(LIMIT):
            while (message := self._take()) is None:
                payload = await self.socket.recv()
                self.messages.append(payload)
                self.buffer += payload.encode() if isinstance(payload, str) else payload
        if self.acks and "method" in message and "id" in message:
            result = self.answers.get(message["method"])
            if callable(result):
                result = result(message["params"])
            with contextlib.suppress(ConnectionClosed):  # what has arrived is read all the same
                await self.send({"jsonrpc": "2.0", "id": message["id"], "result": result})
        return message

    def _take(self) -> Json | None:
        head, mark, rest = (
            bytes(self.buffer).replace(b"\n\n", b"\r\n\r\n", 1).partition(b"\r\n\r\n")
        )
        if not mark:
            return None
        line = next(one for one in head.splitlines() if one.lower().startswith(b"content-length:"))
        length = int(line.partition(b":")[2])
        if len(rest) < length:
            return None
        self.buffer[:] = rest[length:]
        return dict(json.loads(rest[:length]))

    async def call(self, method: str, params: object = None, identity: Any = None) -> Json:
        """Send a request and return its answer, skipping pushes."""
        self.next_id += 1
        mark = self.next_id if identity is None else identity
        params = {} if params is None else params
        await self.send({"jsonrpc": "2.0", "id": mark, "method": method, "params": params})
        while True:
            message = await self.receive()
            if "method" not in message and message["id"] == mark:
                return message

    async def begin(self, prompt: str, **more: object) -> None:
        """Send chat/ask with request id `R` unless another is given."""
        params = {
            "requestId": "R",
            "sessionId": "",
            "questionText": prompt,
            "chatTask": "FREE_INPUT",
        }
        await self.send(
            {"jsonrpc": "2.0", "id": "ask", "method": "chat/ask", "params": params | more}
        )

    async def until(self, done: Callable[[Json], bool]) -> list[Json]:
        """Return all messages up to the one that is done."""
        seen = [await self.receive()]
        while not done(seen[-1]):
            seen.append(await self.receive())
        return seen

    async def notify(self, method: str, **params: object) -> None:
        """Send a notification."""
        await self.send({"jsonrpc": "2.0", "method": method, "params": params})

    async def approve(self, tool_id: str, *, approval: bool = True) -> None:
        """Decide a tool call of request `R`, in session `S`."""
        ids = {"sessionId": "S", "requestId": "R", "toolCallId": tool_id}
        await self.notify("tool/call/approve", type="tool_call", **ids, approval=approval)

    async def work(self, prompt: str, tool: Callable[[Json], Json], **more: object) -> "Stream":
        """Ask, approve every pending call, and answer each invocation with `tool`'s result."""
        self.answers["tool/invoke"] = lambda one: None if one["async"] else tool(one)
        await self.begin(prompt, sessionId="S", **more)
        seen: list[Json] = []
        while not seen or seen[-1].get("method") != "chat/finish":
            seen.append(await self.receive())
            params = seen[-1].get("params", {})
            if params.get("toolCallStatus") == "PENDING":
                await self.approve(params["toolCallId"])
            if params.get("async"):
                await self.notify("tool/invokeResult", **tool(params))
        return Stream(seen)

    async def ask(self, prompt: str, **more: object) -> "Stream":
        """Ask and collect everything up to chat/finish."""
        await self.begin(prompt, **more)
        return Stream(await self.until(lambda one: one.get("method") == "chat/finish"))


@dataclass(frozen=True, slots=True)
class Stream:
    """All messages of one ask."""

    messages: list[Json]

    def pushes(self, method: str) -> list[Json]:
        """Return the params of the pushes of one method."""
        return [one["params"] for one in self.messages if one.get("method") == method]

    @property
    def deltas(self) -> list[str]:
        """The deltas in their order."""
        return [params["text"] for params in self.pushes("chat/answer")]

    @property
    def text(self) -> str:
        """The deltas put together."""
        return "".join(self.deltas)

    @property
    def finish(self) -> Json:
        """The params of chat/finish."""
        return self.pushes("chat/finish")[-1]

    @property
    def replies(self) -> list[Json]:
        """The answers to chat/ask."""
        return [one for one in self.messages if "method" not in one]


@contextlib.asynccontextmanager
async def talking(
    demo: Demo, path: str = "/", *, acks: bool = True, headers: dict[str, str] | None = None
) -> AsyncIterator[Client]:
    """Connect, and close at the end."""
    async with connect(
        demo.url + path, additional_headers=headers, compression=None, max_size=None, proxy=None
    ) as socket:
        yield Client(socket=socket, acks=acks)


def done(invoked: Json) -> Json:
    """Return the five fields of a tool that did its work: it names its arguments."""
    content = ",".join(map(str, invoked["parameters"].values()))
    fields = {"toolCallId": invoked["toolCallId"], "name": invoked["name"]}
    return fields | {"success": True, "errorMessage": "", "result": {"content": content}}


def failed(invoked: Json) -> Json:
    """Return the five fields of a tool that failed."""
    return done(invoked) | {"success": False, "errorMessage": "disk full", "result": {}}


def ask(demo: Demo, prompt: str, **more: object) -> Stream:
    """Connect, ask once, and return the stream."""

    async def once() -> Stream:
        async with talking(demo) as client:
            return await client.ask(prompt, **more)

    return asyncio.run(once())
