"""What is known of a login, whoever asks for it.

Source: Lingma local protocol, "Login and account". Only what a person may see: tokens that the
binary tells along are not kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from lingma_cli.secret import Secret


class LoginState(Enum):
    """Whether an engine has a login; in doubt an ask is sent, and its own end tells."""

    IN = "in"
    OUT = "out"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginStatus:
    """What `auth/status` says of an account.

    Attributes:
        name: as the account's owner calls themselves; empty when logged out.
        user_id: the vendor's id of the account.
        organisation: name of the chosen organisation, if any.
        kind: the vendor's word for the plan, such as `personal_standard`.
        expires: seconds since 1970, 0 when not told.
        is_allowed: false when the account may not use the service.
    """

    state: LoginState
    name: str = ""
    user_id: str = ""
    organisation: str = ""
    kind: str = ""
    expires: float = 0.0
    is_allowed: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginUrl:
    """One try to log in with a browser; its nonce is good once.

    Attributes:
        url: the vendor's login page, https.
        nonce: names the try when its result is handed in by hand.
    """

    url: str
    nonce: Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class Organisation:
    """An organisation that the account may work for."""

    id: str
    name: str
