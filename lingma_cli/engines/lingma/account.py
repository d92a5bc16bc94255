"""The account of one process: asked for, logged in by every way it knows, and out again.

Source: Lingma local protocol, "Login and account" and "Login and bootstrap flows". Answers carry
live tokens, so none of them is ever logged or quoted; of a refusal only the vendor's words are, and
those only without the secrets that were sent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import msgspec

from lingma_cli.core.login import LoginStatus, LoginUrl, Organisation
from lingma_cli.engines.lingma.link import Link
from lingma_cli.engines.lingma.login import ask_login, text
from lingma_cli.engines.quoting import quoted
from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.secret import Redactor, Secret

# A piece of a secret so long must not show either; the words of a refusal may be cut anywhere.
_TELLING_PIECE: Final = 6
_LISTS: Final = ("grantInfos", "orgs", "organizations", "organisations", "data", "list", "result")


class _Answer(msgspec.Struct):
    """What the methods answer, in both spellings of the fields that have two."""

    success: Any = None
    isSuccess: Any = None  # noqa: N815 - the protocol's spelling, here and below
    errorCode: Any = None  # noqa: N815
    errorMsg: Any = None  # noqa: N815
    errorMessage: Any = None  # noqa: N815
    loginUrl: Any = None  # noqa: N815
    url: Any = None
    nonce: Any = None

    @property
    def is_refusal(self) -> bool:
        """Whether it says no; an answer without either field says yes."""
        return False in (self.success, self.isSuccess)

    @property
    def words(self) -> str:
        """The reason of a refusal: its words, else its code."""
        return text(self.errorMsg) or text(self.errorMessage) or text(self.errorCode)


class AccountCalls:
    """The calls around the login of one process.

    Every call raises `LingmaError`: there is no connection, time is up, the build does not know
    the method (`ENGINE_UNSUPPORTED`), or it refused (`LOGIN_REQUIRED`).

    Args:
        connection: returns the connection, or raises.
        within: seconds to wait for one answer.
        on_status: told of each state that was asked for.
        on_change: told when the login may have become another one.
    """

    def __init__(
        self,
        connection: Callable[[], Link],
        *,
        within: float,
        on_status: Callable[[LoginStatus], None],
        on_change: Callable[[], None],
    ) -> None:
        self._connection = connection
        self._within = within
        self._on_status = on_status
        self._on_change = on_change

    async def status(self) -> LoginStatus:
        """Ask whether and as whom the process is logged in; no answer is an unknown state."""
        status = await ask_login(self._connection(), self._within)
        self._on_status(status)
        return status

    async def new_url(self, dedicated: bool) -> LoginUrl:  # noqa: FBT001 - of the protocol
        """Begin a login with a browser; each try needs an address of its own."""
        kind = {"loginDedicatedType": "dedicated"} if dedicated else {}
        doing = "begin a login in the browser"
        try:
            answer = await self._do("login/generateUrl", kind, doing)
        except LingmaError as error:
            if error.kind is not ErrorKind.ENGINE_UNSUPPORTED:
                raise
            answer = await self._do("auth/login", {"loginType": ""} | kind, doing)
        url = text(answer.loginUrl) or text(answer.url)
        if not url:
            raise LingmaError(ErrorKind.ENGINE_FAILED, "Lingma named no login page")
        return LoginUrl(url=url, nonce=Secret(text(answer.nonce) or _nonce_of(url)))

    async def callback(self, nonce: Secret, auth: Secret, token: Secret) -> None:
        """Hand in what the login page gave; success means taken, not yet logged in."""
        params = {"nonce": nonce, "auth": auth, "tokenString": token}
        await self._do("login/auth_callback", params, "take a pasted callback address")
        self._on_change()

    async def with_token(self, token: Secret, organisation: str) -> None:
        """Log in by personal token; `organisation` is an id or empty."""
        params: dict[str, str | Secret] = {"loginType": "personalToken", "personalToken": token}
        await self._log_in(params, organisation, "log in with a personal token")

    async def with_access_key(self, key: Secret, secret: Secret, organisation: str) -> None:
        """Log in by access key; `organisation` is an id or empty."""
        params: dict[str, str | Secret] = {
            "loginType": "aksks",
            "accessKey": key,
            "secretKey": secret,
        }
        await self._log_in(params, organisation, "log in with an access key")

    async def organisations(self) -> Sequence[Organisation]:
        """List those that the account, or the login that waits for a choice, may work for."""
        return _organisations(await self._ask("auth/grantInfos", {}, "list organisations"))

    async def choose(self, organisation_id: str) -> None:
        """Work for one of them; ends a login that waits for the choice."""
        await self._do("auth/switchAccount", {"orgId": organisation_id}, "choose an organisation")
        self._on_change()

    async def logout(self) -> None:
        """End the login."""
        await self._do("auth/logout", {}, "log out")
        self._on_change()

    async def _log_in(
        self, params: Mapping[str, str | Secret], organisation: str, doing: str
    ) -> None:
        await self._do("auth/login", {**params, "orgId": organisation}, doing)
        self._on_change()

    async def _do(self, method: str, params: Mapping[str, str | Secret], doing: str) -> _Answer:
        return _read(await self._ask(method, params, doing))

    async def _ask(self, method: str, params: Mapping[str, str | Secret], doing: str) -> bytes:
        secrets = [value for value in params.values() if isinstance(value, Secret)]
        plain = {
            name: value.reveal() if isinstance(value, Secret) else value
            for name, value in params.items()
        }
        link = self._connection()
        try:
            result = await link.call(method, plain, self._within)
        except LingmaError as error:
            if error.kind is ErrorKind.ENGINE_UNSUPPORTED:
                told = f"this build of Lingma cannot {doing}: it does not know `{method}`"
                raise LingmaError(error.kind, told) from None
            # The error quotes the binary, which may have quoted us.
            raise LingmaError(error.kind, _hidden(error.message, secrets)) from None
        answer = _read(result)
        if answer.is_refusal:
            words = _hidden(quoted(Redactor(secrets)(answer.words)), secrets)
            reason = f": {words}" if words else ""
            raise LingmaError(ErrorKind.LOGIN_REQUIRED, f"Lingma could not {doing}{reason}")
        return result


def _read(result: bytes) -> _Answer:
    """Return what can be understood; an answer of another shape says nothing."""
    try:
        return msgspec.json.decode(result, type=_Answer)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return _Answer()


def _hidden(words: str, secrets: Iterable[Secret]) -> str:
    """Return `words`, or a remark in their place when a piece of a secret stands in them."""
    for secret in secrets:
        value = secret.reveal()
        starts = range(max(1, len(value) - _TELLING_PIECE + 1))
        if value and any(value[at : at + _TELLING_PIECE] in words for at in starts):
            return "its words are not shown, as they repeat what was sent"
    return words


def _nonce_of(url: str) -> str:
    try:
        return parse_qs(urlsplit(url).query).get("nonce", [""])[0]
    except ValueError:
        return ""


def _organisations(result: bytes) -> Sequence[Organisation]:
    """Return the organisations of an answer: a list, or an object with one in it."""
    try:
        said = msgspec.json.decode(result)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return ()
    if isinstance(said, dict):
        said = next((said[name] for name in _LISTS if isinstance(said.get(name), list)), ())
    entries = [entry for entry in said or () if isinstance(entry, dict)]
    found = (Organisation(id=_field(entry, "id"), name=_field(entry, "name")) for entry in entries)
    return tuple(one for one in found if one.id)


def _field(entry: Mapping[str, Any], ending: str) -> str:
    """Return an id or a name; builds differ in what stands before the word."""
    names = (f"org{ending.title()}", f"organization{ending.title()}", ending)
    return next((value for name in names if (value := text(entry.get(name)))), "")
