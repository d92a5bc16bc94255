"""Which names and addresses are this machine itself: the one definition for all who ask."""

from __future__ import annotations

import ipaddress
from typing import Final

_NAMES: Final = frozenset({"localhost", "[::1]"})
_IPV6: Final = ipaddress.IPv6Address("::1")


def is_loopback(host: str) -> bool:
    """Tell whether `host` is reached from this machine only.

    Args:
        host: a name or address without a port: 127.0.0.0/8, `::1` (also as `[::1]`, the way it
            stands in URLs) and `localhost` are loopback.
    """
    if host.lower() in _NAMES:
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    # `::ffff:127.0.0.1` and the like are not worth the doubt.
    return address == _IPV6 or (isinstance(address, ipaddress.IPv4Address) and address.is_loopback)
