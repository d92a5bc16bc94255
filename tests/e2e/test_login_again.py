"""`lingma login` for a known account: a login that holds is left alone, another is renewed."""

from __future__ import annotations

from pathlib import Path

import pytest

from lingma_cli.auth.accounts import Account
from lingma_cli.auth.bundles.bundle import pack, to_text
from tests.support.accounts import AccountHome, bundle_of, launcher, record
from tests.support.cli import Result, Terminal, run_lingma, terminal
from tests.support.logins import login_url, sign_in
from tests.support.serving import Serving, serving, wait_until

AGAIN = ("login", "--account", "work", "--accept-terms")
# Where no browser of this machine can be seen.
FAR = {"SSH_CONNECTION": "198.51.100.7 50022 192.0.2.4 22"}


@pytest.fixture
def home(tmp_path: Path) -> AccountHome:
    """A home with the account `work`."""
    home = AccountHome(root=tmp_path)
    home.add("work", record("work"))
    return home


def options(home: AccountHome) -> tuple[str, ...]:
    return (*AGAIN, "--bin", launcher(home.root / "bin"))


def again(home: AccountHome, *more: str, login: str = "") -> Result:
    """Do what the error advises, where nobody is."""
    environ = home.environ(login) | FAR
    return run_lingma(*options(home), *more, home=home.folder, env=environ, timeout=60)


def sign_in_at(screen: Terminal) -> None:
    """Do at the login page, and at the prompt, what a person does."""
    screen.expect("Paste the address", timeout=30)
    url = login_url(screen.raw.decode(errors="replace"))
    assert url is not None
    screen.type(sign_in(url) + "\r")


def state_of(server: Serving) -> str:
    (row,) = server.get("/internal/auto-login/status").json()["instances"]
    return str(row["state"])


def wait_for(server: Serving, state: str) -> None:
    wait_until(lambda: state_of(server) == state, what=state)


def test_the_advised_command_helps_while_serving(home: AccountHome) -> None:
    """The login expires in use; the command logs in, the server takes it up and answers."""
    environ = home.environ("expire=2")
    with serving(home.folder, *home.arguments, environ=environ) as server:
        wait_for(server, "in")
        codes = [server.ask("hello").status_code for _ in range(3)]
        with terminal(*options(home), home=home.folder, env=environ | FAR) as screen:
            sign_in_at(screen)
            screen.expect("the running server takes it up")
            code = screen.wait()
        wait_for(server, "in")
        answer = server.ask("hello").status_code

    assert (codes, code, answer) == ([200, 200, 401], 0, 200)


def test_the_advised_command_helps_without_a_server(home: AccountHome) -> None:
    """An engine of its own is asked; the service says that the login is over."""
    home.cloud.revoke(record("work"))
    with terminal(*options(home), home=home.folder, env=home.environ() | FAR) as screen:
        screen.expect("`work` is not logged in any more", timeout=30)
        sign_in_at(screen)
        screen.expect("logged in as demo")
        assert screen.wait() == 0
    later = again(home)

    assert (later.code, "already logged in as demo" in later.err) == (0, True)


def test_a_login_that_holds_is_left_alone(home: AccountHome) -> None:
    """Whether a server says so or an engine; what the engine has refreshed is kept."""
    with serving(home.folder, *home.arguments, environ=home.environ()) as server:
        wait_for(server, "in")
        # The server knows: nothing is started.
        served = run_lingma(*AGAIN, "--bin", "/nonexistent", home=home.folder, env=home.environ())
    alone = again(home)

    for done in (served, alone):
        assert (done.code, "already logged in as work" in done.err) == (0, True), done.err
    assert not (home.folder / "state" / "login").exists()


def test_a_server_that_is_only_starting_is_waited_for(home: AccountHome) -> None:
    """Its engine works with the login: nobody else tries it out meanwhile."""
    environ = home.environ() | {"LINGMA_DEMO_START": "delay=1"}
    with serving(home.folder, *home.arguments, environ=environ, ready=False):
        done = run_lingma(*AGAIN, "--bin", "/nonexistent", home=home.folder, env=home.environ())

    assert (done.code, "already logged in" in done.err) == (0, True), done.err


def test_an_account_that_the_server_does_not_serve(home: AccountHome) -> None:
    """One that came after its start is tried out by an engine of its own."""
    with serving(home.folder, *home.arguments, environ=home.environ()) as server:
        wait_for(server, "in")
        home.add("late", record("late"))
        good = again(home, "--account", "late")
        home.cloud.revoke(record("late"))
        bad = again(home, "--account", "late", "--timeout", "1")

    assert (good.code, "already logged in as late" in good.err) == (0, True), good.err
    assert (bad.code, "nobody logged in within 1 seconds" in bad.err) == (5, True)


def test_a_server_with_other_keys_is_no_witness(home: AccountHome) -> None:
    """Without its admin token an engine of one's own is asked."""
    environ = home.environ() | {"LINGMA_ADMIN_TOKEN": "another-admin-token-of-the-server"}
    with serving(home.folder, *home.with_keys, environ=environ):
        done = again(home)

    assert (done.code, "already logged in" in done.err) == (0, True), done.err


def test_a_new_bundle_is_taken_up(home: AccountHome) -> None:
    """`session import` tells the running server, as a login does; a new account is served too."""
    home.home.accounts.add(Account(name="empty", method="import"))
    bundle = to_text(pack(bundle_of(record("empty"))))
    command = ("session", "import", "-", "--account")
    with serving(home.folder, *home.arguments, environ=home.environ(), ready=False) as server:

        def is_in(account: str = "empty") -> bool:
            rows = server.get("/internal/auto-login/status").json()["instances"]
            return {account: "in"} in [{row["account"]: row["state"]} for row in rows]

        before = is_in()
        taken = run_lingma(*command, "empty", home=home.folder, env=home.environ(), stdin=bundle)
        wait_until(is_in, what="the imported login in use")
        late = run_lingma(*command, "late", home=home.folder, env=home.environ(), stdin=bundle)
        wait_until(lambda: is_in("late"), what="an engine for the new account")
    alone = run_lingma(*command, "other", home=home.folder, env=home.environ(), stdin=bundle)

    assert [one.code for one in (taken, late, alone)] == [0, 0, 0]
    assert not before
    assert "imported the login as `empty`; the running server takes it up" in taken.err
    assert "imported the login as `late`; the running server takes it up" in late.err
    assert "imported the login as `other`; run `lingma serve`" in alone.err
