"""A password login: a real browser on the simulator's pages, in every layout."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from lingma_cli.auth.login.addresses import LoginHosts
from lingma_cli.auth.login.browser import PasswordLogin, by_password
from lingma_cli.auth.login.browser_home import on_path
from lingma_cli.auth.login.flows import Pace
from lingma_cli.auth.login.page_selectors import load_selectors
from lingma_cli.core.login import LoginState, LoginStatus
from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.secret import Secret
from tests.engines.lingma.live import Live
from tests.support.people import ScriptedPerson

pytestmark = pytest.mark.skipif(not any(on_path()), reason="no Chrome, Edge or Chromium is here")

PACE = Pace(timeout=30.0, pause=0.1, settle=3.0)


@pytest.fixture
def temp() -> Iterator[Path]:
    """A folder with a short name: the browser puts a socket there."""
    folder = Path(tempfile.mkdtemp(prefix="t-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def demo(tmp_path: Path, pages: str = "", login: str = "") -> Iterator[Live]:
    """Run a simulator that nobody is logged in to."""
    live = Live(tmp_path / "engine", login=f"state=file {login}", pages=pages)
    try:
        yield live
    finally:
        live.close()


def own_ports() -> frozenset[int]:
    """Return where the simulator listens, which is a child of this process."""
    children = psutil.Process().children(recursive=True)
    sockets = [one for child in children for one in child.net_connections("inet")]
    return frozenset(one.laddr.port for one in sockets if one.status == psutil.CONN_LISTEN)


def wish(live: Live, temp: Path, **changes: Any) -> PasswordLogin:
    """Return a login of the simulator's own account, without a window."""
    login = PasswordLogin(
        username="demo",
        password=Secret("demo-password"),
        hosts=LoginHosts(callback_port=live.engine.http_port, own_ports=own_ports()),
        is_dedicated=False,
        selectors=load_selectors(),
        temp=temp,
        is_headless=True,
    )
    return replace(login, **changes)


def log_in(
    live: Live, login: PasswordLogin, person: ScriptedPerson | None = None, pace: Pace = PACE
) -> LoginStatus:
    """Run the login to its end."""
    return run(live, by_password(live.engine.account, person or ScriptedPerson(), login, pace))


def run(live: Live, coroutine: Coroutine[Any, Any, LoginStatus]) -> LoginStatus:
    """Run it on the engine's own loop; a browser takes longer than most."""

    async def limited() -> LoginStatus:
        async with asyncio.timeout(60):
            return await coroutine

    return live._runner.run(limited())


@pytest.mark.parametrize(
    "pages", ["", "layout=iframe", "grant=poll", "layout=iframe grant=poll", "delay=1"]
)
def test_the_form_is_found(tmp_path: Path, temp: Path, pages: str) -> None:
    """Plain or in a frame, ending at the callback or on the page: the process is in."""
    with demo(tmp_path, pages) as live:
        status = log_in(live, wish(live, temp))

    assert (status.state, status.name) == (LoginState.IN, "demo")
    assert (tmp_path / "engine" / "cache" / "user").exists()


@pytest.mark.parametrize("pages", ["", "layout=iframe"])
def test_a_wrong_password_is_told_at_once(tmp_path: Path, temp: Path, pages: str) -> None:
    """The page's own words are the error, the password is not in it, and it was sent once."""
    with demo(tmp_path, pages) as live, pytest.raises(LingmaError) as caught:
        log_in(live, wish(live, temp, password=Secret("canary-wrong-password")))

    assert caught.value.kind is ErrorKind.LOGIN_REQUIRED
    assert caught.value.message == (
        "the login page refuses: The account name or the password is incorrect"
    )
    assert "canary" not in repr(caught.value) + str(caught.value.__context__)


@pytest.mark.parametrize(
    ("pages", "what"),
    [
        ("then=captcha", "a captcha"),
        ("then=sms", "a code by SMS"),
        ("then=consent", "your consent"),
        ("layout=qr", "a QR code"),
        ("layout=iframe then=captcha,sms", "a captcha"),
    ],
)
def test_a_step_for_a_person_ends_a_login_without_a_window(
    tmp_path: Path, temp: Path, pages: str, what: str
) -> None:
    """It says which step that is, and how to do it."""
    with demo(tmp_path, pages) as live, pytest.raises(LingmaError, match=what) as caught:
        log_in(live, wish(live, temp))

    assert caught.value.kind is ErrorKind.LOGIN_REQUIRED
    assert "without `--headless`" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("pages", "told"),
    [
        ("layout=dead", "did not open within"),
        ("layout=error", "answered with status 502"),
    ],
)
def test_a_page_that_does_not_come(tmp_path: Path, temp: Path, pages: str, told: str) -> None:
    """A dead page and an error page are told apart."""
    with demo(tmp_path, pages) as live, pytest.raises(LingmaError, match=told):
        log_in(live, wish(live, temp), pace=replace(PACE, timeout=12.0))


def test_a_page_without_a_known_form(tmp_path: Path, temp: Path) -> None:
    """Without a window it is given up; the hint names the way with one."""
    selectors = replace(load_selectors(), username=("#elsewhere",), password_tab=())
    with demo(tmp_path) as live, pytest.raises(LingmaError, match="no known form"):
        log_in(live, wish(live, temp, selectors=selectors), pace=replace(PACE, settle=1.0))


def test_selectors_can_be_replaced(tmp_path: Path, temp: Path) -> None:
    """A list of one's own finds the form as well; the order of its entries counts."""
    selectors = replace(
        load_selectors(),
        username=("#gone", "form >> input[type=text]"),
        submit=("button:has-text('Sign in')",),
    )
    with demo(tmp_path, "layout=iframe") as live:
        assert log_in(live, wish(live, temp, selectors=selectors)).state is LoginState.IN


def test_a_selector_that_is_none(tmp_path: Path, temp: Path) -> None:
    """It is named."""
    selectors = replace(load_selectors(), username=("in[[put",))
    with demo(tmp_path) as live, pytest.raises(LingmaError, match=r"`in\[\[put` is no selector"):
        log_in(live, wish(live, temp, selectors=selectors))


def test_an_untrusted_page_is_not_opened(tmp_path: Path, temp: Path) -> None:
    """An address of somebody else is refused, and no secret of the address is told."""
    with demo(tmp_path, login="generate=evil") as live, pytest.raises(LingmaError) as caught:
        log_in(live, wish(live, temp))

    assert "https://login.evil.invalid" in caught.value.message
    assert "nonce" not in caught.value.message


def test_somebody_elses_page_at_loopback_is_not_opened(tmp_path: Path, temp: Path) -> None:
    """Plain http is for what the process serves itself."""
    with demo(tmp_path) as live:
        login = wish(live, temp, hosts=LoginHosts(callback_port=live.engine.http_port))
        with pytest.raises(LingmaError, match="not trusted"):
            log_in(live, login)


def test_organisations(tmp_path: Path, temp: Path) -> None:
    """The one that was named is chosen; with none named and nobody there, the ids are listed."""
    team = {"username": "team", "password": Secret("team-password")}
    with demo(tmp_path / "one") as live:
        status = log_in(live, wish(live, temp, organisation="org-blue", **team))
    with demo(tmp_path / "two") as live, pytest.raises(LingmaError, match=r"org-red .*org-blue"):
        log_in(live, wish(live, temp, **team), ScriptedPerson(is_there=False))

    assert (status.state, status.organisation) == (LoginState.IN, "Org Blue")


def test_a_login_that_the_process_does_not_take(tmp_path: Path, temp: Path) -> None:
    """The page is passed and nothing comes of it: that is an error, not a wait."""
    with (
        demo(tmp_path, login="callback=lost") as live,
        pytest.raises(LingmaError, match="took no login"),
    ):
        log_in(live, wish(live, temp), pace=replace(PACE, settle=1.0))


def test_nothing_is_left_behind(tmp_path: Path, temp: Path) -> None:
    """The environment is as it was, and no process or file of the browser is left outside."""
    before = dict(os.environ)
    with demo(tmp_path) as live:
        log_in(live, wish(live, temp))
        running = [
            process.name()
            for process in psutil.Process().children(recursive=True)
            if process.status() != psutil.STATUS_ZOMBIE
        ]

    assert dict(os.environ) == before
    assert not [name for name in running if "chrom" in name or "node" in name]
    assert not [path for path in temp.rglob("*") if "profile" in path.name]
