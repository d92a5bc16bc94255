"""The doors in front of a tiny app, spoken to in raw bytes over real sockets."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from lingma_cli.auth.keys import KeyRing, Tier
from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.logs import request_id
from lingma_cli.secret import Secret
from lingma_cli.server.doors import HostGuard, KeyGuard, RequestIds
from lingma_cli.server.guarded_http import guarded_protocol
from lingma_cli.server.replies import send_error, send_json
from tests.support.raw_http import WAIT_SECONDS, Answer, Echo, ask, listening

API = "lgm-an-api-key-of-some-length"
ADMIN = "lga-an-admin-token-of-some-length"
METRICS = "a-metrics-token-of-some-length"
TIERS = {"/none": Tier.NONE, "/api": Tier.API, "/metrics": Tier.METRICS, "/admin": Tier.ADMIN}

Address = tuple[str, int]


def serving(app: ASGIApp) -> AbstractContextManager[Address]:
    protocol = guarded_protocol(head_timeout=WAIT_SECONDS, max_connections=20)
    return listening(app, protocol)


def http(path: str, *headers: str | bytes, method: str = "GET", host: str = "localhost") -> bytes:
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", *headers, "", ""]
    return b"\r\n".join(line if isinstance(line, bytes) else line.encode() for line in lines)


# Hosts


@pytest.fixture(scope="module")
def guarded() -> Iterator[Address]:
    hosts = ("box.example", "lan.example:8317", "[fd00::1]", "192.168.1.5")
    with serving(HostGuard(Echo(), hosts)) as address:
        yield address


GOOD_HOSTS = [
    "localhost",
    "LocalHost",
    "localhost:0",
    "localhost:1",
    "localhost:8317",
    "localhost:65535",
    "127.0.0.1",
    "127.0.0.1:80",
    "127.0.0.2:80",
    "127.255.255.254",
    "[::1]",
    "[::1]:8317",
    "box.example",
    "BOX.example:1234",
    "lan.example:8317",
    "[fd00::1]:9",
    "[FD00::1]",
    "192.168.1.5:8317",
]
BAD_HOSTS = [
    "",
    "evil.example",
    "evil.example:8317",
    "localhost.",
    "localhost.:8317",
    "localhost.evil.example",
    "evil.localhost",
    "localhost:",
    "localhost:65536",
    "localhost:99999999999999999999",
    "localhost:-1",
    "localhost:+1",
    "localhost:080",
    "localhost:8317x",
    "localhost:0x50",
    "localhost:80:80",
    "localhost: 80",
    "localhost :80",
    "local host",
    "localhost,evil.example",
    "localhost, localhost",
    "localhost;a",
    "localhost/",
    "localhost/evil.example",
    "localhost?a",
    "localhost#a",
    "localhost\\evil.example",
    "localhost%00",
    "localhost%2eevil.example",
    "user@localhost",
    "evil.example@localhost",
    "localhost@evil.example",
    "user:pass@localhost:8317",
    "http://localhost",
    "//localhost",
    ".localhost",
    "-localhost",
    "*",
    "*.example",
    "127.0.0.1.",
    "127.0.0.256",
    "127.1",
    "127.0.0.01",
    "0127.0.0.1",
    "2130706433",
    "0x7f000001",
    "0.0.0.0",
    "127.0.0.1.evil.example",
    "127.0.0.1,",
    "::1",
    "[::1",
    "::1]",
    "[::1]x",
    "[::1]:",
    "[::1]:65536",
    "[::1%25lo]",
    "[::]",
    "[0:0:0:0:0:0:0:1]",
    "[::ffff:127.0.0.1]",
    "[localhost]",
    "[127.0.0.1]",
    "box.example.",
    "xbox.example",
    "box.example.evil.example",
    "box-example",
    "lan.example",
    "lan.example:8318",
    "lan.example:83170",
    "192.168.1.50",
    '"localhost"',
    "localhost\t:80",
    "a" * 300,
]


@pytest.mark.parametrize("host", GOOD_HOSTS)
def test_own_names_are_served(guarded: Address, host: str) -> None:
    """Loopback names with any port, and the names that the user has allowed."""
    assert ask(guarded, http("/", host=host)).status == 200


@pytest.mark.parametrize("host", BAD_HOSTS)
def test_other_names_are_misdirected(guarded: Address, host: str) -> None:
    """Whatever is not exactly one of them gets 421, on any path."""
    answer = ask(guarded, http("/healthz", host=host))

    assert answer.status == 421
    assert answer.error["code"] == "misdirected"
    assert answer.header("x-should-retry") == ["false"]


def test_exactly_one_host(guarded: Address) -> None:
    """No `Host` and two of them are refused, also if both are fine."""
    for lines in ((), ("Host: localhost", "Host: localhost"), ("Host: localhost", "Host: evil")):
        request = "\r\n".join(["GET / HTTP/1.1", *lines, "", ""]).encode()
        assert ask(guarded, request).status == 421


def test_forwarded_headers_do_not_name_the_host(guarded: Address) -> None:
    """Only `Host` counts."""
    forwarded = ("X-Forwarded-Host: localhost", "Forwarded: host=localhost")

    assert ask(guarded, http("/", *forwarded, host="evil.example")).status == 421
    assert ask(guarded, http("/", "X-Forwarded-Host: evil.example")).status == 200


@pytest.mark.parametrize(
    "name", ["", "http://box", "box/", "box:", "box:99999", "*.example", "a b", "你.example"]
)
def test_allowed_hosts_are_checked_at_the_start(name: str) -> None:
    """A host that could never match is a usage error, not a dead setting."""
    with pytest.raises(LingmaError) as caught:
        HostGuard(Echo(), (name,))

    assert caught.value.kind is ErrorKind.USAGE
    assert f"`{name}`" in caught.value.message


# Origins


@pytest.mark.parametrize(
    "origin",
    [
        "http://localhost",
        "http://localhost:3000",
        "https://127.0.0.1:1",
        "http://127.0.0.2:3000",
        "http://[::1]:8317",
        "http://box.example",
        "https://box.example:1",
        "http://lan.example:8317",
    ],
)
def test_own_origins_are_served(guarded: Address, origin: str) -> None:
    """Pages of this machine and of allowed hosts may call; they get no CORS header for it."""
    answer = ask(guarded, http("/", f"Origin: {origin}", "Sec-Fetch-Site: same-origin"))

    assert answer.status == 200
    assert not [name for name, _ in answer.headers if name.startswith("access-control-")]


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "DELETE", "OPTIONS"])
@pytest.mark.parametrize(
    "origin",
    [
        "",
        "null",
        "*",
        "http://evil.example",
        "https://localhost.evil.example",
        "http://localhost@evil.example",
        "http://evil.example@localhost",
        "http://localhost.",
        "http://localhost:",
        "http://localhost/",
        "http://localhost:80/a",
        "http://localhost http://evil.example",
        "http://lan.example",
        "http://lan.example:8318",
        "ftp://localhost",
        "file://",
        "file://localhost",
        "localhost",
        "//localhost",
        "http:/localhost",
        "chrome-extension://localhost",
        "xhttp://localhost",
    ],
)
def test_foreign_origins_are_forbidden(guarded: Address, method: str, origin: str) -> None:
    """Any other origin gets 403 for every method, preflights included."""
    request = http("/", f"Origin: {origin}", "Content-Type: application/json", method=method)

    answer = ask(guarded, request)

    assert answer.status == 403
    assert not [name for name, _ in answer.headers if name.startswith("access-control-")]


def test_one_origin_only(guarded: Address) -> None:
    """Two `Origin` headers are refused, also if both are fine."""
    twice = ["Origin: http://localhost"] * 2

    assert ask(guarded, http("/", *twice)).error["code"] == "forbidden"


@pytest.mark.parametrize("site", ["cross-site", "same-site", "Cross-Site", "", "anything"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_requests_of_other_sites_are_forbidden(guarded: Address, site: str, method: str) -> None:
    """An image or form of a foreign page sends no `Origin`, but says where it comes from."""
    request = http("/", f"Sec-Fetch-Site: {site}", "Content-Type: application/json", method=method)

    assert ask(guarded, request).status == 403


def test_one_foreign_site_is_enough(guarded: Address) -> None:
    """A second, harmless value hides nothing."""
    sites = ("Sec-Fetch-Site: same-origin", "Sec-Fetch-Site: cross-site")

    assert ask(guarded, http("/", *sites)).status == 403


BROWSER_MARKS = ["Origin: http://localhost", "Sec-Fetch-Site: none", "Sec-Fetch-Mode: cors"]


@pytest.mark.parametrize("mark", BROWSER_MARKS)
@pytest.mark.parametrize(
    "kind",
    [
        "X-A: b",
        "Content-Type: text/plain",
        "Content-Type: text/plain; a=application/json",
        "Content-Type: application/x-www-form-urlencoded",
        "Content-Type: multipart/form-data; boundary=a",
        "Content-Type: application/jsonx",
        "Content-Type: application/json\r\nContent-Type: text/plain",
    ],
)
def test_browsers_must_send_json(guarded: Address, mark: str, kind: str) -> None:
    """A body that a form could send gets 415 when a browser sends it."""
    answer = ask(guarded, http("/", mark, kind, method="POST"))

    assert answer.status == 415
    assert answer.error["code"] == "unsupported_media_type"


@pytest.mark.parametrize("mark", [*BROWSER_MARKS, "X-A: b"])
def test_json_and_other_programs_pass(guarded: Address, mark: str) -> None:
    """JSON with parameters is JSON; programs other than browsers may leave the type out."""
    json_ = "Content-Type: Application/JSON; charset=utf-8"

    assert ask(guarded, http("/", mark, json_, method="POST")).status == 200
    assert ask(guarded, http("/", mark)).status == 200
    assert ask(guarded, http("/", "X-A: b", method="POST")).status == 200


# Keys


class Clock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def key_guard(clock: Callable[[], float]) -> ASGIApp:
    keys = KeyRing(
        api_keys=(Secret("lgm-another-key-entirely"), Secret(API)),
        admin_token=Secret(ADMIN),
        metrics_token=Secret(METRICS),
    )
    return KeyGuard(Echo(), keys, TIERS.get, clock=clock)


@pytest.fixture(scope="module")
def locked() -> Iterator[Address]:
    with serving(key_guard(Clock())) as address:
        yield address


@pytest.mark.parametrize(
    "header",
    [
        f"Authorization: Bearer {API}",
        f"authorization: bearer {API}",
        f"Authorization: BEARER   {API}",
        f"Authorization: Bearer {API} ",
        f"x-api-key: {API}",
        f"X-API-Key: {API} ",
        f"x-api-key: {API}\r\nAuthorization: Bearer {API}",
        f"x-api-key: {API}\r\nx-api-key: {API}",
        "x-api-key: lgm-another-key-entirely",
    ],
)
def test_both_ways_to_send_a_key(locked: Address, header: str) -> None:
    """Either header opens the API, and the caller gets a label that is not the key."""
    state = ask(locked, http("/api", header)).told["state"]

    assert len(state["caller"]) == 12
    assert state["caller"].startswith("key-")
    assert state["caller"][4:] not in API


@pytest.mark.parametrize(
    "header",
    [
        "X-A: b",
        "Authorization: Bearer",
        "Authorization: Bearer ",
        "Authorization:",
        f"Authorization: {API}",
        f"Authorization: Basic {API}",
        f"Authorization: Token {API}",
        f"Authorization: Bearer{API}",
        f"Authorization: Bearer Bearer {API}",
        f'Authorization: Bearer "{API}"',
        f"Authorization: Bearer {API}x",
        f"Authorization: Bearer {API[:-1]}",
        f"Authorization: Bearer {API[1:]}",
        f"Authorization: Bearer {API.upper()}",
        f"Authorization: Bearer {API},{API}",
        f"Authorization: Bearer {API} {API}",
        f"Authorization: Bearer {API}%00",
        f"Authorization: Bearer {API}\r\nAuthorization: Bearer {API}",
        f"Authorization: Bearer {API}\r\nAuthorization: Basic YTpi",
        f"Authorization: Bearer wrong\r\nx-api-key: {API}",
        f"Authorization: Bearer {API}\r\nx-api-key: wrong",
        f"Authorization: Basic YTpi\r\nx-api-key: {API}",
        f"x-api-key: {API}\r\nx-api-key: wrong",
        f"Authorization: Bearer {API}{' ' * 4096}x",
        f"x-api-key: {'a' * 5000}",
        f"Authorization: Bearer {' ' * 4096}{API}",
        "x-api-key:",
        f"Cookie: x-api-key={API}; Authorization=Bearer {API}",
        f"Proxy-Authorization: Bearer {API}",
        f"Authorization: Bearer {ADMIN}",
        f"Authorization: Bearer {METRICS}",
    ],
)
def test_near_misses_do_not_open_the_api(locked: Address, header: str) -> None:
    """Anything but one key in one reading gets 401 with the way out."""
    answer = ask(locked, http(f"/api?api_key={API}&key={API}", header))

    assert answer.status == 401
    assert answer.error["code"] == "invalid_api_key"
    assert "run `lingma key show`" in answer.error["message"]
    assert answer.header("x-should-retry") == ["false"]
    assert answer.header("www-authenticate") == ["Bearer"]


@pytest.mark.parametrize("path", ["/admin", "/metrics"])
def test_the_way_out_is_the_token_of_the_tier(locked: Address, path: str) -> None:
    """An API key would not open it."""
    answer = ask(locked, http(path))

    assert answer.status == 401
    assert "run `lingma key show --admin`" in answer.error["message"]


@pytest.mark.parametrize("key", [b"\xff" * 20, API.encode() + b"\xc3\xa9", b"\x00", b"", b"\xe2"])
def test_bytes_that_are_no_key(key: bytes) -> None:
    """Whatever bytes come, the ring says no instead of raising."""
    keys = KeyRing(api_keys=(Secret(API),))

    assert not keys.allows(Tier.API, key)
    assert not keys.allows(Tier.API, API.encode() + key + b"\x00")


@pytest.mark.parametrize(
    ("path", "key", "status"),
    [
        ("/none", None, 200),
        ("/none", "wrong", 200),
        ("/api", API, 200),
        ("/metrics", METRICS, 200),
        ("/metrics", ADMIN, 401),
        ("/metrics", API, 401),
        ("/admin", ADMIN, 200),
        ("/admin", API, 401),
        ("/admin", METRICS, 401),
        ("/unknown", None, 401),
        ("/unknown", API, 200),
        ("/unknown", ADMIN, 401),
    ],
)
def test_every_tier_has_its_own_key(
    locked: Address, path: str, key: str | None, status: int
) -> None:
    """No key opens another tier, and unknown paths tell nothing without a key."""
    headers = [] if key is None else [f"Authorization: Bearer {key}"]

    assert ask(locked, http(path, *headers)).status == status


def test_no_key_needed_means_local() -> None:
    """Where nothing is asked for, the caller is `local`, whatever was sent."""
    guard = KeyGuard(Echo(), KeyRing(no_auth=True), TIERS.get, clock=Clock())
    with serving(guard) as address:
        for path in ("/none", "/api", "/metrics", "/admin", "/unknown"):
            told = ask(address, http(path, f"Authorization: Bearer {API}")).told
            assert told["state"]["caller"] == "local"


def test_failures_are_logged_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    """One line at once, then one a minute with a count, and no key in any."""
    clock = Clock()
    with serving(key_guard(clock)) as address:
        for _ in range(5):
            ask(address, http("/api", "x-api-key: a-wrong-key"))
        clock.now += 59
        ask(address, http("/api"))
        clock.now += 2
        ask(address, http("/api"))

    lines = [record.getMessage() for record in caplog.records if record.levelno > logging.INFO]
    assert lines == ["requests without a valid key: 1", "requests without a valid key: 6"]


# Request ids and headers


async def tell_id(scope: Scope, _: Receive, send: Send) -> None:
    """Answer with the id in the log, or as the path says."""
    if scope["path"] == "/error":
        error = LingmaError(ErrorKind.OVERLOADED, "busy", hint="wait", retry_after=1.2)
        await send_error(scope, send, error, [(b"x-more", b"1")])
        return
    cached = [(b"Cache-Control", b"max-age=1")] if scope["path"] == "/cached" else []
    body = f'["{request_id.get()}", "{scope["state"]["request_id"]}"]'
    await send_json(send, 200, body.encode(), cached)


@pytest.fixture(scope="module")
def marked() -> Iterator[Address]:
    with serving(RequestIds(HostGuard(tell_id), lambda: "made-here")) as address:
        yield address


def id_of(answer: Answer) -> str:
    (name,) = answer.header("x-request-id")
    return name


@pytest.mark.parametrize("name", ["X-Request-Id", "x-client-request-id"])
@pytest.mark.parametrize("offered", ["a", "req_1", "A-Z.0_9", "x" * 64])
def test_good_ids_of_clients_are_kept(marked: Address, name: str, offered: str) -> None:
    """The id is in the log's context, in the state and in the answer."""
    answer = ask(marked, http("/", f"{name}: {offered}"))

    assert answer.told == [offered, offered]
    assert id_of(answer) == offered


@pytest.mark.parametrize(
    "offered", ["", "a b", "x" * 65, "a\tb", "a;b", "<a>", "a/b", '"a"', "a%0a"]
)
def test_other_ids_are_replaced(marked: Address, offered: str) -> None:
    """What could forge a log line or a header is not taken over."""
    answer = ask(marked, http("/", f"X-Request-Id: {offered}"))

    assert answer.told == ["made-here", "made-here"]
    assert id_of(answer) == "made-here"


def test_second_offer_counts_if_the_first_is_bad(marked: Address) -> None:
    """The header of the OpenAI SDKs serves when the common one is unusable."""
    offers = ("X-Client-Request-Id: good", "X-Request-Id: not good")

    assert id_of(ask(marked, http("/", *offers))) == "good"


def test_every_response_is_marked(marked: Address) -> None:
    """Answers, errors and refusals of inner doors say: no sniffing, no storing."""
    for answer in (
        ask(marked, http("/")),
        ask(marked, http("/error")),
        ask(marked, http("/", host="evil.example")),
    ):
        assert id_of(answer) == "made-here"
        assert answer.header("x-content-type-options") == ["nosniff"]
        assert answer.header("cache-control") == ["no-store"]


def test_own_cache_control_stays(marked: Address) -> None:
    """A response that says how it may be stored is believed."""
    assert ask(marked, http("/cached")).header("cache-control") == ["max-age=1"]
