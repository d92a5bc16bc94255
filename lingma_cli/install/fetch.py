"""Downloads over https, from allowed hosts only, that go on where they broke off.

Every hop of a redirect is looked at before it is followed. Bodies are taken as they are sent:
whatever is wrapped around a package stays for its reader. Sources: RFC 9110, sections 13.1.5
(`If-Range`), 14.2 (`Range`) and 15.4 (redirects). Besides `client` the only one that knows httpx.
"""

from __future__ import annotations

import os
import re
import ssl
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx

from lingma_cli import __version__
from lingma_cli.core.loopback import is_loopback
from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.install.hosts import HTTPS_PORT, Host, shown
from lingma_cli.install.part import Part

OnProgress = Callable[[int, int | None], None]

_ANSWER_BYTES: Final = 16 * 1024 * 1024
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_RANGE: Final = re.compile(r"bytes (\d{1,15})-\d{1,15}/(\d{1,15})")
_LONGEST_PAUSE: Final = 8.0


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchLimits:
    """How far a download may go.

    Attributes:
        size: bytes of a body.
        redirects: hops after the first address.
        idle_tries: tries in a row that bring nothing new.
        tries: tries altogether.
        connect: seconds until a connection must stand.
        read: seconds of silence.
    """

    size: int = 512 * 1024 * 1024
    redirects: int = 5
    idle_tries: int = 4
    tries: int = 100
    connect: float = 15.0
    read: float = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Download:
    """A complete body; `tag` is the server's name for this state of it, empty for none."""

    path: Path
    tag: str


class _CutError(Exception):
    """The transfer broke off in a way that another try may mend."""


def system_trust() -> ssl.SSLContext:
    """Return what this machine trusts; `SSL_CERT_FILE` and `SSL_CERT_DIR` replace it."""
    context = ssl.create_default_context()
    if not (os.environ.get("SSL_CERT_FILE") or os.environ.get("SSL_CERT_DIR")):
        # Some Python installations come without a store of their own.
        import certifi  # noqa: PLC0415 - not needed otherwise

        context.load_verify_locations(certifi.where())
    return context


class Fetcher:
    """Downloads from `hosts`.

    Args:
        hosts: the only ones that are asked.
        tls: whom to trust.
        pause: waits for that many seconds between tries.
        limits: how far a download may go.
    """

    def __init__(
        self,
        *,
        hosts: Collection[Host],
        tls: ssl.SSLContext,
        pause: Callable[[float], None],
        limits: FetchLimits,
    ) -> None:
        self._hosts = frozenset(hosts)
        self._tls = tls
        self._pause = pause
        self._limits = limits

    def post(self, url: str, body: bytes, *, accept: str) -> bytes:
        """Send a JSON question and return its answer.

        Raises:
            LingmaError: there is none.
        """
        headers = {"accept": accept, "content-type": "application/json"}
        for left in reversed(range(self._limits.idle_tries)):
            try:
                with self._opened("POST", _parsed(url), headers, body) as response:
                    self._check_status(response, url)
                    return self._whole(response)
            except _CutError as cut:
                if not left:
                    raise _broken_off(url, cut) from cut
                self._pause(self._wait(self._limits.idle_tries - left))
        raise AssertionError("the last try returns or raises")

    def download(
        self, url: str, folder: Path, *, on_progress: OnProgress, known_tag: str = ""
    ) -> Download | None:
        """Get `url` into a file below `folder`, or return `None` if it is what `known_tag` names.

        Args:
            url: the address.
            folder: where a broken download waits for the next try, in this run or another.
            on_progress: told the bytes so far and, if known, of how many.
            known_tag: the `tag` of a download that need not be repeated.

        Raises:
            LingmaError: it cannot be had, or it is refused; then nothing of it stays. After too
                many breaks what has arrived stays.
        """
        part, idle = Part(folder, url), 0
        for _ in range(self._limits.tries):
            before = part.size
            try:
                is_new = self._transfer(url, part, on_progress, known_tag)
            except _CutError as cut:
                last = cut
                idle = 0 if part.size > before else idle + 1
                if idle >= self._limits.idle_tries:
                    break
                self._pause(self._wait(idle))
            except LingmaError:
                part.discard()
                raise
            else:
                return is_new
        raise _broken_off(url, last) from last

    def _transfer(
        self, url: str, part: Part, on_progress: OnProgress, known_tag: str
    ) -> Download | None:
        headers = {"accept": "*/*"}
        if part.size and part.validator:
            headers |= {"range": f"bytes={part.size}-", "if-range": part.validator}
        elif known_tag:
            headers["if-none-match"] = known_tag
        with self._response(url, headers) as response:
            if response.status_code == 304 and "if-none-match" in headers:
                return None
            self._begin(response, part, url)
            self._take(response, part, on_progress)
            tag = response.headers.get("etag", "")
        if part.total is not None and part.size < part.total:
            raise _CutError("it ended early")
        return Download(path=part.path, tag=tag)

    def _begin(self, response: httpx.Response, part: Part, url: str) -> None:
        """Take the answer's head: go on with what is there, or start anew."""
        if response.status_code == 206:
            found = _RANGE.fullmatch(response.headers.get("content-range", ""))
            start, total = (int(found[1]), int(found[2])) if found else (-1, -1)
            if start != part.size or total != (part.total or total):
                part.discard()
                raise _CutError("the server went on at another place")
            part.total = total
        elif response.status_code == 416:
            part.discard()
            raise _CutError("the server has less than it had")
        else:
            self._check_status(response, url)
            length = response.headers.get("content-length", "")
            size = int(length) if length.isdecimal() else None
            if size is not None and size > self._limits.size:
                raise self._too_large()
            part.restart(_validator(response), size)

    def _take(self, response: httpx.Response, part: Part, on_progress: OnProgress) -> None:
        most = self._limits.size if part.total is None else min(self._limits.size, part.total)
        on_progress(part.size, part.total)
        with _mapped():
            # Raw: a gzip around it belongs to the bytes that ranges count. In pieces as they come:
            # what has arrived before a break is not lost.
            for piece in response.iter_raw():
                if part.size + len(piece) > most:
                    raise self._too_large()
                part.add(piece)
                on_progress(part.size, part.total)

    def _check_status(self, response: httpx.Response, url: str) -> None:
        status = response.status_code
        if status == 429 or status >= 500:
            raise _CutError(f"it answered with status {status}")
        if status != 200:
            raise LingmaError(
                ErrorKind.INSTALL_FAILED,
                f"`{shown(url)}` answered with status {status}",
                hint="check the source with `lingma config show --origin`",
            )

    def _whole(self, response: httpx.Response) -> bytes:
        body = b""
        with _mapped():
            for piece in response.iter_raw():
                body += piece
                if len(body) > _ANSWER_BYTES:
                    raise self._too_large()
        # quirk: some of the Marketplace's answers are wrapped although no wrapping was asked for.
        return _unwrapped(body) if body.startswith(b"\x1f\x8b") else body

    def _too_large(self) -> LingmaError:
        return LingmaError(
            ErrorKind.INSTALL_FAILED, "the download is refused: it is larger than it may be or says"
        )

    @contextmanager
    def _response(self, url: str, headers: Mapping[str, str]) -> Iterator[httpx.Response]:
        """Follow redirects and hold the last answer."""
        target = _parsed(url)
        for _ in range(self._limits.redirects + 1):
            with self._opened("GET", target, headers) as response:
                location = response.headers.get("location", "")
                if response.status_code not in _REDIRECTS or not location:
                    yield response
                    return
            target = _parsed(location, target)
        raise _refused(f"it leads on more than {self._limits.redirects} times")

    @contextmanager
    def _opened(
        self, method: str, url: httpx.URL, headers: Mapping[str, str], body: bytes | None = None
    ) -> Iterator[httpx.Response]:
        self._check(url)
        own = {"user-agent": f"lingma-cli/{__version__}", "accept-encoding": "identity"}
        with self._client(url) as client:
            request = client.build_request(method, url, headers={**own, **headers}, content=body)
            with _mapped():
                response = client.send(request, stream=True)
            try:
                yield response
            finally:
                response.close()

    def _check(self, url: httpx.URL) -> None:
        if url.scheme != "https":
            raise _refused(f"`{shown(str(url))}` is no https address")
        if url.userinfo or Host(url.host.lower(), url.port or HTTPS_PORT) not in self._hosts:
            raise _refused(f"`{url.host}` is not among the hosts that it may come from")

    def _client(self, url: httpx.URL) -> httpx.Client:
        limits = self._limits
        try:
            # A proxy of the environment is for the internet, not for this machine.
            return httpx.Client(
                verify=self._tls,
                trust_env=not is_loopback(url.host),
                timeout=httpx.Timeout(limits.read, connect=limits.connect),
            )
        except (ImportError, ValueError, httpx.InvalidURL) as error:
            raise LingmaError(
                ErrorKind.USAGE,
                "the proxy that the environment names cannot be used",
                hint="check `HTTPS_PROXY` and `ALL_PROXY`: http:// and https:// proxies work",
            ) from error

    def _wait(self, idle: int) -> float:
        return float(min(_LONGEST_PAUSE, 0.25 * 2**idle))


def _unwrapped(body: bytes) -> bytes:
    try:
        return zlib.decompressobj(wbits=31).decompress(body, _ANSWER_BYTES)
    except zlib.error:
        return b""


def _parsed(url: str, base: httpx.URL | None = None) -> httpx.URL:
    try:
        return base.join(url) if base is not None else httpx.URL(url)
    except (httpx.InvalidURL, ValueError) as error:
        raise _refused("its address cannot be read") from error


def _validator(response: httpx.Response) -> str:
    """Return what names this very file: a strong `ETag`, else the date of its last change."""
    tag = response.headers.get("etag", "")
    if tag.startswith('"'):
        return str(tag)
    return str(response.headers.get("last-modified", ""))


@contextmanager
def _mapped() -> Iterator[None]:
    try:
        yield
    except httpx.TransportError as error:
        if _is_distrust(error):
            raise LingmaError(
                ErrorKind.INSTALL_FAILED,
                "the server's certificate is not trusted",
                hint="behind a company's proxy, name its certificates in `SSL_CERT_FILE`",
            ) from error
        raise _CutError(str(error) or type(error).__name__) from error
    except httpx.HTTPError as error:
        raise _CutError(type(error).__name__) from error


def _is_distrust(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return True
        error = error.__cause__ or error.__context__
    return False


def _refused(reason: str) -> LingmaError:
    return LingmaError(
        ErrorKind.INSTALL_FAILED,
        f"the download is refused: {reason}",
        hint="a mirror of your own can be named: `lingma engine install --url URL`",
    )


def _broken_off(url: str, cut: _CutError) -> LingmaError:
    return LingmaError(
        ErrorKind.INSTALL_FAILED,
        f"`{shown(url)}` cannot be had: {cut}",
        hint="run it again: a download goes on where it stopped",
    )
