"""Downloads, against a real https server on this machine that breaks, lies and leads elsewhere."""

from __future__ import annotations

import gzip
import ssl
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.install.fetch import Download, Fetcher, FetchLimits
from lingma_cli.install.hosts import Host
from tests.support.marketplace import (
    HttpsServer,
    Reply,
    Request,
    file_reply,
    https_server,
    in_turn,
    redirect,
)

CONTENT = Random(7).randbytes(50_000)
LIMITS = FetchLimits(size=100_000, connect=5.0, read=5.0)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HttpsServer]:
    """One server for all; each test sets its answer."""
    with https_server(tmp_path_factory.mktemp("server"), lambda _request: Reply(status=404)) as one:
        yield one


class Bench:
    """A fetcher with its folder, and what it told."""

    def __init__(self, server: HttpsServer, folder: Path, limits: FetchLimits = LIMITS) -> None:
        self.server = server
        self.folder = folder / "downloads"
        self.pauses: list[float] = []
        self.progress: list[tuple[int, int | None]] = []
        server.requests.clear()
        self.fetcher = Fetcher(
            hosts={Host("localhost", server.port)},
            tls=server.trust,
            pause=self.pauses.append,
            limits=limits,
        )

    def get(self, path: str = "/a.vsix", *, known_tag: str = "") -> Download | None:
        return self.fetcher.download(
            self.server.url(path),
            self.folder,
            on_progress=lambda done, total: self.progress.append((done, total)),
            known_tag=known_tag,
        )

    def content(self) -> bytes:
        download = self.get()
        assert download is not None
        return download.path.read_bytes()

    def left(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir()) if self.folder.exists() else []


@pytest.fixture
def bench(server: HttpsServer, tmp_path: Path) -> Bench:
    """With the usual limits."""
    return Bench(server, tmp_path)


def test_a_file_is_downloaded(bench: Bench) -> None:
    """Whole, with its tag; progress ends at its size."""
    bench.server.answer = lambda request: file_reply(request, CONTENT)
    download = bench.get()

    assert download is not None
    assert (download.path.read_bytes(), download.tag) == (CONTENT, '"one"')
    assert bench.progress[0] == (0, len(CONTENT))
    assert bench.progress[-1] == (len(CONTENT), len(CONTENT))


def test_what_is_known_is_not_repeated(bench: Bench) -> None:
    """The server is asked whether it has changed."""
    bench.server.answer = lambda request: file_reply(request, CONTENT)

    assert bench.get(known_tag='"one"') is None
    assert bench.get(known_tag='"older"') is not None


@pytest.mark.parametrize("offset", [0, 1, 2, 999, 16384, 25_000, 49_998, 49_999])
def test_it_goes_on_where_it_broke_off(bench: Bench, offset: int) -> None:
    """From that byte, if the server confirms that the file is the same."""
    cuts = [offset]
    bench.server.answer = lambda request: file_reply(
        request, CONTENT, cut=cuts.pop() if cuts else None
    )

    assert bench.content() == CONTENT
    ranges = [request.headers.get("range") for request in bench.server.requests]
    assert ranges == [None, f"bytes={offset}-" if offset else None]


def test_many_cuts_in_a_row(bench: Bench) -> None:
    """As long as each try brings something."""
    bench.server.answer = lambda request: file_reply(request, CONTENT, cut=1_300)

    assert bench.content() == CONTENT
    assert len(bench.server.requests) == 39


def test_another_run_goes_on(bench: Bench, tmp_path: Path) -> None:
    """Tries end when nothing comes any more; what came stays for the next command."""
    cuts = [20_000, *[0] * 9]
    bench.server.answer = lambda request: file_reply(request, CONTENT, cut=cuts.pop(0))
    with pytest.raises(LingmaError, match="cannot be had") as failure:
        bench.get()
    assert "goes on where it stopped" in failure.value.advice
    assert len(bench.pauses) < 10

    again = Bench(bench.server, tmp_path)
    again.server.answer = lambda request: file_reply(request, CONTENT)
    assert again.content() == CONTENT
    assert [request.headers["range"] for request in again.server.requests] == ["bytes=20000-"]


def test_a_server_that_ignores_ranges(bench: Bench) -> None:
    """Begins anew, and the file is right."""
    cuts = [30_000]
    bench.server.answer = lambda _request: Reply(
        headers={"etag": '"one"'}, body=CONTENT, cut=cuts.pop() if cuts else None
    )

    assert bench.content() == CONTENT


def test_a_file_that_has_changed_meanwhile(bench: Bench) -> None:
    """Is taken as it is now; the halves are not mixed."""
    changed = Random(8).randbytes(40_000)
    bench.server.answer = in_turn(
        lambda request: file_reply(request, CONTENT, cut=30_000),
        lambda request: file_reply(request, changed, tag='"two"'),
    )

    assert bench.content() == changed


@pytest.mark.parametrize("headers", [{}, {"etag": 'W/"one"'}], ids=["none", "weak"])
def test_without_a_validator_nothing_is_continued(bench: Bench, headers: dict[str, str]) -> None:
    """Nobody could tell whether the rest belongs to it."""
    cuts = [30_000]
    bench.server.answer = lambda _request: Reply(
        headers=headers, body=CONTENT, cut=cuts.pop() if cuts else None
    )

    assert bench.content() == CONTENT
    assert ["range" in request.headers for request in bench.server.requests] == [False, False]


@pytest.mark.parametrize(
    "span", ["bytes 0-49999/50000", "bytes 30001-49999/50000", "bytes 30000-49999/60000", "x", ""]
)
def test_a_wrong_range_is_not_believed(bench: Bench, span: str) -> None:
    """It begins anew instead."""
    bench.server.answer = in_turn(
        lambda request: file_reply(request, CONTENT, cut=30_000),
        lambda _request: Reply(status=206, headers={"content-range": span}, body=bytes(9_000)),
        lambda request: file_reply(request, CONTENT),
    )

    assert bench.content() == CONTENT


def test_a_rest_in_pieces(bench: Bench) -> None:
    """A server may give less than the rest: then the rest of that is asked for."""
    bench.server.answer = in_turn(
        lambda request: file_reply(request, CONTENT, cut=30_000),
        lambda _request: Reply(
            status=206,
            headers={"content-range": "bytes 30000-39999/50000", "etag": '"one"'},
            body=CONTENT[30_000:40_000],
        ),
        lambda request: file_reply(request, CONTENT),
    )

    assert bench.content() == CONTENT
    assert bench.server.requests[-1].headers["range"] == "bytes=40000-"


def test_a_file_that_became_shorter(bench: Bench) -> None:
    """Answered with 416: it begins anew."""
    bench.server.answer = in_turn(
        lambda request: file_reply(request, CONTENT, cut=30_000),
        lambda _request: Reply(status=416, headers={"content-range": "bytes */9"}),
        lambda request: file_reply(request, CONTENT[:9], tag='"two"'),
    )

    assert bench.content() == CONTENT[:9]


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_a_busy_server_is_asked_again(bench: Bench, status: int) -> None:
    """After a pause that grows."""
    replies = [Reply(status=status), Reply(status=status)]
    bench.server.answer = lambda request: replies.pop() if replies else file_reply(request, CONTENT)

    assert bench.content() == CONTENT
    assert bench.pauses == sorted(bench.pauses)
    assert len(bench.pauses) == 2


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410])
def test_a_refusal_is_final(bench: Bench, status: int) -> None:
    """One request, an error that names the status, nothing on disk."""
    bench.server.answer = lambda _request: Reply(status=status)

    with pytest.raises(LingmaError, match=f"status {status}"):
        bench.get("/a.vsix?token=hush")
    assert len(bench.server.requests) == 1
    assert bench.left() == []


def test_redirects_are_followed(bench: Bench) -> None:
    """Five of them, to allowed hosts, relative ones too."""

    def answer(request: Request) -> Reply:
        step = int(request.path.strip("/a.vsix") or 0)
        return redirect(f"/{step + 1}") if step < 5 else file_reply(request, CONTENT)

    bench.server.answer = answer
    assert bench.content() == CONTENT


def test_six_redirects_are_too_many(bench: Bench) -> None:
    """However they are told apart."""
    bench.server.answer = lambda request: redirect(f"{request.path}x")

    with pytest.raises(LingmaError, match="more than 5 times"):
        bench.get()
    assert len(bench.server.requests) == 6


@pytest.mark.parametrize(
    "target",
    [
        "http://localhost:{port}/a.vsix",
        "https://127.0.0.1:{port}/a.vsix",
        "https://evil.test:{port}/a.vsix",
        "https://localhost:1/a.vsix",
        "https://localhost/a.vsix",
        "https://user:hush@localhost:{port}/a.vsix",
        "https://localhost:{port}@evil.test/a.vsix",
        "//evil.test/a.vsix",
        "ftp://localhost:{port}/a.vsix",
        "file:///etc/passwd",
    ],
)
def test_it_leads_nowhere_else(bench: Bench, target: str) -> None:
    """Neither to plain http, nor to another host or port, nor with a login."""
    bench.server.answer = lambda request: (
        redirect(target.format(port=bench.server.port))
        if request.path == "/start"
        else file_reply(request, CONTENT)
    )

    with pytest.raises(LingmaError, match="refused") as failure:
        bench.get("/start")
    assert failure.value.kind is ErrorKind.INSTALL_FAILED
    assert "hush" not in failure.value.advice
    assert [request.path for request in bench.server.requests] == ["/start"]
    assert bench.left() == []


def test_an_address_that_cannot_be_read(bench: Bench) -> None:
    """Leads nowhere."""
    bench.server.answer = lambda _request: redirect("https://[::1")

    with pytest.raises(LingmaError):
        bench.get()
    assert bench.left() == []


def test_the_first_address_is_looked_at_too(bench: Bench) -> None:
    """Nobody is asked who is not allowed."""
    for url in (
        f"http://localhost:{bench.server.port}/a",
        f"https://127.0.0.1:{bench.server.port}/a",
    ):
        with pytest.raises(LingmaError, match="refused"):
            bench.fetcher.download(url, bench.folder, on_progress=lambda _done, _total: None)
    assert bench.server.requests == []


@pytest.mark.parametrize(
    "reply",
    [
        Reply(body=bytes(100_001)),
        Reply(body=b"1", length=100_001),
        Reply(body=bytes(100_001), length=-1),
    ],
    ids=["too long", "says so", "does not say"],
)
def test_a_body_has_a_limit(bench: Bench, reply: Reply) -> None:
    """Whether it is announced or not; nothing of it stays."""
    bench.server.answer = lambda _request: reply

    with pytest.raises(LingmaError, match="larger than"):
        bench.get()
    assert bench.left() == []


def test_a_rest_that_is_longer_than_the_file(bench: Bench) -> None:
    """Is refused, and nothing of it stays."""
    bench.server.answer = in_turn(
        lambda request: file_reply(request, CONTENT, cut=30_000),
        lambda _request: Reply(
            status=206,
            headers={"content-range": "bytes 30000-49999/50000"},
            body=CONTENT[30_000:] + b"more",
        ),
    )

    with pytest.raises(LingmaError, match="larger than"):
        bench.get()
    assert bench.left() == []


def test_a_body_that_is_shorter_than_announced(bench: Bench) -> None:
    """Is no file: nothing is returned."""
    bench.server.answer = lambda _request: Reply(body=CONTENT, length=len(CONTENT) + 5)

    with pytest.raises(LingmaError, match="cannot be had"):
        bench.get()


def test_wrapped_bodies_are_left_wrapped(bench: Bench) -> None:
    """Ranges count their bytes; who reads the package undoes it."""
    body = gzip.compress(CONTENT)
    cuts = [1_000]

    def answer(request: Request) -> Reply:
        reply = file_reply(request, body, cut=cuts.pop() if cuts else None)
        return Reply(
            status=reply.status,
            headers={**reply.headers, "content-encoding": "gzip"},
            body=reply.body,
            cut=reply.cut,
        )

    bench.server.answer = answer
    assert bench.content() == body
    assert {request.headers["accept-encoding"] for request in bench.server.requests} == {"identity"}


def test_who_is_not_trusted_is_not_asked(server: HttpsServer, tmp_path: Path) -> None:
    """With a hint for those behind a company's proxy; it is not tried again."""
    bench = Bench(server, tmp_path)
    bench.fetcher = Fetcher(
        hosts={Host("localhost", server.port)},
        tls=ssl.create_default_context(),
        pause=bench.pauses.append,
        limits=LIMITS,
    )

    with pytest.raises(LingmaError, match="not trusted") as failure:
        bench.get()
    assert "SSL_CERT_FILE" in failure.value.advice
    assert (bench.pauses, bench.server.requests) == ([], [])


@pytest.mark.parametrize("body", [b'{"a": 1}', gzip.compress(b'{"a": 1}')], ids=["plain", "gzip"])
def test_questions_are_asked_and_answered(bench: Bench, body: bytes) -> None:
    """As JSON; a wrapping that nobody asked for is undone."""
    bench.server.answer = lambda _request: Reply(body=body)

    answer = bench.fetcher.post(bench.server.url("/q"), b"{}", accept="a/b")
    assert answer == b'{"a": 1}'
    (request,) = bench.server.requests
    assert (request.method, request.body, request.headers["accept"]) == ("POST", b"{}", "a/b")


@pytest.mark.parametrize(
    ("reply", "tries"), [(Reply(status=503), 4), (Reply(status=404), 1), (redirect("/other"), 1)]
)
def test_a_question_without_an_answer(bench: Bench, reply: Reply, tries: int) -> None:
    """Is an error; questions are not led elsewhere."""
    bench.server.answer = lambda _request: reply

    with pytest.raises(LingmaError):
        bench.fetcher.post(bench.server.url("/q"), b"{}", accept="a/b")
    assert len(bench.server.requests) == tries


def test_nobody_listens(bench: Bench) -> None:
    """Some tries, then an error."""
    with pytest.raises(LingmaError, match="cannot be had"):
        Fetcher(
            hosts={Host("localhost", 1)},
            tls=bench.server.trust,
            pause=bench.pauses.append,
            limits=LIMITS,
        ).download("https://localhost:1/a", bench.folder, on_progress=lambda _done, _total: None)
    assert len(bench.pauses) == 3
