"""`lingma serve` with accounts: their engines, their logins, and what becomes of both."""

from __future__ import annotations

import json
import signal
import threading
from pathlib import Path
from typing import Any

import psutil
import pytest

from lingma_cli.auth.bundles.bundle import from_text, pack, to_text, unpack
from tests.support.accounts import AccountHome, bundle_of, launcher, record, record_of
from tests.support.cli import Result, run_lingma, terminal
from tests.support.serving import ADMIN, Serving, serving, wait_until

PASSWORD = "canary-Pa55word-9f3c"


@pytest.fixture
def home(tmp_path: Path) -> AccountHome:
    return AccountHome(root=tmp_path)


def logins(server: Serving) -> dict[str, dict[str, Any]]:
    """Return the state of each login by account."""
    found = server.administer("GET", "/internal/auto-login/status").json()["instances"]
    return {row["account"]: row for row in found}


def states(server: Serving) -> dict[str, str]:
    return {account: row["state"] for account, row in logins(server).items()}


def wait_for(server: Serving, **wanted: str) -> None:
    """Wait until the logins are in these states."""
    wait_until(lambda: states(server) == wanted, what=f"{wanted}, not {states(server)}")


def error_of(server: Serving, text: str = "hello") -> dict[str, Any]:
    error: dict[str, Any] = server.ask(text).json()["error"]
    return error


def kill(server: Serving) -> None:
    """Let a server die without a last word; its guardians end the engines."""
    children = server.children()
    server.stop(signal.SIGKILL)
    psutil.wait_procs(children, timeout=10)
    (server.home / "run" / "server.json").unlink()


def log_in(home: AccountHome, account: str, environ: dict[str, str]) -> Result:
    """Log in from another terminal."""
    options = ("--account", account, "--method", "token", "--accept-terms")
    done = run_lingma(
        "login",
        *options,
        *("--bin", launcher(home.root / "bin")),
        home=home.folder,
        env=environ,
        stdin="demo-personal-token\n",
    )
    assert done.code == 0, done.err
    return done


def test_a_new_bundle_in_the_vault_is_taken_up_on_demand(home: AccountHome) -> None:
    """However it came there; without one a start changes nothing."""
    home.add("work", record("work"))
    home.cloud.revoke(record("work"))
    start = "/internal/auto-login/start?account=work"

    with serving(home.folder, *home.arguments, environ=home.environ()) as server:
        wait_for(server, work="out")
        (before,) = server.post({}, start).json()["instances"]
        home.add_while_serving("work", record("work", serial=7))
        code = server.post({}, start).status_code
        wait_for(server, work="in")
        answer = server.ask("hello").status_code
        absent = server.post({}, "/internal/auto-login/start?account=nobody")

    assert (before["state"], code, answer) == ("out", 200, 200)
    assert (absent.status_code, absent.json()["error"]["code"]) == (404, "not_found")


def test_answers_under_way_get_their_time(home: AccountHome) -> None:
    """When their engine is wanted anew: short ones end well, long ones with an error event."""
    home.add("work", record("work"))
    ends: dict[str, str] = {}

    def read(directive: str) -> None:
        ends[directive] = server.ask(f"[[demo: {directive}]]", stream=True).text

    with serving(home.folder, *home.arguments, environ=home.environ()) as server:
        wait_for(server, work="in")
        readers = [
            threading.Thread(target=read, args=(directive,))
            for directive in ("chunks=20 delay=0.1", "chunks=900 delay=0.1")
        ]
        for reader in readers:
            reader.start()
        wait_until(lambda: server.in_flight() == 4, what="two answers under way")
        home.add_while_serving("work", record("work", serial=7))
        server.post({}, "/internal/auto-login/start")
        for reader in readers:
            reader.join()
        wait_for(server, work="in")
        answer = server.ask("hello").status_code

    short, long = ends.values()
    assert '"finish_reason":"stop"' in short
    assert '"error":' in long
    assert '"finish_reason":"stop"' not in long
    assert answer == 200


def test_an_account_that_is_out_does_not_disturb_the_others(home: AccountHome) -> None:
    """Every request goes to the one that is in; the person is told once which needs them."""
    home.add("gone", record("gone"))
    home.add("good", record("good"))
    home.cloud.revoke(record("gone"))

    with serving(home.folder, *home.arguments, environ=home.environ()) as server:
        answers = [server.ask("hello").status_code for _ in range(4)]
        wait_for(server, gone="out", good="in")
        rows, health, log = logins(server), server.get("/healthz").text, server.log

    assert answers == [200] * 4
    assert log.count("error: the account `gone` is not logged in") == 1
    assert "hint: run `lingma login --account gone`" in log
    assert rows["gone"] == {
        "instance": "inst-0",
        "account": "gone",
        "state": "out",
        "method": "bundle",
        "tries": 0,
        "last_error": None,
        "next_step": "run `lingma login --account gone`",
    }
    assert rows["good"]["next_step"] is None
    assert "gone" not in health


def test_without_any_login_requests_get_one_clear_error(home: AccountHome) -> None:
    """401 in the client's dialect, not to be repeated, with the command to run."""
    home.add("gone", record("gone"))
    home.cloud.revoke(record("gone"))

    with serving(home.folder, *home.arguments, environ=home.environ()) as server:
        answer = server.ask("hello")
        body = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
        other = server.post(body, "/v1/messages")

    assert (answer.status_code, answer.headers["x-should-retry"]) == (401, "false")
    assert answer.json()["error"]["code"] == "login_required"
    assert "lingma login --account gone" in answer.json()["error"]["message"]
    assert (other.status_code, other.json()["error"]["type"]) == (401, "authentication_error")


def test_the_login_lies_in_the_folder_only_while_it_is_needed(home: AccountHome) -> None:
    """Laid before the start, gone after the end, safe in the vault."""
    home.add("work", record("work"))

    with serving(home.folder, *home.arguments, environ=home.environ()) as server:
        wait_for(server, work="in")
        during = home.in_folder("work")
        assert server.stop() == 0

    assert record("work").token == (during.token if during else "")
    assert home.in_folder("work") is None
    assert record("work").token == token_of(home.in_vault("work"))


def token_of(login: Any) -> str:
    return login.token if login is not None else ""


def test_a_refreshed_login_is_taken_back(home: AccountHome) -> None:
    """The vault has the newest while the server runs, and a second server works with it."""
    home.add("work", record("work"))
    environ = home.environ("refresh=1")

    with serving(home.folder, *home.arguments, environ=environ) as server:
        wait_for(server, work="in")
        assert server.ask("hello").status_code == 200
        wait_until(
            lambda: token_of(home.in_vault("work")) == record("work", serial=2).token,
            what="the refreshed login in the vault",
        )
        assert server.stop() == 0
    with serving(home.folder, *home.arguments, environ=environ) as server:
        assert server.ask("hello").status_code == 200

    account = home.home.accounts.get("work")
    assert token_of(home.in_vault("work")) == record("work", serial=3).token
    assert account is not None
    assert account.refreshed > 1


def test_a_refresh_survives_a_crash(home: AccountHome) -> None:
    """What was refreshed right before `kill -9` is taken from the folder by the next start."""
    home.add("work", record("work"))

    with serving(home.folder, *home.arguments, environ=home.environ()) as server:
        wait_for(server, work="in")
        kill(server)
    # As if the engine had refreshed it in its last moment.
    fresh = home.cloud.rotate(record("work"), record("work").expires_ms)
    assert fresh is not None
    user = home.paths.data / "accounts" / "work" / "cache" / "user"
    user.write_bytes(bundle_of(fresh).files["user"])
    with serving(home.folder, *home.arguments, environ=home.environ()) as server:
        wait_for(server, work="in")
        answer = server.ask("hello").status_code

    assert answer == 200
    assert token_of(home.in_vault("work")) == fresh.token


def test_a_login_that_expires_in_use(home: AccountHome) -> None:
    """One clear error; later requests go elsewhere; a new login serves without a restart."""
    home.add("old", record("old"))
    environ = home.environ("expire=1")

    with serving(home.folder, *home.arguments, environ=environ) as server:
        wait_for(server, old="in")
        first, second = server.ask("hello"), server.ask("hello")
        wait_for(server, old="out")
        third = server.ask("hello")
        again = log_in(home, "old", environ)
        wait_for(server, old="in")
        fourth = server.ask("hello")

    assert [one.status_code for one in (first, second, third, fourth)] == [200, 401, 401, 200]
    for refusal in (second, third):
        assert refusal.headers["x-should-retry"] == "false"
        assert "run `lingma login --account old`" in refusal.json()["error"]["message"]
    assert "the running server takes it up" in again.err
    assert len({token_of(home.in_vault("old")), record("old").token}) == 2


def test_later_requests_go_to_another_account(home: AccountHome) -> None:
    """The one whose login has expired is asked no more."""
    home.add("a", record("a"))
    home.add("b", record("b"))

    # Else all go to the one that the question's hash names.
    environ = home.environ() | {"LINGMA_POLICY": "round_robin"}
    with serving(home.folder, *home.arguments, environ=environ) as server:
        wait_for(server, a="in", b="in")
        home.cloud.revoke(record("a"))
        answers = [server.ask("hello").status_code for _ in range(5)]

    assert sorted(answers) == [200, 200, 200, 200, 401]


def test_the_session_of_an_instance_is_exported(home: AccountHome) -> None:
    """As a bundle that no cache may keep; not without a login, of a stranger, or to anybody."""
    home.add("gone", record("gone"))
    home.add("work", record("work"))
    home.cloud.revoke(record("gone"))

    with serving(home.folder, *home.arguments, environ=home.environ() | ADMIN) as server:
        wait_for(server, gone="out", work="in")
        export = "/internal/session/export"
        given = server.administer("POST", f"{export}?instance=inst-1")
        refused = {
            query: server.administer("POST", f"{export}{query}")
            for query in ("?instance=inst-0", "?account=nobody", "")
        }

    with serving(home.folder, *home.arguments, environ=home.environ()) as server:
        wait_for(server, gone="out", work="in")
        open_to_all = server.post({}, f"{export}?instance=inst-1")

    assert open_to_all.status_code == 403
    bundle = unpack(from_text(given.json()["bundle_b64"]))
    assert token_of(record_of(bundle)) == record("work").token
    assert given.headers["cache-control"] == "no-store"
    assert [one.status_code for one in refused.values()] == [409, 404, 400]
    assert all(set(one.json()) == {"error"} for one in refused.values())


def test_status_shows_the_accounts(home: AccountHome) -> None:
    """Which account each instance has, and whether it is logged in."""
    home.add("gone", record("gone"))
    home.add("work", record("work"))
    home.cloud.revoke(record("gone"))

    with serving(home.folder, *home.arguments, environ=home.environ()) as server:
        wait_for(server, gone="out", work="in")
        shown = run_lingma("status", home=home.folder, env=home.environ()).out
        report = json.loads(run_lingma("status", "--json", home=home.folder).out)

    rows = [line.split()[:4] for line in shown.splitlines()[-2:]]
    assert rows == [["inst-0", "ready", "gone", "out"], ["inst-1", "ready", "work", "in"]]
    assert [row["account"] for row in report["instances"]] == ["gone", "work"]


# accounts of one run


def run_bundle(user: str) -> str:
    return to_text(pack(bundle_of(record(user)))).strip()


def accounts_json(*entries: dict[str, str]) -> dict[str, str]:
    return {"LINGMA_ACCOUNTS": json.dumps(entries)}


def everything_below(folder: Path) -> bytes:
    """Return the content of all files, one behind the other."""
    files = (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return b"\n".join(path.read_bytes() for path in files)


def seen_by(process: psutil.Process) -> str:
    """Return argv and environment of a process."""
    return json.dumps([process.cmdline(), process.environ()])


def test_accounts_of_a_run_leave_nothing(home: AccountHome) -> None:
    """Their logins work, reach no child but by its folder, and are gone afterwards."""
    bundle = run_bundle("ci")
    given = accounts_json(
        {"session_bundle": bundle},
        {"username": "alice", "password": PASSWORD, "session_bundle": run_bundle("alice")},
    )

    with serving(home.folder, *home.arguments, environ=home.environ() | given) as server:
        wait_for(server, **{"account-1": "in", "alice": "in"})
        answer = server.ask("hello").status_code
        seen = "".join(map(seen_by, server.children()))
        assert server.stop() == 0

    left = everything_below(home.root)
    secrets = [PASSWORD, bundle, record("ci").token, bundle_of(record("ci")).files["user"].decode()]
    assert answer == 200
    assert not [secret for secret in secrets if secret in seen]
    assert not [secret for secret in secrets if secret.encode() in left]
    assert not home.paths.accounts_file.exists()


def test_accounts_of_a_run_go_before_those_of_the_home(home: AccountHome) -> None:
    """Which stay as they are."""
    home.add("work", record("work"))
    given = {"LINGMA_SESSION_BUNDLE": run_bundle("ci")}

    with serving(home.folder, *home.arguments, environ=home.environ() | given) as server:
        wait_for(server, default="in")

    assert token_of(home.in_vault("work")) == record("work").token


def test_what_a_killed_run_has_left_is_not_used(home: AccountHome) -> None:
    """The next run begins with its own bundle."""
    given = home.environ() | {"LINGMA_SESSION_BUNDLE": run_bundle("first")}
    with serving(home.folder, *home.arguments, environ=given) as server:
        wait_for(server, default="in")
        kill(server)
    given = home.environ() | {"LINGMA_SESSION_BUNDLE": run_bundle("second"), **ADMIN}

    with serving(home.folder, *home.arguments, environ=given) as server:
        wait_for(server, default="in")
        export = server.administer("POST", "/internal/session/export").json()["bundle_b64"]
        server.stop()

    assert token_of(record_of(unpack(from_text(export)))) == record("second").token
    assert not list(home.folder.rglob("cache/user"))


def test_an_engine_without_an_account_names_the_login_command(home: AccountHome) -> None:
    """One engine, on its own folder, as long as nobody has logged in."""
    with serving(home.folder, *home.arguments, environ=home.environ()) as server:
        error = error_of(server)

    assert "run `lingma login`" in error["message"]
    assert (home.paths.data / "lingma" / "inst-0").is_dir()


def test_the_passphrase_is_asked_for_once(home: AccountHome) -> None:
    """Keys and logins lie in the same vault."""
    file = home.root / "passphrase"
    file.write_text("one two three four\n")
    file.chmod(0o600)
    environ = home.environ() | {"LINGMA_STORE": "encrypted"}
    imported = run_lingma(
        *("session", "import", "-", "--account", "work"),
        home=home.folder,
        env=environ | {"LINGMA_PASSPHRASE_FILE": str(file)},
        stdin=run_bundle("work"),
    )
    assert imported.code == 0, imported.err

    arguments = ("serve", "--port", "0", "--bin", launcher(home.root / "bin"))
    with terminal(*arguments, home=home.folder, env=environ) as person:
        person.expect("passphrase of the vault:", timeout=30)
        person.type("one two three four\r")
        person.expect("org_auto", timeout=60)
        said = person.text()
        person.type("\x03")
        person.wait(30)

    assert said.count("passphrase of the vault:") == 1
    assert home.in_folder("work") is None
