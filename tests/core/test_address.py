"""URLs of servers."""

from __future__ import annotations

import pytest

from lingma_cli.core.address import Address
from lingma_cli.errors import ErrorKind, LingmaError


@pytest.mark.parametrize(
    ("url", "root"),
    [
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("http://127.0.0.1:8080/", "http://127.0.0.1:8080"),
        ("http://127.0.0.1:8080/v1", "http://127.0.0.1:8080"),
        (" http://127.0.0.1:8080/v1/ ", "http://127.0.0.1:8080"),
        ("https://host/base/v1", "https://host/base"),
        ("https://host/av1", "https://host/av1"),
        ("http://[::1]:9/v1", "http://[::1]:9"),
        ("HTTP://Host", "http://host"),
    ],
)
def test_urls_with_or_without_v1_are_one(url: str, root: str) -> None:
    """The root is what is left of a URL without `/v1`; the API is below it."""
    address = Address.parse(url)

    assert address.root == root
    assert address.api("/models") == f"{root}/v1/models"


@pytest.mark.parametrize(
    "url",
    [
        "ftp://host",
        "grpc://host",
        "host:80",
        "",
        "http://",
        "http://host:port",
        "http://host:0",
        "http://user:hunter2@host",
        "http://host/?key=hunter2",
        "http://host/#hunter2",
        "http://ho st/",
        "http://[::1",
    ],
)
def test_other_urls_are_refused_without_being_shown(url: str) -> None:
    """Only plain http and https URLs are usable; what may be a secret is not repeated."""
    with pytest.raises(LingmaError) as raised:
        Address.parse(url)

    assert raised.value.kind is ErrorKind.USAGE
    assert "hunter2" not in raised.value.advice


@pytest.mark.parametrize(
    ("url", "host", "port"),
    [
        ("http://Host/base/v1", "host", 80),
        ("https://host", "host", 443),
        ("https://host:8443", "host", 8443),
        ("http://[::1]:9/v1", "::1", 9),
        ("http://[::1]", "::1", 80),
    ],
)
def test_host_and_port_of_an_address(url: str, host: str, port: int) -> None:
    """A port that is not given is the scheme's; brackets belong to the URL, not to the host."""
    address = Address.parse(url)

    assert (address.host, address.port) == (host, port)


@pytest.mark.parametrize(
    ("url", "is_there"),
    [
        ("http://127.0.0.1:8317/v1", True),
        ("http://localhost:8317", True),
        ("http://[::1]:8317", True),
        ("http://127.0.0.1:8318", False),
        ("http://box:8317", False),
        ("http://localhost", False),
    ],
)
def test_all_names_of_this_machine_are_one(url: str, is_there: bool) -> None:
    """The port tells who it is."""
    assert Address.parse(url).is_at("127.0.0.1", 8317) is is_there


def test_who_asks_says_what_the_url_is_for() -> None:
    """The sentence and the hint are the caller's, the reason is not."""
    with pytest.raises(LingmaError) as raised:
        Address.parse("ftp://host", wrong="no proxy", hint="read the manual")

    assert raised.value.message.startswith("no proxy: it must begin with")
    assert raised.value.hint == "read the manual"
