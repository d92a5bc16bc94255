"""What is this machine, and what only looks like it."""

import pytest

from lingma_cli.core.loopback import is_loopback


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "127.0.0.2", "127.255.255.254", "::1", "[::1]", "localhost", "LOCALHOST"],
)
def test_this_machine(host: str) -> None:
    """All of 127.0.0.0/8, the one IPv6 address with and without brackets, and the name."""
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host",
    [
        *("0.0.0.0", "::", "[::]", "", "192.168.1.5", "128.0.0.1", "126.255.255.255"),
        *("::2", "fe80::1", "::ffff:127.0.0.1", "::1%lo", "[0:0:0:0:0:0:0:1]"),
        *("[127.0.0.1]", "[localhost]", "[::1", "::1]", "[::1]:80", "127.0.0.1:80"),
        *("box", "localhost.", "localhost.evil.example", "evil.localhost"),
        *("127.0.0.1.evil.example", "127.0.0.1.", "127.1", "127.0.0.01", "0x7f000001"),
        *("2130706433", "127.0.0.1\n", " localhost", "１２７.0.0.1"),
    ],
)
def test_others_and_doubtful_spellings(host: str) -> None:
    """What some resolver might read as loopback is not taken for it."""
    assert not is_loopback(host)
