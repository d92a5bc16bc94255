"""The accounts of the simulated service: who they are and what lets them in. Pure.

A kept secret may be written as `sha256:HEX`, so that a test can use one that stands nowhere.
"""

import hashlib
import hmac
from dataclasses import dataclass

_HASHED = "sha256:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """One account; an empty secret is none. `organisations` are ids with commas between."""

    user: str
    password: str = ""
    token: str = ""
    key: str = ""
    secret: str = ""
    organisations: str = ""
    whitelist: int = 3

    @property
    def id(self) -> str:
        """The service's id of the user."""
        return f"{self.user}-user"

    @property
    def kind(self) -> str:
        """The service's word for the plan."""
        return "enterprise_standard" if self.choices else "personal_standard"

    @property
    def choices(self) -> tuple[str, ...]:
        """The ids of the organisations."""
        return tuple(filter(None, self.organisations.split(",")))


DEMO = Account(
    user="demo",
    password="demo-password",  # noqa: S106 - opens nothing but the simulator, here and below
    token="demo-personal-token",  # noqa: S106
    key="demo-access-key",
    secret="demo-secret-key",  # noqa: S106
)
TEAM = Account(
    user="team",
    password="team-password",  # noqa: S106
    token="team-personal-token",  # noqa: S106
    key="team-access-key",
    secret="team-secret-key",  # noqa: S106
    organisations="org-red,org-blue",
)
BLOCKED = Account(user="blocked", password="blocked-password", whitelist=1)  # noqa: S106


def organisation_name(identity: str) -> str:
    """Return how an organisation calls itself; nothing for none."""
    return identity.replace("-", " ").title()


class Accounts:
    """The table: three that are always there, and one more."""

    def __init__(self, extra: Account | None = None) -> None:
        self._all = (*([extra] if extra else []), DEMO, TEAM, BLOCKED)

    def named(self, user: str) -> Account:
        """Return an account; who is in no table is a plain one without secrets."""
        found = (account for account in self._all if account.user == user)
        return next(found, Account(user=user))

    def by_password(self, user: str, password: str) -> Account | None:
        """Return whom a password lets in."""
        account = self.named(user)
        return account if _same(password, account.password) else None

    def by_token(self, token: str) -> Account | None:
        """Return whose personal token that is."""
        return next((account for account in self._all if _same(token, account.token)), None)

    def by_key(self, key: str, secret: str) -> Account | None:
        """Return whose access key that is, if the secret is right."""
        found = (account for account in self._all if _same(key, account.key))
        account = next(found, None)
        return account if account is not None and _same(secret, account.secret) else None


def _same(given: str, kept: str) -> bool:
    if kept.startswith(_HASHED):
        given = _HASHED + hashlib.sha256(given.encode()).hexdigest()
    return bool(kept) and hmac.compare_digest(given.encode(), kept.encode())
