"""Connections to HTTP engines: the only module that knows aiohttp.

Measured by `python -m benchmarks.http_clients`: httpx costs many times as much for each request,
and more with each connection. Whatever aiohttp raises leaves here as a `LingmaError`.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Final, Self
from urllib.parse import urlsplit
from urllib.request import proxy_bypass_environment  # type: ignore[attr-defined]

import aiohttp

from lingma_cli import __version__
from lingma_cli.core.loopback import is_loopback
from lingma_cli.errors import ErrorKind, LingmaError

# quirk: llama.cpp closes kept connections whenever it is busy. That comes at once; who dies of a
# question has read it first.
_CLOSING_SECONDS: Final = 0.1
_AGENT: Final = f"lingma-cli/{__version__}"
# Seconds that the last bytes of a finished answer may take, so that its connection can be kept.
_DRAIN_SECONDS: Final = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolOptions:
    """Knobs of the pool; durations are seconds.

    Attributes:
        idle_timeout: how long a connection is kept for the next request.
        connect_timeout: how long name, TCP and TLS may take together.
        max_idle: how many connections are kept at most.
        tcp_keepalive: silence after which the kernel asks whether the other end lives.
        tls: what a server's certificate is checked against; `None` is the system's store.
    """

    idle_timeout: float = 50.0
    connect_timeout: float = 10.0
    max_idle: int = 500
    tcp_keepalive: float = 30.0
    tls: ssl.SSLContext | None = None


def proxy_for(url: str, environ: Mapping[str, str]) -> str | None:
    """Return the proxy that `environ` names for `url`; never one for this machine itself.

    Raises:
        LingmaError: it is none that speaks HTTP.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    if is_loopback(host):
        return None
    lowered = {name.lower(): value for name, value in environ.items() if value}
    if proxy_bypass_environment(parts.netloc, {"no": lowered.get("no_proxy", "")}):
        return None
    named = lowered.get(f"{parts.scheme}_proxy")
    if named is None or named.startswith(("http://", "https://")):
        return named
    if "://" in named:
        raise LingmaError(
            ErrorKind.USAGE,
            f"the proxy for `{host}` is no HTTP proxy",
            hint=f"name the host in `NO_PROXY`, or an HTTP proxy in `{parts.scheme.upper()}_PROXY`",
        )
    return f"http://{named}"


class HttpAnswer:
    """An answer whose head has come; whoever opened it closes it.

    Attributes:
        status: of HTTP.
        content_type: without parameters, lower case.
    """

    def __init__(self, response: aiohttp.ClientResponse, pool: HttpPool) -> None:
        self._response = response
        self._pool = pool
        self._is_closed = False
        self.status = response.status
        self.content_type = response.headers.get("content-type", "").partition(";")[0].lower()

    def header(self, name: str) -> str:
        """Return a header, empty when there is none."""
        return self._response.headers.get(name, "")

    async def read(self) -> bytes:
        """Wait for bytes and return all that are ready; none at the end.

        Raises:
            LingmaError: the connection broke, or was closed meanwhile.
        """
        content = self._response.content
        try:
            return await content.readany()
        except (aiohttp.ClientError, OSError) as error:
            # quirk: aiohttp passes over what had come before the break; the break comes next.
            if not self._is_closed and (rest := content._read_nowait(-1)):  # noqa: SLF001
                return rest
            raise LingmaError(ErrorKind.ENGINE_FAILED, "the server broke off its answer") from error

    async def read_all(self, limit: int, fault: ErrorKind = ErrorKind.ENGINE_FAILED) -> bytes:
        """Return the rest of the body.

        Args:
            limit: bytes that it may have.
            fault: what a longer one is.

        Raises:
            LingmaError: it is too long, or the connection broke.
        """
        body = bytearray()
        while ready := await self.read():
            body += ready
            if len(body) > limit:
                text = f"the server's answer is longer than {limit} bytes"
                raise LingmaError(fault, text, hint="ask for fewer things at a time")
        return bytes(body)

    async def finish(self) -> None:
        """Take the last bytes of an answer that has said all, and keep its connection."""
        try:
            async with asyncio.timeout(_DRAIN_SECONDS):
                while await self.read():
                    pass
        except (TimeoutError, LingmaError):
            pass
        finally:
            self.close()

    def close(self) -> None:
        """Hang up, unless the body has been read to its end; a waiting `read` fails."""
        self._is_closed = True
        self._pool.forget(self)
        self._response.close()


class HttpPool:
    """Connections to one server, kept for the next request; usable inside its `async with`.

    Args:
        options: see `PoolOptions`.
        proxy: the address of an HTTP proxy.
    """

    def __init__(self, options: PoolOptions, *, proxy: str | None = None) -> None:
        self._options = options
        self._proxy = proxy
        self._held = AsyncExitStack()
        self._open: set[HttpAnswer] = set()

    async def __aenter__(self) -> Self:
        self._kept = await self._held.enter_async_context(self._session(keep=True))
        self._single = await self._held.enter_async_context(self._session(keep=False))
        return self

    async def __aexit__(self, *_: object) -> None:
        for answer in list(self._open):
            answer.close()
        await self._held.aclose()

    def forget(self, answer: HttpAnswer) -> None:
        """Count `answer` no longer."""
        self._open.discard(answer)

    async def send(
        self, method: str, url: str, *, headers: Mapping[str, str], body: bytes | None = None
    ) -> HttpAnswer:
        """Send a request and wait for the head of its answer, however long that takes.

        What has a body is sent once, since nobody can tell whether a server that hangs up had read
        it; aiohttp itself repeats a GET when a kept connection turns out to be dead.

        Raises:
            LingmaError: nobody is there, a kept connection was closed just when it was wanted
                again (`ENGINE_UNAVAILABLE`), or what is there does not answer as HTTP.
        """
        # Never more connections are open to be kept than may be kept.
        session = self._kept if len(self._open) < self._options.max_idle else self._single
        # The loop hears of kept connections that were closed while it was busy: it looks in the
        # first of these passes, and takes note in the second.
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        way, clock = SimpleNamespace(is_kept=False), asyncio.get_running_loop().time
        began = clock()
        try:
            response = await session.request(
                method,
                url,
                headers=headers,
                data=body,
                allow_redirects=False,
                proxy=self._proxy,
                trace_request_ctx=way,
            )
        except (aiohttp.ClientError, OSError) as error:
            if way.is_kept and _is_closed(error) and clock() - began < _CLOSING_SECONDS:
                raise _unavailable("the server closed a connection that was to be kept") from error
            raise _mapped(error, url) from error
        answer = HttpAnswer(response, self)
        self._open.add(answer)
        return answer

    def _session(self, *, keep: bool) -> aiohttp.ClientSession:
        options = self._options
        traces = aiohttp.TraceConfig()
        traces.on_connection_reuseconn.append(_note_kept)
        kept: dict[str, Any] = {"keepalive_timeout": options.idle_timeout} if keep else {}
        connector = aiohttp.TCPConnector(
            limit=0,
            ssl=options.tls if options.tls is not None else True,
            force_close=not keep,
            socket_factory=self._socket,
            **kept,
        )
        return aiohttp.ClientSession(
            connector=connector,
            trace_configs=[traces],
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=options.connect_timeout),
            headers={"user-agent": _AGENT, "accept-encoding": "identity"},
            cookie_jar=aiohttp.DummyCookieJar(),
            # Else proxies and passwords of the environment would be taken without a word.
            trust_env=False,
        )

    def _socket(self, address: tuple[Any, ...]) -> socket.socket:
        made = socket.socket(*address[:3])
        made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        # Linux and Windows have the first name, macOS the second.
        name = getattr(socket, "TCP_KEEPIDLE", None) or getattr(socket, "TCP_KEEPALIVE", None)
        if name is not None:
            made.setsockopt(socket.IPPROTO_TCP, name, max(1, int(self._options.tcp_keepalive)))
        return made


async def _note_kept(
    _session: aiohttp.ClientSession,
    way: SimpleNamespace,
    _params: aiohttp.TraceConnectionReuseconnParams,
) -> None:
    way.trace_request_ctx.is_kept = True


def _is_closed(error: Exception) -> bool:
    """Tell whether the connection ended before any byte of an answer."""
    is_lost = isinstance(error, aiohttp.ServerDisconnectedError | aiohttp.ClientOSError)
    return is_lost and not isinstance(error, aiohttp.ClientConnectorError)


def _mapped(error: Exception, url: str) -> LingmaError:
    """Return the error to show; the library's own words name machines and files."""
    where = urlsplit(url).netloc
    match error:
        case aiohttp.ClientConnectorCertificateError() | aiohttp.ClientSSLError():
            return _unavailable(f"the certificate of `{where}` is not trusted")
        case aiohttp.ClientProxyConnectionError():
            return _unavailable(f"the proxy on the way to `{where}` cannot be reached")
        case aiohttp.ClientConnectorError():
            return _unavailable(f"cannot connect to `{where}`: {_reason(error.os_error)}")
        case aiohttp.ServerTimeoutError() | TimeoutError():
            return _unavailable(f"cannot connect to `{where}`: it does not answer")
        case aiohttp.ClientHttpProxyError():
            return _unavailable(f"the proxy on the way to `{where}` refused: {error.status}")
        case aiohttp.ServerDisconnectedError() | aiohttp.ClientOSError():
            text = "the server closed the connection before it answered"
        case aiohttp.ClientResponseError():
            text = "what the server sent is no HTTP"
        case _:
            text = f"the server could not be asked: {type(error).__name__}"
    return LingmaError(ErrorKind.ENGINE_FAILED, text)


def _unavailable(text: str) -> LingmaError:
    return LingmaError(ErrorKind.ENGINE_UNAVAILABLE, text)


def _reason(error: OSError) -> str:
    return (error.strerror or type(error).__name__).split("[")[0].strip().lower() or "refused"
