"""The executable that `lingma serve` gets at its first need, and what becomes of a bad one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import pytest

from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.install.fetch import OnProgress
from lingma_cli.paths import find_paths
from lingma_cli.settings import Settings
from lingma_cli.wiring.bootstrap import Talk, bootstrap
from lingma_cli.wiring.scratch import scratch_folder
from tests.support.cli import Result, run_lingma, terminal
from tests.support.marketplace import HttpsServer, Shop, https_server
from tests.support.packages import good
from tests.support.serving import Serving, serving, wait_until

# Its `version` works and nothing else.
DEAD = {"LINGMA_DEMO_START": "exit"}


class World:
    """An empty home and a Marketplace."""

    def __init__(self, folder: Path, server: HttpsServer, shop: Shop) -> None:
        self.home = folder / "home"
        self.server = server
        self.shop = shop
        self.env = {**server.environment(), "HOME": str(folder / "nobody"), "NO_PROXY": "127.0.0.1"}

    def run(self, *arguments: str) -> Result:
        """Run a command that ends."""
        return run_lingma(*arguments, home=self.home, env=self.env, timeout=60)

    def trials(self) -> dict[str, str]:
        """Return what is known of each version."""
        listed = json.loads(self.run("engine", "versions", "--json").out)["versions"]
        return {one["version"]: one["trial"] for one in listed}

    def current(self) -> str:
        """Return the version that counts."""
        listed = json.loads(self.run("engine", "versions", "--json").out)["versions"]
        return next(str(one["version"]) for one in listed if one["is_current"])


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    shop = Shop(packages={"2.6.10": good("2.6.10")})
    with https_server(tmp_path, shop) as server:
        yield World(tmp_path, server, shop)


def answers(server: Serving) -> bool:
    return server.ask("hello").status_code == 200


def test_at_a_terminal_it_asks_first(world: World) -> None:
    """A yes is enough for a server that answers."""
    with terminal("serve", "--port", "0", "--no-auth", home=world.home, env=world.env) as person:
        person.expect("Download it", timeout=30)
        asked = list(world.server.requests)
        person.type("y\r")
        person.expect("listens at", timeout=60)
        person.expect("org_auto", timeout=30)
        person.type("\x03")
        person.wait(30)

    assert asked == []
    assert world.trials() == {"2.6.10": "passed"}


@pytest.mark.parametrize("keys", ["n\r", "\r"])
def test_a_no_is_a_no(world: World, keys: str) -> None:
    """And so is nothing: the hint names the command, nothing is asked of anybody."""
    with terminal("serve", "--port", "0", "--no-auth", home=world.home, env=world.env) as person:
        person.expect("Download it", timeout=30)
        person.type(keys)
        code = person.wait(30)

    assert code == 4
    assert "lingma engine install" in person.text()
    assert world.server.requests == []


def test_without_a_terminal_nothing_is_downloaded(world: World) -> None:
    """Nobody has agreed."""
    result = world.run("serve", "--port", "0")

    assert result.code == 4
    assert "hint: run `lingma engine install`" in result.err
    assert world.server.requests == []


def test_what_is_installed_runs(world: World) -> None:
    """Without a question; the first start is its trial."""
    world.run("engine", "install")
    before = world.trials()
    with serving(world.home, "--no-auth", environ=world.env) as server:
        assert answers(server)

    assert (before, world.trials()) == ({"2.6.10": "untried"}, {"2.6.10": "passed"})


def test_a_version_that_does_not_work_is_rolled_back(world: World) -> None:
    """By itself, to the one before; it is not tried again by an update."""
    world.run("engine", "install")
    with serving(world.home, "--no-auth", environ=world.env) as server:
        assert answers(server)
    world.shop.packages["2.11.1"] = good("2.11.1", environment=DEAD)
    world.run("engine", "update")
    switched = world.current()
    with serving(world.home, "--no-auth", environ=world.env) as server:
        assert answers(server)
        wait_until(lambda: "returned to Lingma 2.6.10" in server.log, within=5)

        assert "said last" not in server.log
    assert (switched, world.current()) == ("2.11.1", "2.6.10")
    assert world.trials() == {"2.6.10": "passed", "2.11.1": "failed"}
    assert "there is no newer version" in world.run("engine", "update").err


def test_a_single_version_that_does_not_work_stays(world: World) -> None:
    """There is nothing to return to; the failure is told and the server stays for a repair."""
    world.shop.packages = {"2.11.1": good("2.11.1", environment=DEAD)}
    world.run("engine", "install")
    with serving(world.home, "--no-auth", environ=world.env, ready=False) as server:
        assert "warning: it does not work here" in server.log
        assert server.ask("hello").status_code == 503


LOGIN = ("login", "--method", "token", "--accept-terms", "--store", "plain")


def test_a_login_is_a_first_need(world: World) -> None:
    """At a terminal it asks and gets it; then it logs in with it."""
    with terminal(*LOGIN, home=world.home, env=world.env) as person:
        person.expect("Download it", timeout=30)
        asked = list(world.server.requests)
        person.type("y\r")
        person.expect("Personal token:", timeout=60)
        person.type("demo-personal-token\r")
        person.expect("logged in as demo", timeout=30)
        assert person.wait(30) == 0

    assert asked == []
    assert world.trials() == {"2.6.10": "passed"}


def test_a_login_where_nobody_can_agree(world: World) -> None:
    """It ends with the command to run, and nothing has been asked of anybody."""
    result = run_lingma(*LOGIN, home=world.home, env=world.env, stdin="demo-personal-token\n")

    assert result.code == 4
    assert "hint: run `lingma engine install`" in result.err
    assert world.server.requests == []


def test_two_first_tries_at_once(world: World) -> None:
    """Who comes second leaves the verdict to the first: it is no failure of the version."""
    world.run("engine", "install")
    paths = find_paths({"LINGMA_HOME": str(world.home)})
    with scratch_folder(replace(paths, state=paths.state / "trial")):
        result = run_lingma(
            *LOGIN, home=world.home, env=world.env, stdin="demo-personal-token\n", timeout=60
        )

    assert result.code == 0, result.err
    assert "does not work" not in result.err
    assert world.trials() == {"2.6.10": "untried"}


def test_an_executable_of_the_users_own_is_not_examined(tmp_path: Path) -> None:
    """It is taken as it is; a wrong path is said at once."""
    paths = find_paths({"LINGMA_HOME": str(tmp_path)})
    talk = Talk(say=print, progress=_no_progress, consent=lambda _: True)

    assert bootstrap(Settings(bin="/bin/false"), paths, {}, talk) == ("/bin/false",)
    with pytest.raises(LingmaError, match="there is no file") as caught:
        bootstrap(Settings(bin=str(tmp_path / "absent")), paths, {}, talk)
    assert caught.value.kind is ErrorKind.USAGE


def _no_progress() -> AbstractContextManager[OnProgress]:
    raise AssertionError
