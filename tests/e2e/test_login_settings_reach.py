"""The settings of executable and accounts reach whoever must obey them, each by its value.

`test_settings_reach` has the others, and sees that none is missing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from lingma_cli.auth.bundles.bundle import pack, to_text
from lingma_cli.auth.login.browser_home import on_path
from lingma_cli.settings import environment_name
from tests.support.accounts import AccountHome, bundle_of, record
from tests.support.cli import Result, run_lingma
from tests.support.logins import binary
from tests.support.marketplace import GALLERY, VENDOR, HttpsServer, Shop, https_server
from tests.support.packages import good
from tests.support.serving import Serving, serving, wait_until

# the executable

ALWAYS = {"LINGMA_BOOTSTRAP_ALWAYS": "true"}


@contextmanager
def shop(folder: Path) -> Iterator[tuple[HttpsServer, Shop, dict[str, str]]]:
    """Open a Marketplace with one version; yield it with the environment that leads there."""
    stock = Shop(packages={"2.6.10": good("2.6.10")})
    with https_server(folder, stock) as server:
        more = {"HOME": str(folder / "nobody"), "NO_PROXY": "127.0.0.1"}
        yield server, stock, {**server.environment(), **more}


def serve(folder: Path, environ: dict[str, str]) -> Result:
    """Run a server that does not come to listen."""
    return run_lingma("serve", "--port", "0", home=folder / "home", env=environ, timeout=60)


def source_is_the_vendors(folder: Path) -> None:
    """Check `source_type`."""
    with shop(folder) as (server, _, environ):
        environ |= {**ALWAYS, "LINGMA_SOURCE_TYPE": "vsix"}
        with serving(folder / "home", "--no-auth", environ=environ):
            assert [request.host for request in server.requests] == [VENDOR]


def source_is_the_address(folder: Path) -> None:
    """Check `vsix_url`."""
    with shop(folder) as (server, _, environ):
        url = server.url("/mine.vsix")
        environ |= {**ALWAYS, "LINGMA_SOURCE_TYPE": "vsix", "LINGMA_VSIX_URL": url}
        with serving(folder / "home", "--no-auth", environ=environ):
            assert [request.path for request in server.requests] == ["/mine.vsix"]


def asks_for(name: str, value: str, wanted: bytes) -> Callable[[Path], None]:
    """Check what the Marketplace is asked for."""

    def check(folder: Path) -> None:
        with shop(folder) as (server, stock, environ):
            stock.packages = {}
            result = serve(folder, environ | ALWAYS | {environment_name(name): value})
            assert result.code == 4
            assert wanted in server.requests[0].body

    return check


def looks_for_a_newer_one(folder: Path) -> None:
    """Check `bootstrap_always`: without a question, and only with it."""
    with shop(folder) as (server, stock, environ):
        home = folder / "home"
        assert run_lingma("engine", "install", home=home, env=environ).code == 0
        stock.packages["2.7.0"] = good("2.7.0")
        asked = len(server.requests)
        with serving(home, "--no-auth", environ=environ):
            assert len(server.requests) == asked
        with serving(home, "--no-auth", environ=environ | ALWAYS):
            assert "2.7.0" in run_lingma("engine", "path", home=home, env=environ).out


def downloads_it_again(folder: Path) -> None:
    """Check `force_refresh`: the version is there."""
    with shop(folder) as (server, _, environ):
        home = folder / "home"
        assert run_lingma("engine", "install", home=home, env=environ).code == 0
        asked = len(server.requests)
        environ["LINGMA_FORCE_REFRESH"] = "true"
        with serving(home, "--no-auth", environ=environ):
            again = [(request.method, request.host) for request in server.requests[asked:]]
            assert ("GET", GALLERY) in again


# the vault


def keys_are_in(kind: str) -> Callable[[Path], None]:
    """Check `store`."""

    def check(folder: Path) -> None:
        home = AccountHome(root=folder)
        with serving(home.folder, *home.with_keys, environ={"LINGMA_STORE": kind}) as server:
            assert f"`store = {kind}`" in server.log
            assert list(home.paths.vault_folder.iterdir())

    return check


def vault_opens_with_the_file(folder: Path) -> None:
    """Check `passphrase_file`: with what it holds, and nothing else."""
    home = AccountHome(root=folder)

    def environ(passphrase: str) -> dict[str, str]:
        file = folder / "passphrase"
        file.write_text(f"{passphrase}\n")
        file.chmod(0o600)
        return {"LINGMA_STORE": "encrypted", "LINGMA_PASSPHRASE_FILE": str(file)}

    with serving(home.folder, *home.with_keys, environ=environ("one two three four")):
        pass
    wrong = run_lingma("key", "show", home=home.folder, env=environ("four three two one"))
    right = run_lingma("key", "show", home=home.folder, env=environ("one two three four"))

    assert wrong.code != 0
    assert (right.code, len(right.out.strip()) >= 20) == (0, True), right.err


# accounts of one run


def login(server: Serving) -> dict[str, Any]:
    """Return the state of the only login."""
    (row,) = server.get("/internal/auto-login/status").json()["instances"]
    assert isinstance(row, dict)
    return row


def bundle() -> str:
    """Return a login as text."""
    return to_text(pack(bundle_of(record("ci")))).strip()


def is_logged_in_as(name: str, environ: Callable[[Path], dict[str, str]]) -> Callable[[Path], None]:
    """Check a setting with a login in it."""

    def check(folder: Path) -> None:
        home = AccountHome(root=folder)
        more = home.environ() | environ(folder)
        with serving(home.folder, *home.arguments, environ=more) as server:
            wait_until(lambda: login(server)["state"] == "in", what=server.log)
            assert login(server)["account"] == name

    return check


def in_a_file(folder: Path) -> dict[str, str]:
    """Write a bundle into a file."""
    path = folder / "bundle"
    path.write_text(bundle())
    path.chmod(0o600)
    return {"LINGMA_SESSION_BUNDLE_FILE": str(path)}


@contextmanager
def by_password(
    folder: Path,
    *,
    user: str = "demo",
    password: str = "demo-password",
    pages: str = "",
    **more: str,
) -> Iterator[Serving]:
    """Serve an account with a password, in a browser if one is needed."""
    given = {"username": user, "password": password, **more}
    environ = {environment_name(name): value for name, value in given.items()}
    path = str(binary(folder, pages=pages))
    with serving(folder / "home", "--no-auth", "--bin", path, environ=environ) as server:
        yield server


def needs_a_browser() -> None:
    """Skip where there is none."""
    if not any(on_path()):
        pytest.skip("no Chrome, Edge or Chromium is here")


def comes_to(server: Serving, state: str, *words: str) -> None:
    """Wait for a state of the login, with words in its last error."""

    def has_come() -> bool:
        row = login(server)
        return row["state"] == state and all(word in str(row["last_error"]) for word in words)

    wait_until(has_come, within=60, what=f"{state} {words}: {login(server)}")


def password_is_typed(folder: Path) -> None:
    """Check `username` and `password`: these two and no others open the page."""
    needs_a_browser()
    with by_password(folder) as server:
        comes_to(server, "in")
    (other := folder / "other").mkdir()
    with by_password(other, user="demo2", auto_login_max_retry="0") as server:
        comes_to(server, "out", "refuses")


def nothing_is_tried(folder: Path) -> None:
    """Check `auto_login_enabled`."""
    with by_password(folder, auto_login_enabled="false") as server:
        wait_until(lambda: "error: the account `default`" in server.log, what=server.log)
        assert (login(server)["state"], login(server)["tries"]) == ("out", 0)


def a_window_is_opened(folder: Path) -> None:
    """Check `auto_login_headless`: a window needs a screen, and there is none."""
    needs_a_browser()
    with by_password(folder, auto_login_headless="false", auto_login_max_retry="0") as server:
        comes_to(server, "out", "no browser could be started")


def one_second_is_enough(folder: Path) -> None:
    """Check `auto_login_timeout`."""
    needs_a_browser()
    late = {"auto_login_timeout": "1", "auto_login_max_retry": "0"}
    with by_password(folder, pages="delay=20", **late) as server:
        comes_to(server, "out", "within")


def one_try_is_enough(folder: Path) -> None:
    """Check `auto_login_max_retry`; the default would try again five seconds later."""
    with by_password(folder, password="wrong", auto_login_max_retry="0") as server:
        wait_until(lambda: "error: the account `default`" in server.log, within=60)
        assert login(server)["tries"] == 1


CHECKS: dict[str, Callable[[Path], None]] = {
    "source_type": source_is_the_vendors,
    "marketplace_publisher": asks_for("marketplace_publisher", "Someone", b"Someone.tongyi-lingma"),
    "marketplace_extension": asks_for("marketplace_extension", "thing", b"Alibaba-Cloud.thing"),
    "vsix_url": source_is_the_address,
    "bootstrap_always": looks_for_a_newer_one,
    "force_refresh": downloads_it_again,
    "store": keys_are_in("plain"),
    "passphrase_file": vault_opens_with_the_file,
    "accounts": is_logged_in_as(
        "account-1",
        lambda _: {"LINGMA_ACCOUNTS": json.dumps([{"session_bundle": bundle()}])},
    ),
    "session_bundle": is_logged_in_as("default", lambda _: {"LINGMA_SESSION_BUNDLE": bundle()}),
    "session_bundle_file": is_logged_in_as("default", in_a_file),
    "username": password_is_typed,
    "password": password_is_typed,
    "auto_login_enabled": nothing_is_tried,
    "auto_login_headless": a_window_is_opened,
    "auto_login_timeout": one_second_is_enough,
    "auto_login_max_retry": one_try_is_enough,
}


# A check of two settings runs once.
@pytest.mark.parametrize("key", [key for key in CHECKS if key != "password"])
def test_setting_reaches_its_consumer(tmp_path: Path, key: str) -> None:
    """The value changes what it should."""
    CHECKS[key](tmp_path)
