"""An https server on this machine that plays the Marketplace and the hosts of packages.

It can break off, lie about lengths, lead elsewhere, ignore ranges and wrap its bodies. With a proxy
beside it, it answers under any name, so that the program under test asks for the real hosts.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import select
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import StreamRequestHandler, ThreadingTCPServer
from typing import Any
from urllib.parse import urlsplit

import trustme

GALLERY = "marketplace.visualstudio.com"
ASSETS = "alibaba-cloud.gallery.vsassets.io"
CDN = "alibaba-cloud.gallerycdn.vsassets.io"
VENDOR = "tongyi-code.oss-cn-hangzhou.aliyuncs.com"
NAMES = ("localhost", "127.0.0.1", GALLERY, ASSETS, CDN, VENDOR, "mirror.test", "evil.test")
PACKAGES = "/_apis/public/gallery/publishers/Alibaba-Cloud/vsextensions/tongyi-lingma/"


@dataclass(frozen=True, kw_only=True)
class Request:
    """What a client asked."""

    method: str
    host: str
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What it gets: after `cut` bytes of the body the connection breaks off.

    A `length` of -1 announces none; any other number is announced instead of the true one.
    """

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    cut: int | None = None
    length: int | None = None


Answer = Callable[[Request], Reply]


def in_turn(*answers: Answer) -> Answer:
    """Answer each request in another way."""
    waiting = list(answers)

    def answer(request: Request) -> Reply:
        return waiting.pop(0)(request)

    return answer


def redirect(to: str, status: int = 302) -> Reply:
    """Lead to another address."""
    return Reply(status=status, headers={"location": to})


def file_reply(
    request: Request, content: bytes, *, tag: str = '"one"', cut: int | None = None
) -> Reply:
    """Serve `content` as a file server does: ranges, if the file is still the same, and tags."""
    headers = {"etag": tag, "accept-ranges": "bytes"}
    if tag and request.headers.get("if-none-match") == tag:
        return Reply(status=304, headers=headers)
    wanted = request.headers.get("range", "")
    if wanted and request.headers.get("if-range") == tag:
        start = int(wanted.removeprefix("bytes=").removesuffix("-"))
        if start >= len(content):
            return Reply(status=416, headers={"content-range": f"bytes */{len(content)}"})
        span = f"bytes {start}-{len(content) - 1}/{len(content)}"
        headers["content-range"] = span
        return Reply(status=206, headers=headers, body=content[start:], cut=cut)
    return Reply(headers=headers, body=content, cut=cut)


@dataclass
class HttpsServer:
    """A running server; `answer` may be replaced at any time.

    Attributes:
        port: where it listens, on this machine only.
        authority: the file with the certificate to trust.
        trust: a context that trusts it.
        proxy: the address of a proxy that brings every https host here.
    """

    port: int
    authority: Path
    trust: ssl.SSLContext
    proxy: str
    answer: Answer
    requests: list[Request] = field(default_factory=list)

    def url(self, path: str, host: str = "localhost") -> str:
        """Return an address on this server."""
        return f"https://{host}:{self.port}{path}"

    def environment(self) -> dict[str, str]:
        """Return what makes a program trust it and reach it under every name."""
        return {"SSL_CERT_FILE": str(self.authority), "HTTPS_PROXY": self.proxy}


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, context: ssl.SSLContext) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self._context = context
        self.heard: Callable[[Request], Reply] = lambda _request: Reply(status=404)

    def get_request(self) -> tuple[socket.socket, Any]:
        plain, address = super().get_request()
        # The handshake happens in the thread of the connection.
        return (
            self._context.wrap_socket(plain, server_side=True, do_handshake_on_connect=False),
            address,
        )

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that leaves is no error here."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name there
        """Say nothing."""

    def _serve(self) -> None:
        length = int(self.headers.get("content-length", "0"))
        request = Request(
            method=self.command,
            host=self.headers.get("host", "").partition(":")[0],
            path=self.path,
            headers={name.lower(): value for name, value in self.headers.items()},
            body=self.rfile.read(length),
        )
        reply = self.server.heard(request)
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        announced = len(reply.body) if reply.length is None else reply.length
        if announced >= 0 and reply.status != 304:
            self.send_header("content-length", str(announced))
        self.send_header("connection", "close")
        self.end_headers()
        self.wfile.write(reply.body if reply.cut is None else reply.body[: reply.cut])
        self.close_connection = True

    do_GET = do_POST = _serve  # noqa: N815 - the names that the base class looks for


class _Proxy(ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, target: int) -> None:
        super().__init__(("127.0.0.1", 0), _Tunnel)
        self.target = target

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that leaves is no error here."""


class _Tunnel(StreamRequestHandler):
    server: _Proxy

    def handle(self) -> None:
        while self.rfile.readline().strip():
            pass
        with socket.create_connection(("127.0.0.1", self.server.target)) as upstream:
            self.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            ends = {self.connection: upstream, upstream: self.connection}
            while True:
                for end in select.select(list(ends), [], [])[0]:
                    piece = end.recv(65536)
                    if not piece:
                        return
                    ends[end].sendall(piece)


@contextlib.contextmanager
def https_server(folder: Path, answer: Answer) -> Iterator[HttpsServer]:
    """Run a server for this context; its certificates lie in `folder`."""
    authority = trustme.CA()
    file = folder / "authority.pem"
    authority.cert_pem.write_to_path(file)
    own = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*NAMES).configure_cert(own)
    trust = ssl.create_default_context(cafile=str(file))
    with _Server(own) as server, _Proxy(server.server_address[1]) as proxy:
        running = HttpsServer(
            port=server.server_address[1],
            authority=file,
            trust=trust,
            proxy=f"http://127.0.0.1:{proxy.server_address[1]}",
            answer=answer,
        )

        def heard(request: Request) -> Reply:
            running.requests.append(request)
            return running.answer(request)

        server.heard = heard
        threads = [
            threading.Thread(target=one.serve_forever, args=(0.02,)) for one in (server, proxy)
        ]
        for thread in threads:
            thread.start()
        try:
            yield running
        finally:
            server.shutdown()
            proxy.shutdown()
            for thread in threads:
                thread.join()


@dataclass
class Shop:
    """The Marketplace with the packages it lists; call it to have a request answered.

    Attributes:
        packages: version to package.
        wrap: whether bodies come wrapped in gzip, as the real one's sometimes do.
        broken: statuses instead of packages at the first form of the address.
        cuts: where the next bodies break off, one after the other.
        tag: of all packages.
    """

    packages: dict[str, bytes] = field(default_factory=dict)
    wrap: bool = False
    broken: int = 0
    cuts: list[int] = field(default_factory=list)
    tag: str = '"one"'

    def __call__(self, request: Request) -> Reply:
        path = urlsplit(request.path).path
        if request.method == "POST" and path.endswith("/extensionquery"):
            return Reply(body=self._listing())
        if self.broken and path.endswith("/vspackage"):
            return Reply(status=self.broken)
        version = next((part for part in path.split("/") if part in self.packages), "")
        if path.endswith(".vsix"):
            version = list(self.packages)[-1]
        if not version:
            return Reply(status=404)
        content = self.packages[version]
        if self.wrap:
            content = gzip.compress(content, mtime=0)
        return file_reply(
            request, content, tag=self.tag, cut=self.cuts.pop(0) if self.cuts else None
        )

    def _listing(self) -> bytes:
        versions = [{"version": version, "flags": "validated"} for version in self.packages]
        extension = {"extensionName": "tongyi-lingma", "versions": versions}
        return json.dumps({"results": [{"extensions": [extension]}]}).encode()
