"""Hosts of packages."""

from __future__ import annotations

import pytest

from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.install.hosts import Host, host_of, shown


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://mirror.test/a.vsix", Host("mirror.test")),
        ("https://Mirror.TEST:443/a.vsix?x=1", Host("mirror.test", 443)),
        ("https://localhost:8443/a", Host("localhost", 8443)),
        ("https://[::1]:8443/a", Host("::1", 8443)),
    ],
)
def test_a_configured_source_is_one_host_with_its_port(url: str, host: Host) -> None:
    """Exactly that."""
    assert host_of(url) == host


@pytest.mark.parametrize(
    "url",
    [
        "http://mirror.test/a",
        "ftp://mirror.test/a",
        "file:///etc/passwd",
        "mirror.test/a",
        "https://",
        "https://user:hush@mirror.test/a",
        "https://mirror.test:x/a",
        "https://[::1/a",
    ],
)
def test_anything_but_plain_https_is_wrong_usage(url: str) -> None:
    """And a password in it is not repeated."""
    with pytest.raises(LingmaError) as failure:
        host_of(url)

    assert failure.value.kind is ErrorKind.USAGE
    assert "hush" not in failure.value.advice


def test_what_may_be_secret_is_not_shown() -> None:
    """Neither a login nor the query."""
    assert shown("https://user:hush@h.test:1/p/q?token=hush#x") == "https://h.test:1/p/q"
