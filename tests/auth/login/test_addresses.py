"""Which pages are trusted, what callbacks say, and how they are reached."""

from __future__ import annotations

import pytest

from lingma_cli.auth.login.addresses import (
    LoginHosts,
    check_endpoint,
    read_callback,
    state_of,
    tunnel_line,
)
from lingma_cli.errors import LingmaError

HOSTS = LoginHosts(
    endpoint="https://lingma.corp.example/base",
    callback_port=37510,
    own_ports=frozenset({37510, 4000}),
)


@pytest.mark.parametrize(
    "url",
    [
        "https://devops.aliyun.com/lingma/login?nonce=1",
        "https://lingma.alibabacloud.com/lingma/login",
        "https://aliyun.com/",
        "https://ALIYUN.com:443/",
        "https://lingma.corp.example/login",
        "http://127.0.0.1:4000/lingma/login",
        "http://localhost:4000/lingma/form",
    ],
)
def test_trusted_pages(url: str) -> None:
    """The vendor's hosts, the configured one, and what the process serves itself."""
    HOSTS.check(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://devops.aliyun.com/lingma/login",
        "https://aliyun.com.evil.example/",
        "https://evilaliyun.com/",
        "https://evil.example/?https://aliyun.com",
        "https://devops.aliyun.com@evil.example/",
        "https://user@devops.aliyun.com/",
        "https://evil.example\\@aliyun.com/",
        "https://sub.lingma.corp.example/",
        "http://lingma.corp.example/login",
        "http://127.0.0.1:4001/lingma/login",
        "http://127.0.0.1/lingma/login",
        "http://127.0.0.1:37510/auth/callback",
        "http://192.0.2.1:4000/lingma/login",
        "javascript:alert(1)",
        "file:///etc/passwd",
        "https://[::1",
        "https://aliyun.com:99999/",
        "",
    ],
)
def test_other_pages(url: str) -> None:
    """Lookalikes, plain http, names before `@`, other ports and other schemes are refused."""
    with pytest.raises(LingmaError, match="not trusted"):
        HOSTS.check(url)


def test_without_an_endpoint_only_the_vendor_is_trusted() -> None:
    """An empty setting trusts no empty host."""
    assert not LoginHosts().is_page("https:///login")
    assert not LoginHosts().is_page("http://127.0.0.1:4000/")
    assert not LoginHosts().is_callback("http://127.0.0.1/auth/callback")


def test_the_callback_is_at_loopback() -> None:
    """Its port is the process's own."""
    assert HOSTS.is_callback("http://127.0.0.1:37510/auth/callback?auth=1")
    assert HOSTS.is_callback("http://localhost:37510/")
    assert not HOSTS.is_callback("https://127.0.0.1:37510/")
    assert not HOSTS.is_callback("http://127.0.0.1:4000/auth/callback")
    assert not HOSTS.is_callback("http://192.0.2.1:37510/auth/callback")
    assert not HOSTS.is_callback("http://[::1/")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("http://127.0.0.1:1/auth/callback?state=2-a&auth=x&token=y", ("2-a", "x", "y")),
        ("  <http://127.0.0.1:1/auth/callback?auth=x%2F&token=y>\n", ("", "x/", "y")),
        ("http://127.0.0.1:1/auth/callback#state=s&auth=x&tokenString=y", ("s", "x", "y")),
        ("http://127.0.0.1:1/auth/callback?auth=x", None),
        ("http://127.0.0.1:1/auth/callback?token=y", None),
        ("auth=x&token=y", None),
        ("http://[::1", None),
        ("http://127.0.0.1/?auth=x&token=" + "y" * 20_000, None),
        ("", None),
    ],
)
def test_what_a_callback_says(text: str, said: tuple[str, str, str] | None) -> None:
    """Both codes must be there; the state need not."""
    callback = read_callback(text)
    found = callback and (callback.state, callback.auth.reveal(), callback.token.reveal())

    assert found == said
    assert "•" in repr(callback) or callback is None


def test_the_state_of_no_address() -> None:
    """It is empty."""
    assert (state_of("http://[::1"), state_of("nothing")) == ("", "")


@pytest.mark.parametrize(
    ("connection", "line"),
    [
        ("198.51.100.7 50022 192.0.2.4 22", "ssh -L 37510:127.0.0.1:37510 ann@192.0.2.4"),
        ("::1 1 2001:db8::4 2222", "ssh -L 37510:127.0.0.1:37510 -p 2222 ann@2001:db8::4"),
        ("odd", "ssh -L 37510:127.0.0.1:37510 ann@THIS-HOST"),
    ],
)
def test_the_tunnel(connection: str, line: str) -> None:
    """It goes to the address and port that the person came in by."""
    assert tunnel_line({"SSH_CONNECTION": connection}, "ann", 37510) == line


@pytest.mark.parametrize("endpoint", ["http://a.example", "a.example", "https://", "https://[::1"])
def test_a_service_that_is_none(endpoint: str) -> None:
    """Only https will do."""
    with pytest.raises(LingmaError, match="no https address"):
        check_endpoint(endpoint)


@pytest.mark.parametrize("endpoint", ["", "https://a.example", "https://a.example:8443/x"])
def test_a_service(endpoint: str) -> None:
    """None, or one of https."""
    assert check_endpoint(endpoint) == endpoint
