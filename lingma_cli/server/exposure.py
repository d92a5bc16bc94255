"""Where the server may listen: without keys, nowhere that other machines can reach."""

from __future__ import annotations

from lingma_cli.core.loopback import is_loopback
from lingma_cli.errors import ErrorKind, LingmaError


def check_bind(host: str, *, no_auth: bool) -> None:
    """Refuse to be reachable from other machines without keys.

    Args:
        host: the address to listen on; empty means all.
        no_auth: whether the user wants no keys asked for; otherwise there always are some.

    Raises:
        LingmaError: `host` is not loopback, and keys are switched off.
    """
    if no_auth and not is_loopback(host):
        raise LingmaError(
            ErrorKind.USAGE,
            f"`--no-auth` is for loopback addresses only, not for `{host}`",
            hint="leave `--no-auth` out, or listen on 127.0.0.1",
        )
