"""The login of the process: how one comes about, changes and ends.

Source: Lingma local protocol, sections 4.2, 5, 6 and 7. Owns the tries to log in, the pending
choice of an organisation, and the tokens; knows nothing of pages, sockets and JSON-RPC.
"""

import base64
import dataclasses
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import urlencode

from lingma_cli.demo.accounts import DEMO, Account, Accounts, organisation_name
from lingma_cli.demo.journal import Journal, Log
from lingma_cli.demo.records import Record
from lingma_cli.demo.switches import Switches
from lingma_cli.demo.workdir import LOGIN_MS, WorkDir

EVIL_SITE = "https://login.evil.invalid"
_UNSETTLED = 4


class RefusedError(Exception):
    """The service says no; carries its code and words."""

    def __init__(self, code: str, words: str) -> None:
        super().__init__(words)
        self.code = code
        self.words = words


@dataclass(slots=True, kw_only=True)
class Try:
    """One page that was asked for: `nonce` is good once, `steps` are what it still wants.

    `helped` tells the page that somebody has done its step elsewhere.
    """

    nonce: str
    state: str
    verifier: str
    is_dedicated: bool
    account: Account | None = None
    steps: list[str] = field(default_factory=list)
    auth: str = ""
    token: str = ""
    is_used: bool = False
    helped: bool = False

    @property
    def challenge(self) -> str:
        """The S256 challenge of the verifier."""
        digest = hashlib.sha256(self.verifier.encode()).digest()
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """What logins need of the process: `publish` pushes to every client."""

    switches: Switches
    work_dir: WorkDir
    log: Log
    journal: Journal
    endpoint: str
    clock: Callable[[], float]
    new_id: Callable[[], str]
    publish: Callable[[str, object], None]


class Logins:
    """The login; `http_port` and `site_port` are set once they are known."""

    def __init__(self, around: Around) -> None:
        self.http_port = 0
        self.site_port = 0
        self.accounts = Accounts(around.switches.account)
        self.tries: list[Try] = []
        self.profile_state = ""
        self.is_polling = True
        self._around = around
        self._login = around.switches.login
        self._cloud = around.work_dir.cloud(self._login)
        self._choosing: Account | None = None
        self._polls = 0
        self._unsettled = 0
        self._asks = 0

    # what is so

    @property
    def is_in(self) -> bool:
        """Whether there is a login now."""
        return self._around.work_dir.is_logged_in(self._login)

    @property
    def record(self) -> Record | None:
        """The login record; with the state forced there may be none."""
        return self._around.work_dir.record() if self.is_in else None

    def status(self) -> dict[str, object]:
        """Answer auth/status: the truth, after what the switches want first."""
        self._polls += 1
        if self._login.status is not None and self._polls <= self._login.polls:
            return self._account(self._login.status, with_id=not self._login.without_id)
        if self.is_in and self._unsettled:
            self._unsettled -= 1
            return self._account(_UNSETTLED, with_id=True)
        return self._account(2 if self.is_in else 1, with_id=self.is_in)

    def _account(self, status: int, *, with_id: bool) -> dict[str, object]:
        record = self.record or Record(
            user=DEMO.user, family="0" * 24, expires_ms=4_102_444_800_000
        )
        account = self.accounts.named(record.user)
        told: dict[str, object] = {
            "name": account.user,
            "id": account.id,
            "accountId": f"{account.user}-account",
            "token": record.token,
            "refreshToken": record.refresh_token,
            "expireTime": record.expires_ms,
            "whitelist": account.whitelist,
            "orgId": record.organisation,
            "orgName": organisation_name(record.organisation),
            "userType": account.kind,
        }
        if not with_id:
            told = {name: 0 if isinstance(value, int) else "" for name, value in told.items()}
        return {
            "messageId": "demo-message",
            "status": status,
            "quota": 0,
            "yxUid": "",
            "avatarUrl": "",
            "isSubAccount": False,
            "cloudType": "cloud",
            "email": "",
            "userTag": "",
            "privacyPolicyAgreed": True,
            "isPrivacyPolicyModifiable": False,
        } | told

    def organisations(self) -> list[dict[str, str]]:
        """List those of whoever is to choose, else of whoever is logged in."""
        record = self.record
        account = self._choosing or (self.accounts.named(record.user) if record else None)
        choices = account.choices if account else ()
        return [{"orgId": one, "orgName": organisation_name(one)} for one in choices]

    def new_profile_url(self) -> str:
        """Return the address of the local profile page; the one before it is good no more."""
        self.profile_state = self._around.new_id().replace("-", "")
        query = urlencode({"state": self.profile_state})
        return f"http://127.0.0.1:{self.http_port}/profile?{query}"

    # asks

    def admit(self) -> bool:
        """Count an ask; the login may end or change before it."""
        record = self.record
        if record is None:
            return self.is_in
        self._asks += 1
        if self._login.expire is not None and self._asks > self._login.expire:
            self._cloud.revoke(record)
            self._note("login-expired")
            return False
        if self._login.refresh and self._asks % self._login.refresh == 0:
            self._rotate(record)
        return self.is_in

    # pages

    def new_try(self, *, is_dedicated: bool) -> Try:
        """Begin a try; the ones before it stay good.

        Raises:
            RefusedError: the switch says so, or a dedicated service has no endpoint.
        """
        if self._login.generate == "fail":
            raise RefusedError("LOGIN_URL_FAILED", "the login service cannot be reached")
        if is_dedicated and not self._around.endpoint:
            raise RefusedError("ENDPOINT_EMPTY", "the dedicated domain is not configured")
        new_id = self._around.new_id
        one = Try(
            nonce=new_id().replace("-", ""),
            # quirk: this beginning marks the newer callback.
            state="2-" + new_id().replace("-", ""),
            verifier=new_id() + new_id(),
            is_dedicated=is_dedicated,
            steps=list(self._around.switches.pages.then),
        )
        self.tries.append(one)
        self.is_polling = True
        self._note("login-url", dedicated=is_dedicated)
        return one

    def url_of(self, one: Try) -> str:
        """Return the page's address."""
        own = f"http://127.0.0.1:{self.site_port}"
        query = {
            "nonce": one.nonce,
            "port": str(self.http_port),
            "state": one.state,
            "challenge": one.challenge,
            "challenge_method": "S256",
            "machine_id": self._around.work_dir.machine(self._login.machine).id,
        }
        site = EVIL_SITE if self._login.generate == "evil" else own
        return f"{site}/lingma/login?{urlencode(query)}"

    def try_of(self, name: str) -> Try | None:
        """Return the try of a nonce or a state."""
        named = (one for one in self.tries if name in (one.nonce, one.state))
        return next(named, None)

    def grant(self, one: Try) -> None:
        """Let somebody who has passed every step of the page take the codes along."""
        one.auth = one.auth or "auth-" + self._around.new_id()
        one.token = one.token or "tok-" + self._around.new_id()

    def redeem(self, one: Try | None, auth: str, token: str) -> str:
        """Take what a page gave: `in`, `choose` an organisation first, `lost` or `ignored`.

        Raises:
            RefusedError: the nonce or the codes are wrong, or the switch says so.
        """
        if one is None:
            raise RefusedError("LOGIN_NONCE_INVALID", "the login nonce is unknown")
        if one.is_used:
            self._around.log.line("WARN", "Invalid login nonce or consumed, ignore")
            self._note("login-ignored")
            return "ignored"
        one.is_used = True
        is_right = one.account and auth and (auth, token) == (one.auth, one.token)
        if not is_right or self._login.callback == "refused":
            raise RefusedError("LOGIN_AUTH_INVALID", f"the login was refused: auth {auth} is wrong")
        if self._login.callback == "lost" or one.account is None:
            return "lost"
        return self._come_in(one.account, "page", "")

    # other ways in

    def with_token(self, token: str, organisation: str) -> str:
        """Log in by personal token; as `redeem`."""
        account = self.accounts.by_token(token)
        if account is None:
            raise RefusedError("TOKEN_INVALID", f"personal token {token} is invalid or expired")
        return self._come_in(account, "token", organisation)

    def with_key(self, key: str, secret: str, organisation: str) -> str:
        """Log in by access key; as `redeem`."""
        account = self.accounts.by_key(key, secret)
        if account is None:
            raise RefusedError("AK_INVALID", "the access key does not exist or does not match")
        return self._come_in(account, "aksks", organisation)

    def with_record(self, record: Record | None) -> None:
        """Log in by tokens that another login has.

        Raises:
            RefusedError: they belong to no login, or are good no more.
        """
        if record is None or not self._cloud.accepts(record):
            raise RefusedError("DEVICE_TOKEN_INVALID", "the device token is invalid")
        self._write(record, "device")

    def choose(self, organisation: str) -> None:
        """Work for an organisation; ends a login that waits for the choice.

        Raises:
            RefusedError: it is none of the account's.
        """
        account = self._choosing
        if organisation not in [one["orgId"] for one in self.organisations()]:
            raise RefusedError("ORG_NOT_FOUND", "the organisation is not one of the account")
        record = self.record
        if account is not None:
            self._enter(account, "organisation", organisation)
        elif record is not None:
            self._write(dataclasses.replace(record, organisation=organisation), "organisation")

    def refresh(self, refresh_token: str) -> Record:
        """Take a refresh token and return the new login.

        Raises:
            RefusedError: it is not the login's, or was taken before.
        """
        record = self.record
        if record is None or record.refresh_token != refresh_token:
            raise RefusedError("REFRESH_TOKEN_INVALID", "the refresh token is invalid")
        fresh = self._rotate(record)
        if fresh is None:
            raise RefusedError("REFRESH_TOKEN_USED", "the refresh token was used before")
        return fresh

    def leave(self) -> None:
        """Log out: the record goes, its tokens are good no more."""
        record = self.record
        if record is not None:
            self._cloud.revoke(record)
        self._choosing = None
        self._around.work_dir.forget_login()
        self._note("logout")
        self._report("auth/report")

    # inside

    def _come_in(self, account: Account, via: str, organisation: str) -> str:
        choices = account.choices
        if organisation and organisation not in choices:
            raise RefusedError("ORG_NOT_FOUND", "the organisation is not one of the account")
        if len(choices) > 1 and not organisation:
            self._choosing = account
            self._note("login-choosing", user=account.user)
            return "choose"
        self._enter(account, via, organisation or "".join(choices))
        return "in"

    def _enter(self, account: Account, via: str, organisation: str) -> None:
        self._choosing = None
        record = Record(
            user=account.user,
            family=self._around.new_id().replace("-", "")[:24],
            expires_ms=self._expiry(),
            organisation=organisation,
        )
        self._write(record, via)

    def _write(self, record: Record, via: str) -> None:
        self._asks, self._unsettled = 0, self._login.unsettled
        self._around.work_dir.write_login(record)
        self._note("login", user=record.user, via=via, organisation=record.organisation)
        self._report("auth/report")

    def _rotate(self, record: Record) -> Record | None:
        fresh = self._cloud.rotate(record, self._expiry())
        if fresh is not None:
            self._around.work_dir.write_login(fresh)
            self._note("login-refreshed", serial=fresh.serial)
            self._report("auth/syncTokenUpdate")
        return fresh

    def _expiry(self) -> int:
        return int(self._around.clock() * 1000) + LOGIN_MS

    def _report(self, method: str) -> None:
        if self._login.reports == "on":
            self._around.publish(method, self._account(2 if self.is_in else 1, with_id=self.is_in))

    def _note(self, event: str, **fields: object) -> None:
        self._around.journal.note(event, **fields)
