"""An OpenAI-compatible HTTP server as an engine: llama.cpp, vLLM, SGLang, Ollama.

Owns the connections to one server and the asks on them; must not know who started the server, who
watches it, or of other engines.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import msgspec

from lingma_cli.core.address import Address
from lingma_cli.core.chat import ChatRequest, Model
from lingma_cli.core.ids import NewId
from lingma_cli.core.login import LoginState
from lingma_cli.engines.base import Engine, OnChange
from lingma_cli.engines.openai_http.answer import MAX_BYTES, AnswerReader
from lingma_cli.engines.openai_http.ask import AskTimeouts, HttpAsk
from lingma_cli.engines.openai_http.endings import Endings, read_refusal
from lingma_cli.engines.openai_http.models import read_models
from lingma_cli.engines.openai_http.pool import HttpAnswer, HttpPool, PoolOptions, proxy_for
from lingma_cli.engines.openai_http.request import encode_request
from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.secret import Redactor, Secret

_MAX_REFUSAL: Final = 64 * 1024
_ALIVE_SECONDS: Final = 1.5
_START_PAUSE: Final = 0.25
_NO_HEALTH: Final = frozenset({404, 405, 501})
# 2048 texts at 1536 numbers of 20 digits are 64 MiB; some models give more than twice as many.
_MAX_VECTORS: Final = 256 * 1024 * 1024
_JSON: Final = {"content-type": "application/json"}


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenAiHttpOptions:
    """How one server is reached; durations are seconds.

    Attributes:
        url: of the server, with or without `/v1`.
        model: the one model to offer; `None` offers all that the server lists.
        find_key: returns what is sent as a bearer token, if anything; asked for each life, in a
            thread, so that a key can be renewed.
        environ: our environment, for proxies.
        rpc_timeout: for everything but answers.
    """

    url: str
    startup_timeout: float
    rpc_timeout: float
    first_event_timeout: float
    idle_timeout: float
    model: str | None = None
    find_key: Callable[[], Secret | None] = lambda: None
    environ: Mapping[str, str] = field(default_factory=dict)
    pool: PoolOptions = field(default_factory=PoolOptions)


class RawAnswer:
    """An answer that is passed on as it comes.

    Attributes:
        content_type: without parameters.
    """

    def __init__(self, answer: HttpAnswer, endings: Endings, idle: float) -> None:
        self._answer = answer
        self._endings = endings
        self._idle = idle
        self.content_type = answer.content_type

    async def next_chunk(self) -> bytes:
        """Wait for bytes and return all that are ready; none at the end.

        Raises:
            LingmaError: the server broke off, or fell silent.
        """
        try:
            async with asyncio.timeout(self._idle):
                return await self._answer.read()
        except TimeoutError:
            raise self._endings.failed("fell silent", ErrorKind.ENGINE_TIMEOUT) from None
        except LingmaError as error:
            raise self._endings.named(error) from error


class OpenAiHttpEngine:
    """Answers requests through a server that somebody else runs.

    Attributes:
        reports_usage: whether the last whole answer carried token counts.

    Args:
        name: the name it is listed under.
        options: how the server is reached.
        new_id: makes ids of calls for servers that give none.

    Raises:
        LingmaError: the URL or the key cannot be used.
    """

    native_tools = True
    native_options = True
    agent_mode = False

    def __init__(self, name: str, options: OpenAiHttpOptions, new_id: NewId) -> None:
        self.name = name
        only = options.model
        # What is asked for it can be told before the server is there.
        self.models: Sequence[Model] = (Model(key=only, name=only),) if only else ()
        self.reports_usage = True
        self.address = Address.parse(options.url)
        self._options = options
        self._new_id = new_id
        self._pool: HttpPool | None = None
        # The URL at which the key was refused last, while no answer has told otherwise.
        self._shut: str | None = None
        # Also here, so that whoever adds an engine hears of a key that is none.
        self._use_key(options.find_key())

    @property
    def login(self) -> LoginState:
        """Whether the server takes the key, as far as its answers tell."""
        return LoginState.IN if self._shut is None else LoginState.OUT

    # life

    async def run(self, on_change: OnChange) -> None:
        """Connect, wait until the server is well, and serve until this is cancelled.

        Whether it stays well is for `check` to tell.

        Raises:
            LingmaError: it did not get well in time, or its key cannot be had.
        """
        self._use_key(await asyncio.to_thread(self._options.find_key))
        proxy = proxy_for(self.address.root, self._options.environ)
        async with HttpPool(self._options.pool, proxy=proxy) as pool:
            self._pool = pool
            try:
                await self._become_ready()
                on_change(None)
                await asyncio.get_running_loop().create_future()
            finally:
                self._pool = None

    def _use_key(self, key: Secret | None) -> None:
        self._headers = _authorization(key)
        self._endings = Endings(self.name, Redactor([key] if key is not None else []))
        self._shut = None

    async def _become_ready(self) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._options.startup_timeout
        while True:
            try:
                await self.check()
                await self.refresh_models()
            except LingmaError as error:
                # A wrong key stays wrong.
                is_hopeless = error.kind is ErrorKind.LOGIN_REQUIRED
                if is_hopeless or loop.time() + _START_PAUSE >= deadline:
                    raise
                await asyncio.sleep(_START_PAUSE)
            else:
                return

    async def check(self, within: float | None = None) -> None:
        """Ask the server whether it is well: `/health`, or its models if it has no such path.

        Args:
            within: seconds; `rpc_timeout` unless given.

        Raises:
            LingmaError: it is away, not ready, or does not answer in time.
        """
        seconds = self._options.rpc_timeout if within is None else within
        url = f"{self.address.root}/health"
        status, _ = await self._fetch(url, within=seconds, expected=_NO_HEALTH)
        if status in _NO_HEALTH:
            await self._get_models(seconds)

    async def refresh_models(self) -> Sequence[Model]:
        """Ask the server for its list now."""
        body = await self._get_models(self._options.rpc_timeout)
        try:
            self.models = read_models(body, self._options.model)
        except LingmaError as error:
            raise self._endings.named(error) from None
        return self.models

    async def raw_models(self) -> bytes:
        """Return the JSON of the server's list as it is.

        Raises:
            LingmaError: the server is away, or does not answer in time.
        """
        return await self._get_models(self._options.rpc_timeout)

    async def _get_models(self, within: float) -> bytes:
        _, body = await self._fetch(self.address.api("/models"), within=within)
        return body

    async def _is_reachable(self) -> bool:
        try:
            await self.check(_ALIVE_SECONDS)
        except LingmaError:
            return False
        return True

    # asks

    @contextlib.asynccontextmanager
    async def ask(self, request: ChatRequest) -> AsyncIterator[HttpAsk]:
        """Send `request`; leaving before the answer's end hangs up, which cancels it.

        Raises:
            LingmaError: the server is away, or refuses at once.
        """
        self._connections()
        body, notes = encode_request(request)
        options = self._options
        reader = AnswerReader(request, self._endings, self._new_id)
        ask = HttpAsk(
            partial(self._send, "POST", self.address.api("/chat/completions"), body),
            reader=reader,
            endings=self._endings,
            timeouts=AskTimeouts(
                first_event=options.first_event_timeout, idle=options.idle_timeout
            ),
            notes=notes,
            is_reachable=self._is_reachable,
        )
        try:
            await ask.send()
            yield ask
        finally:
            if ask.has_ended_well:
                self.reports_usage = reader.has_usage
            await ask.leave()

    # what is passed on as it is

    async def embed(self, body: Mapping[str, Any]) -> bytes:
        """Return the JSON that `/v1/embeddings` answers to `body`.

        Raises:
            LingmaError: the server is away, refuses, or does not answer in time; or the vectors are
                too many, which is the request's fault.
        """
        async with self._in_time(self._options.first_event_timeout):
            url, sent = self.address.api("/embeddings"), msgspec.json.encode(body)
            answer = await self._send("POST", url, sent)
            return await self._whole(answer, _MAX_VECTORS, ErrorKind.INVALID_REQUEST)

    @contextlib.asynccontextmanager
    async def complete(self, body: Mapping[str, Any]) -> AsyncIterator[RawAnswer]:
        """Send `body` to `/v1/completions`; the answer streams if `body` says so.

        Leaving before the end hangs up, which cancels it.

        Raises:
            LingmaError: on entering, when the server is away, refuses, or stays silent.
        """
        try:
            async with asyncio.timeout(self._options.first_event_timeout):
                answer = await self._send(
                    "POST", self.address.api("/completions"), msgspec.json.encode(body)
                )
        except TimeoutError:
            raise self._endings.failed("fell silent", ErrorKind.ENGINE_TIMEOUT) from None
        try:
            yield RawAnswer(answer, self._endings, self._options.idle_timeout)
        finally:
            answer.close()

    # inside

    def _connections(self) -> HttpPool:
        if self._pool is None:
            raise self._endings.failed("is not connected", ErrorKind.ENGINE_UNAVAILABLE)
        return self._pool

    async def _fetch(
        self, url: str, *, within: float, expected: Collection[int] = ()
    ) -> tuple[int, bytes]:
        """Return a status and a whole body; see `_send`."""
        async with self._in_time(within):
            answer = await self._send("GET", url, expected=expected)
            return answer.status, await self._whole(answer, MAX_BYTES)

    @contextlib.asynccontextmanager
    async def _in_time(self, seconds: float) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(seconds):
                yield
        except TimeoutError:
            raise self._endings.failed("did not answer in time", ErrorKind.ENGINE_TIMEOUT) from None

    async def _whole(
        self, answer: HttpAnswer, limit: int, fault: ErrorKind = ErrorKind.ENGINE_FAILED
    ) -> bytes:
        try:
            return await answer.read_all(limit, fault)
        except LingmaError as error:
            raise self._endings.named(error) from error
        finally:
            answer.close()

    async def _send(
        self, method: str, url: str, body: bytes | None = None, *, expected: Collection[int] = ()
    ) -> HttpAnswer:
        """Return an answer that the server gives gladly, or with one of the statuses expected."""
        headers = self._headers if body is None else {**self._headers, **_JSON}
        pool = self._connections()
        try:
            answer = await pool.send(method, url, headers=headers, body=body)
        except LingmaError as error:
            raise self._endings.named(error) from error
        if 200 <= answer.status < 300:
            # Anybody may look at some servers; whoever may ask has a key that is good.
            if method == "POST" or url == self._shut:
                self._shut = None
            return answer
        if answer.status in expected:
            return answer
        try:
            refusal = await self._refusal(answer)
        finally:
            answer.close()
        if refusal.kind is ErrorKind.LOGIN_REQUIRED:
            self._shut = url
        raise refusal

    async def _refusal(self, answer: HttpAnswer) -> LingmaError:
        if 300 <= answer.status < 400:
            return self._endings.failed(f"answered with a redirect: status {answer.status}")
        try:
            body = await answer.read_all(_MAX_REFUSAL)
        except LingmaError:
            # The status says enough.
            body = b""
        pause = answer.header("retry-after")
        said = read_refusal(answer.status, answer.content_type, body, retry_after=pause)
        return self._endings.error(said)


def _authorization(key: Secret | None) -> dict[str, str]:
    if key is None:
        return {}
    shown = key.reveal()
    if not shown.isascii() or not shown.isprintable() or " " in shown or not shown:
        raise LingmaError(ErrorKind.USAGE, "an engine's key may hold printable ASCII only")
    return {"authorization": f"Bearer {shown}"}


_: type[Engine] = OpenAiHttpEngine
