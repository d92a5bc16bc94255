"""A process that is to be logged in, played from a script: the seam of the login flows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import count

from lingma_cli.core.login import LoginState, LoginStatus, LoginUrl, Organisation
from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.secret import Secret

OUT = LoginStatus(state=LoginState.OUT)
UNKNOWN = LoginStatus(state=LoginState.UNKNOWN)
IN = LoginStatus(state=LoginState.IN, name="ann", user_id="u1")
HOST = "https://devops.aliyun.com"


class ScriptedCalls:
    """Says `states` one after the other, the last one for ever, until a call lets somebody in.

    Args:
        states: what `status` says.
        refusals: how many tries are refused before one is taken.
        organisations: to choose from before a login is complete.
        is_lost: whether what is taken leads nowhere.
        host: of the login pages.
    """

    def __init__(
        self,
        states: Iterable[LoginStatus] = (OUT,),
        *,
        refusals: int = 0,
        organisations: Sequence[Organisation] = (),
        is_lost: bool = False,
        host: str = HOST,
    ) -> None:
        self.log: list[tuple[str, ...]] = []
        self._states = list(states)
        self._refusals = refusals
        self._organisations = organisations
        self._is_lost = is_lost
        self._host = host
        self._numbers = count(1)

    async def status(self) -> LoginStatus:
        """Say the next state."""
        return self._states.pop(0) if len(self._states) > 1 else self._states[0]

    async def new_url(self, dedicated: bool) -> LoginUrl:
        """Return a page of its own for each try."""
        number = next(self._numbers)
        self.log.append(("url", str(dedicated)))
        url = f"{self._host}/lingma/login?nonce=n{number}&state=2-s{number}&port=37510"
        return LoginUrl(url=url, nonce=Secret(f"n{number}"))

    async def callback(self, nonce: Secret, auth: Secret, token: Secret) -> None:
        """Take or refuse a pasted address."""
        self._take("callback", nonce.reveal(), auth.reveal(), token.reveal())

    async def with_token(self, token: Secret, organisation: str) -> None:
        """Take or refuse a token."""
        self._take("token", token.reveal(), organisation)

    async def with_access_key(self, key: Secret, secret: Secret, organisation: str) -> None:
        """Take or refuse an access key."""
        self._take("key", key.reveal(), secret.reveal(), organisation)

    async def organisations(self) -> Sequence[Organisation]:
        """List those to choose from."""
        return self._organisations

    async def choose(self, organisation_id: str) -> None:
        """Complete the login."""
        self.log.append(("choose", organisation_id))
        self._states = [IN]

    async def logout(self) -> None:
        """Log out."""
        self._states = [OUT]

    def _take(self, *call: str) -> None:
        self.log.append(call)
        if self._refusals:
            self._refusals -= 1
            raise LingmaError(ErrorKind.LOGIN_REQUIRED, "Lingma could not: no")
        if not self._is_lost and not self._organisations:
            self._states = [UNKNOWN, IN]
