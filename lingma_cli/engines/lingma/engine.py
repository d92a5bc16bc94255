"""One Lingma process as an engine: started, connected, asked, reconnected, stopped.

Source: Lingma local protocol, "Lifecycle", "Handshake" and "Conflicts and the safest client
behaviour". Owns the life of one process and the asks on its connection; must not know of HTTP,
other engines or who restarts it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from lingma_cli import __version__
from lingma_cli.core.chat import ChatRequest, Model
from lingma_cli.core.ids import NewId
from lingma_cli.core.login import LoginState
from lingma_cli.engines.base import OnChange
from lingma_cli.engines.lingma import images, jsonrpc
from lingma_cli.engines.lingma.account import AccountCalls
from lingma_cli.engines.lingma.ask import AskTimeouts, LingmaAsk, delete_session
from lingma_cli.engines.lingma.catalogue import read_models
from lingma_cli.engines.lingma.dialing import dial
from lingma_cli.engines.lingma.endings import not_logged_in
from lingma_cli.engines.lingma.link import DEFERRED, Link
from lingma_cli.engines.lingma.login import LOGIN_PUSHES, LoginWatch, ask_login, settle_login
from lingma_cli.engines.lingma.process import LingmaProcess, Subcommand, spawned
from lingma_cli.engines.lingma.prompt import AgentWords
from lingma_cli.engines.lingma.pushes import (
    ANSWER_PUSHES,
    ToolPush,
    chat_push,
    reply_to,
    tool_push,
)
from lingma_cli.engines.lingma.tool_calls import Respond, Send, ToolCalls
from lingma_cli.errors import ErrorKind, LingmaError

_log: Final = logging.getLogger(__name__)
_RECONNECTS: Final = 3
_RECONNECT_PAUSE: Final = 0.2
_LONGEST_PAUSE: Final = 10.0
_IMAGE_SECONDS: Final = 10.0
# The binary may refresh its login on its own and tell nobody.
_LOGIN_SECONDS: Final = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LingmaOptions:
    """How one Lingma process is run; durations are seconds.

    Attributes:
        command: the executable and its leading arguments.
        work_dir: its data folder.
        socket_port: the port to ask for; 0 picks a free one.
        environ: our environment; the child gets the allowed part of it.
        endpoint: the address of a dedicated service; empty for the usual one.
    """

    command: tuple[str, ...]
    work_dir: Path
    socket_port: int
    environ: Mapping[str, str]
    startup_timeout: float
    rpc_timeout: float
    first_event_timeout: float
    idle_timeout: float
    agent: AgentWords
    endpoint: str = ""


class LingmaEngine:
    """Answers chat requests through a Lingma process of its own.

    Without a login it is connected all the same: `account` works, asks are refused.

    Attributes:
        account: the calls around the login.
        http_port: where the login callback listens at 127.0.0.1, 0 while that is not known.
        pid: of the process, `None` while we are not connected to one.
        on_login_change: told when the login may be another one, or its record a newer one.

    Args:
        name: the name it is listed under.
        options: how the process is run.
        new_id: makes request and session ids.
    """

    reports_usage = False
    native_tools = False
    native_options = False
    agent_mode = True

    def __init__(self, name: str, options: LingmaOptions, new_id: NewId) -> None:
        self.name = name
        self.models: Sequence[Model] = ()
        self._options = options
        first, idle = options.first_event_timeout, options.idle_timeout
        self._timeouts = AskTimeouts(first_event=first, idle=idle)
        self._new_id = new_id
        self._link: Link | None = None
        self._images: images.ImageUploads | None = None
        self._served = 0
        self._subcommand = Subcommand()
        self._asks: dict[str, LingmaAsk] = {}
        self._unheard: set[str] = set()
        self._login = LoginWatch(options.work_dir)
        self.http_port = 0
        self.pid: int | None = None
        self.on_login_change: Callable[[], None] = lambda: None
        self.account = AccountCalls(
            self._connection,
            within=options.rpc_timeout,
            on_status=self._login.learn,
            on_change=self._login.suspect,
        )

    @property
    def login(self) -> LoginState:
        """What was last heard of the login; in doubt the next ask tells."""
        return self._login.state

    # life

    async def run(self, on_change: OnChange) -> None:
        """Start the process and serve until it dies or this is cancelled.

        Raises:
            LingmaError: it could not start, or it died.
        """
        try:
            await self._run_process(on_change)
        except _UsageTextError:
            await self._run_process(on_change)

    async def _run_process(self, on_change: OnChange) -> None:
        options = self._options
        async with spawned(
            (*options.command, *self._subcommand.words),
            work_dir=options.work_dir,
            socket_port=options.socket_port,
            environ=options.environ,
            endpoint=options.endpoint,
        ) as process:
            try:
                await self._serve(process, on_change)
            except LingmaError as error:
                is_dead = process.exited.done()
                if is_dead and self._subcommand.failed(process.output.text()):
                    raise _UsageTextError from None
                # Whoever waits hears of it before the process has been cleared away. The last words
                # are for the log: they are nobody's business over HTTP.
                _log.warning("%s said last: %s", self.name, process.last_words())
                on_change(error)
                raise

    async def _serve(self, process: LingmaProcess, on_change: OnChange) -> None:
        """Stay connected for as long as the process lives and lets us."""
        tries, served, pause = 1, self._served, _RECONNECT_PAUSE
        while True:
            try:
                async with self._connected(process) as link:
                    tries = _RECONNECTS
                    self._subcommand.worked()
                    on_change(None)
                    await self._attend(process, link)
                    on_change(link.lost())
                if link.unresponsive:
                    raise link.lost()
                _log.warning("connection to %s ended: %s", self.name, link.reason)
            except LingmaError as error:
                tries -= 1
                if tries <= 0 or error.kind is ErrorKind.ENGINE_TIMEOUT:
                    raise
            # Whoever closes the socket often dies a moment later: then it is a death.
            pause = _RECONNECT_PAUSE if self._served > served else min(2 * pause, _LONGEST_PAUSE)
            served = self._served
            await asyncio.wait([process.exited], timeout=pause)
            if process.exited.done():
                raise process.died()

    async def _attend(self, process: LingmaProcess, link: Link) -> None:
        """Wait for the end of the connection; look at the login when it may have changed."""
        ends: list[asyncio.Future[Any]] = [process.exited, link.closed]
        while not any(end.done() for end in ends):
            if self._login.wants_a_look():
                await self._look_at_login(link)
            await asyncio.wait(
                [*ends, self._login.suspicion()],
                timeout=_LOGIN_SECONDS,
                return_when=asyncio.FIRST_COMPLETED,
            )

    async def _look_at_login(self, link: Link) -> None:
        # A lost connection is seen by whoever waits for its end.
        with contextlib.suppress(LingmaError):
            self._login.state = (await ask_login(link, self._options.rpc_timeout)).state
            if self.login is LoginState.IN:
                await self._learn_models(link)
        self.on_login_change()

    @contextlib.asynccontextmanager
    async def _connected(self, process: LingmaProcess) -> AsyncIterator[Link]:
        """Connect, shake hands and learn the models; leaving closes the connection."""
        options = self._options
        loop = asyncio.get_running_loop()
        deadline = loop.time() + options.startup_timeout
        address = await process.address(options.startup_timeout)
        link = await dial(
            address.port,
            work_dir=options.work_dir,
            on_call=self._hear,
            within=deadline - loop.time(),
        )
        try:
            await self._initialize(link, process, deadline - loop.time())
            self._link, self.pid = link, address.pid
            self.http_port = await asyncio.to_thread(process.http_port, address)
            folder = options.work_dir / "lingma-cli" / "images"
            within = min(options.rpc_timeout, _IMAGE_SECONDS)
            self._images = images.ImageUploads(link, folder, self._new_id, within=within)
            yield link
        finally:
            self._link = self._images = self.pid = None
            await link.close()
            for ask in list(self._asks.values()):
                ask.fail(link.lost())

    async def _initialize(self, link: Link, process: LingmaProcess, within: float) -> None:
        params: dict[str, Any] = {
            "processId": None,
            "clientInfo": {"name": "lingma-cli", "version": __version__},
            "rootUri": None,
            "capabilities": {},
            "workspaceFolders": [],
        }
        try:
            await link.call("initialize", params, within)
            # quirk: 2.11.1 does not know this notification and says so in its log only.
            link.notify("initialized", {})
            link.ping()
            self._login.state = (await settle_login(link, self._options.rpc_timeout)).state
            await self._learn_models(link)
        except LingmaError:
            if process.exited.done():
                raise process.died() from None
            raise

    async def refresh_models(self) -> Sequence[Model]:
        """Ask the process for its list now; the last list stays when it gives none."""
        self.models = read_models(await self.raw_models()) or self.models
        return self.models

    async def raw_models(self) -> bytes:
        """Return the list as the process gives it, as JSON; raises like `refresh_models`."""
        return await self._connection().call("config/queryModels", {}, self._options.rpc_timeout)

    async def _learn_models(self, link: Link) -> None:
        """Fetch the list for the first time; without one asks still work."""
        try:
            answer = await link.call("config/queryModels", {}, self._options.rpc_timeout)
        except LingmaError as error:
            if not link.is_open:
                raise
            _log.warning("%s gave no list of models: %s", self.name, error)
        else:
            self.models = read_models(answer) or self.models

    async def check(self, within: float | None = None) -> None:
        """Ask the process for a sign of life, if none has just been heard.

        Args:
            within: seconds; `rpc_timeout` unless given.

        Raises:
            LingmaError: there is no connection, or it is silent.
        """
        seconds = self._options.rpc_timeout if within is None else within
        if not await self._connection().is_alive(seconds):
            raise LingmaError(
                ErrorKind.ENGINE_TIMEOUT, f"Lingma gave no sign of life in {seconds:g} s"
            )

    def _connection(self) -> Link:
        if self._link is None or not self._link.is_open:
            away = f"engine `{self.name}` is not connected"
            raise LingmaError(ErrorKind.ENGINE_UNAVAILABLE, away)
        return self._link

    # asks

    @contextlib.asynccontextmanager
    async def ask(self, request: ChatRequest) -> AsyncIterator[LingmaAsk]:
        """Send `request`; leaving before the answer's end stops it upstream.

        Raises:
            LingmaError: there is no connection, or no login.
        """
        link = self._connection()
        if self.login is not LoginState.IN:
            self._login.learn(await ask_login(link, self._options.rpc_timeout))
        if self.login is LoginState.OUT:
            raise not_logged_in()
        ask = LingmaAsk(
            link,
            request,
            request_id=self._new_id(),
            session_id=request.session or self._new_id(),
            new_id=self._new_id,
            images=await self._sent_images(request),
            agent=self._options.agent,
            timeouts=self._timeouts,
        )
        # Registered before it is sent: the first push may come before any answer.
        self._asks[ask.request_id] = ask
        self._unheard.add(ask.request_id)
        try:
            ask.send()
            yield ask
            self._served += 1
        finally:
            del self._asks[ask.request_id]
            ask.leave()
            if ask.request_id in self._unheard:
                # Refused before anything came, and a missing login is the usual reason.
                self._unheard.remove(ask.request_id)
                self._login.suspect()

    def drop_session(self, session: str) -> None:
        """Forget a session that was kept, if there is a connection."""
        delete_session(self._link, session)

    async def _sent_images(self, request: ChatRequest) -> Mapping[str, str]:
        """Hand the request's images to the runtime, if it and the model take any."""
        sees = any(model.vision for model in self.models if model.key == request.model)
        return await self._images.send(request) if sees and self._images is not None else {}

    def _hear(self, call: jsonrpc.Call) -> Any:
        """Route one push or request of the binary; return what a request is answered with."""
        if call.method in ANSWER_PUSHES:
            if bytes(call.params)[:1] != b"{":
                # A piece of nobody knows which answer is lost: all of them are in doubt.
                raise jsonrpc.MessageError(f"`{call.method}` came without an object")
            push = chat_push(call.params)
            ask = self._asks.get(push.requestId or "")
            if ask is not None:
                self._unheard.discard(ask.request_id)
                ask.hear(call.method, push)
            if call.method == "chat/finish" and self._login.ends_with(push):
                asyncio.get_running_loop().call_soon(self.on_login_change)
        elif call.method in LOGIN_PUSHES:
            self._login.suspect()
        elif call.method == images.PUSH and self._images is not None:
            self._images.hear(bytes(call.params))
        elif call.method in ("tool/invoke", "tool/call/sync"):
            return self._hear_tool(call)
        elif call.method in ("error", "fatal_error") and bytes(call.params)[:1] == b"{":
            push = chat_push(call.params)
            meant = self._asks.get(push.requestId or "")
            # Without an id it may be about any of them.
            for ask in [meant] if meant is not None else list(self._asks.values()):
                ask.hear(call.method, push)
        return reply_to(call.method, call.params)

    def _hear_tool(self, call: jsonrpc.Call) -> Any:
        """Hand a tool message to the ask it belongs to; nobody's tools are refused."""
        push = tool_push(call.params)
        tool_id = push.toolCallId or ""
        ask = self._asks.get(push.requestId or "") or next(
            (ask for ask in self._asks.values() if ask.knows_call(tool_id)), None
        )
        if ask is not None and tool_id:
            ask.hear_tool(call.method, push, call.id)
        elif self._link is not None and tool_id:
            self._refuse_stray(call, push)
        # An ask has answered it or will.
        return DEFERRED if call.method == "tool/invoke" and tool_id else None

    def _refuse_stray(self, call: jsonrpc.Call, push: ToolPush) -> None:
        strays = ToolCalls((), self._new_id)
        ids = {"requestId": push.requestId or "", "sessionId": push.sessionId or ""}
        is_invoke = call.method == "tool/invoke"
        for action in strays.invoke(push, call.id, ids) if is_invoke else strays.sync(push, ids):
            match action, self._link:
                case Send(method=method, params=params), Link() as link:
                    link.send(method, params)
                case Respond(id=id_, result=result), Link() as link:
                    link.respond(id_, result)


class _UsageTextError(Exception):
    """The binary ended with its usage text: it may want the other command line."""
