"""The account of a process: logged in by every way, and what the engine makes of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from lingma_cli.core.login import LoginState, LoginStatus, Organisation
from lingma_cli.engines.lingma.login import read_status
from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.secret import Secret
from tests.demo.web import Page, visit
from tests.engines.lingma.live import Live

REAL = "state=file"
TOKEN = Secret("demo-personal-token")
TEAM = Secret("team-personal-token")
RIGHT = {"loginId": "demo", "password": "demo-password"}


class Watched(Live):
    """An engine that counts the news of its login."""

    def __init__(self, work_dir: Path, **changes: Any) -> None:
        self.news = 0
        super().__init__(work_dir, **changes)
        self.engine.on_login_change = self._on_news

    def _on_news(self) -> None:
        self.news += 1
        self._changed.set()

    def error(self, call: Any) -> LingmaError:
        """Run a call that must fail, and return why."""
        with pytest.raises(LingmaError) as caught:
            self.run(call)
        return caught.value

    def state(self) -> LoginState:
        """Ask for the state of the login."""
        return self.run(self.engine.account.status()).state


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Callable[..., Watched]]:
    """Start engines of one's own; they are ended after the test."""
    started: list[Watched] = []

    def start(login: str = REAL, **changes: Any) -> Watched:
        engine = Watched(tmp_path / f"work-{len(started)}", login=login, **changes)
        started.append(engine)
        return engine

    yield start
    for engine in started:
        engine.close()


# statuses


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        ('{"status":2,"id":"u"}', LoginState.IN),
        ('{"status":"2"}', LoginState.IN),
        ('{"status":1,"id":"u"}', LoginState.OUT),
        ('{"status":4,"id":"u"}', LoginState.UNKNOWN),
        ('{"status":4,"id":""}', LoginState.OUT),
        ("{}", LoginState.OUT),
        ("null", LoginState.UNKNOWN),
        ("[]", LoginState.UNKNOWN),
        ("?", LoginState.UNKNOWN),
    ],
)
def test_states(answer: str, state: LoginState) -> None:
    """2 is in, 1 is out, and the id decides about the others."""
    assert read_status(answer.encode()).state is state


def test_what_a_person_may_see() -> None:
    """Names, plan and end; no token."""
    answer = {
        "status": 2,
        "id": "u1",
        "name": "Ada",
        "orgName": "Red",
        "userType": "enterprise",
        "expireTime": 1_790_000_000_000,
        "whitelist": 3,
        "token": "pt-canary-canary",
    }

    status = read_status(json.dumps(answer).encode())

    assert status == LoginStatus(
        state=LoginState.IN,
        name="Ada",
        user_id="u1",
        organisation="Red",
        kind="enterprise",
        expires=1_790_000_000.0,
    )
    assert "canary" not in repr(status)


def test_fields_of_a_wrong_type_say_nothing() -> None:
    """One odd field costs that field only."""
    answer = b'{"status":2,"id":7,"name":[1],"expireTime":"soon","whitelist":1,"orgName":null}'

    status = read_status(answer)

    assert (status.user_id, status.name, status.expires, status.organisation) == ("7", "", 0.0, "")
    assert not status.is_allowed


# ways in


def test_connected_without_a_login(begin: Callable[..., Watched]) -> None:
    """Asks are refused, the account can be asked for."""
    live = begin()

    assert live.engine.login is LoginState.OUT
    assert live.state() is LoginState.OUT
    assert live.engine.models == ()
    with pytest.raises(LingmaError) as caught:
        live.ask("hi")
    assert caught.value.kind is ErrorKind.LOGIN_REQUIRED


def test_a_personal_token(begin: Callable[..., Watched]) -> None:
    """One call, and the engine answers and knows its models."""
    live = begin()

    live.run(live.engine.account.with_token(TOKEN, ""))

    assert live.state() is LoginState.IN
    live.until(lambda: bool(live.engine.models) and live.news > 0)
    assert live.engine.login is LoginState.IN
    assert live.ask("[[demo: say=yes]]")[0] == ("text", "yes")


def test_an_access_key(begin: Callable[..., Watched]) -> None:
    """Key and secret go together."""
    live = begin()
    key, secret = Secret("demo-access-key"), Secret("demo-secret-key")

    assert live.error(live.engine.account.with_access_key(key, key, "")).kind is (
        ErrorKind.LOGIN_REQUIRED
    )
    live.run(live.engine.account.with_access_key(key, secret, ""))
    status = live.run(live.engine.account.status())

    assert (status.state, status.name, status.is_allowed) == (LoginState.IN, "demo", True)
    assert status.expires > 0


def codes(page: Page) -> tuple[str, Secret, Secret]:
    """Return the path of a callback address, and its codes."""
    query = parse_qs(urlsplit(page.url).query)
    return page.path, Secret(query["auth"][0]), Secret(query["token"][0])


def test_a_browser(begin: Callable[..., Watched]) -> None:
    """The page ends at the process's own port, which the engine knows."""
    live = begin()
    url = live.run(live.engine.account.new_url(dedicated=False))

    end = visit(url.url).submit(**RIGHT)

    assert urlsplit(end.url).port == live.engine.http_port
    assert live.state() is LoginState.IN
    live.until(lambda: live.news > 0)


def test_a_pasted_address(begin: Callable[..., Watched]) -> None:
    """Its codes are taken with the nonce; a second time they are ignored, others are refused."""
    live = begin(login=f"{REAL} callback=fine")
    account = live.engine.account
    url = live.run(account.new_url(dedicated=False))
    path, auth, token = codes(visit(url.url).submit(**RIGHT))

    live.run(account.callback(url.nonce, auth, token))
    refused = live.error(account.callback(Secret("another-nonce"), auth, token))

    assert path == "/auth/callback"
    assert refused.kind is ErrorKind.LOGIN_REQUIRED
    assert "nonce is unknown" in refused.message
    assert live.state() is LoginState.IN


def test_organisations(begin: Callable[..., Watched]) -> None:
    """They are offered, and the choice ends the login."""
    live = begin()
    account = live.engine.account

    live.run(account.with_token(TEAM, ""))
    assert live.state() is LoginState.OUT
    offered = live.run(account.organisations())
    assert live.error(account.choose("org-green")).kind is ErrorKind.LOGIN_REQUIRED
    live.run(account.choose("org-blue"))

    assert offered == (
        Organisation(id="org-red", name="Org Red"),
        Organisation(id="org-blue", name="Org Blue"),
    )
    assert live.run(account.status()).organisation == "Org Blue"


def test_a_logout(begin: Callable[..., Watched]) -> None:
    """Nothing stays, and asks are refused."""
    live = begin(login="state=auto")

    live.run(live.engine.account.logout())

    assert live.state() is LoginState.OUT
    live.until(lambda: live.news > 0)
    assert not (live.work_dir / "cache" / "user").exists()
    with pytest.raises(LingmaError, match="not logged in"):
        live.ask("hi")


@pytest.mark.parametrize("endpoint", ["", "https://own.example"])
def test_a_dedicated_service(begin: Callable[..., Watched], endpoint: str) -> None:
    """The process is told its address; without one there is no page."""
    live = begin(endpoint=endpoint) if endpoint else begin()

    if endpoint:
        assert live.run(live.engine.account.new_url(dedicated=True)).url
    else:
        error = live.error(live.engine.account.new_url(dedicated=True))
        assert "dedicated domain is not configured" in error.message


# refusals


def test_both_spellings(begin: Callable[..., Watched]) -> None:
    """Other names for success, words, address and list."""
    live = begin(login=f"{REAL} spelling=other")
    account = live.engine.account

    error = live.error(account.callback(Secret("another-nonce"), TOKEN, TOKEN))
    url = live.run(account.new_url(dedicated=False))
    live.run(account.with_token(TEAM, ""))

    assert "nonce is unknown" in error.message
    assert urlsplit(url.url).path == "/lingma/login"
    assert url.nonce.reveal() in url.url
    assert [one.id for one in live.run(account.organisations())] == ["org-red", "org-blue"]


def test_a_page_from_the_older_method(begin: Callable[..., Watched]) -> None:
    """It gives no nonce of its own: the address has it."""
    live = begin(login=f"{REAL} lacks=login/generateUrl")

    url = live.run(live.engine.account.new_url(dedicated=False))

    assert visit(url.url).submit(**RIGHT).path == "/auth/callback"
    assert f"nonce={url.nonce.reveal()}" in url.url


def test_a_build_that_cannot(begin: Callable[..., Watched]) -> None:
    """Each unknown method is told by what it would have done."""
    missing = "auth/login,login/generateUrl,login/auth_callback,auth/grantInfos,auth/logout"
    live = begin(login=f"{REAL} lacks={missing},auth/switchAccount")
    account = live.engine.account
    calls = {
        "begin a login": account.new_url(dedicated=False),
        "take a pasted": account.callback(TOKEN, TOKEN, TOKEN),
        "personal token": account.with_token(TOKEN, ""),
        "access key": account.with_access_key(TOKEN, TOKEN, ""),
        "list organisations": account.organisations(),
        "choose an": account.choose("x"),
        "log out": account.logout(),
    }

    for words, call in calls.items():
        error = live.error(call)
        assert error.kind is ErrorKind.ENGINE_UNSUPPORTED
        assert error.message.startswith("this build of Lingma cannot ")
        assert words in error.message


def test_a_build_that_does_not_tell(begin: Callable[..., Watched]) -> None:
    """Without the method the state is unknown, and asks are tried."""
    live = begin(login="lacks=auth/status", rpc_timeout=0.5)

    assert live.state() is LoginState.UNKNOWN
    assert live.ask("[[demo: say=yes]]")[0] == ("text", "yes")


@pytest.mark.parametrize(
    "secret", ["canary-token", "canary token", "ca", "canary" * 60, "密码密码密码密码"]
)
def test_a_refusal_does_not_repeat_a_secret(begin: Callable[..., Watched], secret: str) -> None:
    """The service quotes the token in its words; the error does not."""
    live = begin()

    error = live.error(live.engine.account.with_token(Secret(secret), ""))

    assert error.kind is ErrorKind.LOGIN_REQUIRED
    assert secret not in error.message
    assert secret[:6] not in error.message


def test_nothing_secret_is_logged(
    begin: Callable[..., Watched], caplog: pytest.LogCaptureFixture
) -> None:
    """Neither what was sent, nor the tokens that came back in answers and pushes."""
    caplog.set_level(0)
    live = begin(login=f"{REAL} refresh=1")
    live.run(live.engine.account.with_token(TOKEN, ""))
    live.state()
    live.ask("hi")
    live.error(live.engine.account.with_token(Secret("canary-token"), ""))

    assert TOKEN.reveal() not in caplog.text
    assert "canary" not in caplog.text
    assert "pt-" not in caplog.text
    assert "rt-" not in caplog.text


def test_without_a_connection(tmp_path: Path) -> None:
    """Every call says so."""
    live = Watched(tmp_path, login=REAL)
    live.end()

    try:
        assert live.error(live.engine.account.status()).kind is ErrorKind.ENGINE_UNAVAILABLE
        assert live.error(live.engine.account.logout()).kind is ErrorKind.ENGINE_UNAVAILABLE
    finally:
        live.close()


# news


def test_a_login_that_expires_in_use(begin: Callable[..., Watched]) -> None:
    """The ask that meets it takes the engine's login away, and the owner hears of it."""
    live = begin(login="expire=1")
    assert live.ask("[[demo: say=yes]]")[0] == ("text", "yes")
    news = live.news

    assert live.ask("hi") == [("failed", "login_required")]

    assert live.engine.login is LoginState.OUT
    live.until(lambda: live.news > news)
    with pytest.raises(LingmaError, match="not logged in"):
        live.ask("hi")


def test_a_login_that_is_refused_by_the_reply(begin: Callable[..., Watched]) -> None:
    """No push tells of it, so the status is asked for."""
    live = begin(login="expire=0", sides="logged_out=error")

    assert live.ask("hi")[-1][0] == "failed"

    live.until(lambda: live.engine.login is LoginState.OUT)


def test_one_bad_end_is_not_the_last(begin: Callable[..., Watched]) -> None:
    """Who still has a login answers the next ask."""
    live = begin(login="state=auto")

    for words in ("finish=401", "say=yes"):
        live.ask(f"[[demo: {words}]]")

    assert live.engine.login is LoginState.IN


def test_a_refresh_is_told(begin: Callable[..., Watched]) -> None:
    """By the push, when the record is the new one already."""
    live = begin(login="refresh=1")
    seen: list[str] = []
    record = live.work_dir / "cache" / "user"
    before = record.read_text(encoding="utf-8")
    live.engine.on_login_change = lambda: seen.append(record.read_text(encoding="utf-8"))

    live.ask("hi")

    live.run(_until(lambda: any(text != before for text in seen)))


def test_a_login_elsewhere_is_told(begin: Callable[..., Watched]) -> None:
    """Somebody logs in at the process's own page: the report is enough to learn the models."""
    live = begin()
    url = live.run(live.engine.account.new_url(dedicated=False))

    visit(url.url).submit(**RIGHT)

    live.until(lambda: live.news > 0)
    assert live.engine.login is LoginState.IN
    assert live.engine.models


def test_a_silent_build_is_found_out(begin: Callable[..., Watched]) -> None:
    """Without a push the changed record is seen when the login is looked at."""
    live = begin(login=f"{REAL} reports=off")
    url = live.run(live.engine.account.new_url(dedicated=False))

    visit(url.url).submit(**RIGHT)
    assert live.news == 0

    assert live.state() is LoginState.IN
    live.until(lambda: live.news > 0 and bool(live.engine.models))


async def _until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - another process
        await asyncio.sleep(0.005)
