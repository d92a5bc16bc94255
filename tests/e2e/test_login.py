"""From nothing to a login: every method of `lingma login`, as a process, against the simulator."""

from __future__ import annotations

import json
import shlex
import signal
import stat
import sys
from pathlib import Path

import psutil
import pytest

from tests.support.cli import Result, run_lingma, terminal
from tests.support.logins import binary, login_url, sign_in, visit
from tests.support.serving import wait_until

AGREED = ("--accept-terms", "--store", "plain")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home that is not there yet."""
    return tmp_path / "home"


def login(home: Path, *arguments: str, stdin: str = "", **switches: str) -> Result:
    """Run `lingma login` with the simulator; `switches` are its."""
    options = ("--bin", str(binary(home.parent, **switches)), *AGREED, *arguments)
    return run_lingma("login", *options, home=home, stdin=stdin, timeout=60)


def whoami(home: Path, *arguments: str) -> dict[str, object]:
    """Return what `lingma whoami` knows."""
    said = run_lingma("whoami", "--json", *arguments, home=home)
    assert said.code == 0, said.err
    facts: dict[str, object] = json.loads(said.out)
    return facts


def left_in(home: Path) -> list[str]:
    """Return the files of the state folder besides those of accounts, vault, terms and locks."""
    known = {"accounts.json", "terms.json", "vault"}
    return [
        path.name
        for path in (home / "state").iterdir()
        if path.name not in known and path.suffix != ".lock"
    ]


@pytest.mark.parametrize(
    ("method", "stdin"),
    [("token", "demo-personal-token\n"), ("aksk", "demo-access-key\ndemo-secret-key\n")],
)
def test_secrets_from_standard_input(home: Path, method: str, stdin: str) -> None:
    """A token and an access key come by standard input; the login is kept, nothing else."""
    done = login(home, "--method", method, stdin=stdin)

    assert done.code == 0, done.err
    assert "logged in as demo; run `lingma serve`" in done.err
    assert whoami(home)["method"] == method
    assert (home / "state" / "vault" / "entry.login+default.plain").exists()
    assert left_in(home) == []


def test_who_is_logged_in_stays_so(home: Path) -> None:
    """A second `lingma login` finds that the login holds; `--force` logs in again."""
    login(home, "--method", "token", stdin="demo-personal-token\n")
    again = login(home)
    forced = login(home, "--method", "auto", "--force", "--timeout", "1")

    assert (again.code, "already logged in as demo" in again.err) == (0, True)
    assert forced.code == 5
    assert "nobody logged in within 1 seconds" in forced.err
    assert whoami(home)["method"] == "token"


@pytest.mark.parametrize(
    ("method", "stdin"),
    [("token", "pt-unheard-of\n"), ("aksk", "ak-unheard-of\nsk-unheard-of\n")],
    ids=["token", "aksk"],
)
def test_a_refusal(home: Path, method: str, stdin: str) -> None:
    """It is exit code 5 without the secret in it, and there is no account."""
    done = login(home, "--method", method, stdin=stdin)

    assert done.code == 5
    assert "unheard" not in done.err
    assert run_lingma("whoami", home=home).code == 5
    assert left_in(home) == []


def test_an_input_that_ends_too_early(home: Path) -> None:
    """What was missing is told, and where it comes from."""
    done = login(home, "--method", "aksk", stdin="demo-access-key\n")

    assert done.code == 2
    assert "AccessKey secret" in done.err
    assert "standard input" in done.err


def test_organisations(home: Path) -> None:
    """Several and none named: their ids are listed; the one named is worked for."""
    listed = login(home, "--method", "token", stdin="team-personal-token\n")
    chosen = login(
        home, "--method", "token", "--organisation", "org-blue", stdin="team-personal-token\n"
    )

    assert listed.code == 2
    assert "org-red (Org Red), org-blue (Org Blue)" in listed.err
    assert "--organisation ID" in listed.err
    assert chosen.code == 0, chosen.err
    assert whoami(home)["organisation"] == "Org Blue"


def test_an_account_that_may_not(home: Path) -> None:
    """Who is in, but not allowed, gets no account here."""
    account = "user=shut token=shut-personal-token whitelist=1"
    done = login(home, "--method", "token", stdin="shut-personal-token\n", account=account)

    assert done.code == 5
    assert "may not use Lingma" in done.err
    assert run_lingma("whoami", home=home).code == 5


def test_the_terms_are_asked_for_once(home: Path) -> None:
    """Without a terminal and without the option it ends; a `no` ends it; a `yes` is recorded."""
    path = str(binary(home.parent))
    options = ("--method", "token", "--bin", path, "--store", "plain")
    unasked = run_lingma("login", *options, home=home, stdin="demo-personal-token\n")
    with terminal("login", *options, home=home) as refusing:
        refusing.expect("Do you accept this?")
        refusing.type("no\r")
        assert refusing.wait() == 2
    with terminal("login", *options, home=home) as agreeing:
        agreeing.expect("Do you accept this?")
        agreeing.type("yes\r")
        agreeing.expect("Personal token:")
        agreeing.type("demo-personal-token\r")
        agreeing.expect("logged in as demo")
        assert agreeing.wait() == 0
        assert b"demo-personal-token" not in agreeing.raw
    later = run_lingma("login", *options, home=home, stdin="demo-personal-token\n")

    assert (unasked.code, "--accept-terms" in unasked.err) == (2, True)
    assert later.code == 0, later.err
    record = json.loads((home / "state" / "terms.json").read_text())
    assert record["version"] == 1
    assert len(record["accepted"]) == len("2026-01-31")


def test_a_pasted_address(home: Path) -> None:
    """Junk, another login's address and a used one are told; the right one logs in."""
    options = ("--bin", str(binary(home.parent)), *AGREED)
    with terminal("login", "--method", "paste", *options, home=home) as person:
        person.expect("Paste the address")
        first = _shown_url(person.raw)
        address = sign_in(first)
        person.type("http://example.org/\r")
        person.expect("That is not the address")
        person.type("http://127.0.0.1:1/auth/callback?state=2-other&auth=a&token=b\r")
        person.expect("belongs to another login")
        person.type(address.replace("token=", "token=x") + "\r")
        person.expect("Try once more")
        wait_until(lambda: (person._read(0.1), _shown_url(person.raw) != first)[1])
        second = sign_in(_shown_url(person.raw))
        person.type(second + "\r")
        person.expect("logged in as demo")
        assert person.wait() == 0

    assert second.partition("?")[2] != address.partition("?")[2]
    assert whoami(home)["method"] == "paste"


def test_over_ssh_the_tunnel_is_named(home: Path) -> None:
    """The line has the port on which the callback really listens; coming by it ends the login."""
    options = ("--bin", str(binary(home.parent)), *AGREED)
    env = {"SSH_CONNECTION": "198.51.100.7 50022 192.0.2.4 2222", "DISPLAY": ":7"}
    with terminal("login", *options, home=home, env=env) as person:
        person.expect("Paste the address")
        address = sign_in(_shown_url(person.raw))
        port = address.split("/")[2].split(":")[1]
        person.expect(f"ssh -L {port}:127.0.0.1:{port} -p 2222 ")
        assert "@192.0.2.4" in person.text()
        visit(address)
        person.expect("logged in as demo")
        assert person.wait() == 0

    assert whoami(home)["method"] == "paste"


def test_the_browser_is_opened(home: Path, tmp_path: Path) -> None:
    """The one that `BROWSER` names gets the page, and its visit is the login."""
    browser = tmp_path / "browser"
    browser.write_text(
        f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {str(Path.cwd())!r})\n"
        "from tests.support.logins import sign_in, visit\nvisit(sign_in(sys.argv[1]))\n"
    )
    browser.chmod(0o755)
    options = ("--bin", str(binary(tmp_path)), *AGREED)
    env = {"BROWSER": f"{shlex.quote(str(browser))} %s", "SSH_CONNECTION": "", "SSH_TTY": ""}
    done = run_lingma("login", *options, home=home, env=env, timeout=60)

    assert done.code == 0, done.err
    assert whoami(home)["method"] == "browser"


def test_somebody_elses_page_is_not_shown(home: Path) -> None:
    """An address outside the vendor's hosts is refused before anybody sees it."""
    done = login(home, "--method", "paste", login="state=file generate=evil")

    assert done.code == 5
    assert "not trusted: https://login.evil.invalid" in done.err
    assert "nonce=" not in done.err


def test_interrupted(home: Path) -> None:
    """Ctrl-C at the prompt: 130, the terminal is sane, and nothing runs or lies about."""
    options = ("--bin", str(binary(home.parent)), *AGREED)
    with terminal("login", "--method", "paste", *options, home=home) as person:
        person.expect("Paste the address")
        family = psutil.Process(person.process.pid).children(recursive=True)
        person.type("\x03")
        assert person.wait() == 130
        wait_until(lambda: not any(map(_lives, family)), what="the end of the engine")

    assert family
    assert left_in(home) == []
    assert run_lingma("whoami", home=home).code == 5


def test_killed(home: Path) -> None:
    """What a killed login left is gone with the next one; two at once are refused."""
    options = ("--bin", str(binary(home.parent)), *AGREED)
    with terminal("login", "--method", "paste", *options, home=home) as person:
        person.expect("Paste the address")
        second = login(home, "--method", "token", stdin="demo-personal-token\n")
        temp = home.parent / "lingma-login-left"
        temp.mkdir()
        (home / "state" / "login" / "temp").write_text(str(temp))
        person.process.send_signal(signal.SIGKILL)
        person.process.wait(10)
    assert left_in(home) == ["login"]
    done = login(home, "--method", "token", stdin="demo-personal-token\n")

    assert (second.code, "under way" in second.err) == (3, True)
    assert done.code == 0, done.err
    assert left_in(home) == []
    assert not temp.exists()


def test_the_work_is_private(home: Path) -> None:
    """While a login comes about, its folder is the user's alone."""
    options = ("--bin", str(binary(home.parent)), *AGREED)
    with terminal("login", "--method", "paste", *options, home=home) as person:
        person.expect("Paste the address")
        folders = [home / "state" / "login", home / "state" / "login" / "engine"]
        modes = [stat.S_IMODE(folder.stat().st_mode) for folder in folders]

    assert modes == [0o700, 0o700]


@pytest.mark.parametrize("method", ["sms", ""])
def test_an_unknown_method(home: Path, method: str) -> None:
    """It is a usage error that lists the methods."""
    done = run_lingma("login", "--method", method, home=home)

    assert done.code == 2
    assert "auto, browser, paste, password, token, aksk, import" in done.err


@pytest.mark.parametrize("command", ["login", "account", "logout"])
def test_an_engine_that_dies(home: Path, command: str) -> None:
    """One sentence says so; what is for a server's log does not reach the person."""
    login(home, "--method", "token", stdin="demo-personal-token\n")
    path = str(binary(home.parent, start="exit"))
    words = {
        "login": ("login", "--method", "token", "--account", "other"),
        "account": ("account", "test"),
        "logout": ("logout",),
    }
    done = run_lingma(*words[command], "--bin", path, home=home, stdin="demo-personal-token\n")

    assert "Lingma" in done.err
    assert "said last" not in done.err


def test_import(home: Path, tmp_path: Path) -> None:
    """A bundle of another home is a login here, after an engine has confirmed it."""
    other = tmp_path / "other"
    login(other, "--method", "token", stdin="demo-personal-token\n")
    bundle = run_lingma("session", "export", "--plaintext", home=other).out
    done = login(home, "--method", "import", "--account", "moved", stdin=bundle)
    refused = login(home, "--method", "import", "--account", "bad", stdin="junk")

    assert done.code == 0, done.err
    assert whoami(home, "--account", "moved")["username"] == "demo"
    assert refused.code != 0
    assert "logged in" not in refused.err


def _shown_url(raw: bytes) -> str:
    # The screen wraps long lines; what was written does not.
    url = login_url(raw.decode(errors="replace"))
    assert url is not None
    return url


def _lives(process: psutil.Process) -> bool:
    return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
