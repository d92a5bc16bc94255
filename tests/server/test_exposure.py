"""Where the server may listen."""

import pytest

from lingma_cli.errors import FACES, LingmaError
from lingma_cli.server.exposure import check_bind

LOOPBACK = ["127.0.0.1", "127.0.0.2", "::1", "localhost"]
BEYOND = ["0.0.0.0", "::", "", "192.168.1.5", "box", "localhost.evil.example", "fe80::1"]


@pytest.mark.parametrize("host", LOOPBACK)
def test_loopback_needs_nothing(host: str) -> None:
    """On loopback the user may do without keys."""
    check_bind(host, no_auth=True)
    check_bind(host, no_auth=False)


@pytest.mark.parametrize("host", BEYOND)
def test_no_listening_beyond_loopback_without_keys(host: str) -> None:
    """Elsewhere keys must not be switched off; else exit code 2 and a way out."""
    check_bind(host, no_auth=False)

    with pytest.raises(LingmaError) as caught:
        check_bind(host, no_auth=True)

    assert FACES[caught.value.kind].exit_code == 2
    assert f"`{host}`" in caught.value.message
    assert "127.0.0.1" in str(caught.value.hint)
