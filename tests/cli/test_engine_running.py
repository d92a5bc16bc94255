"""`lingma engine …` and `lingma account thaw` on a running server."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lingma_cli.control.persisted import HttpEntry, PersistedEngines
from tests.support.cli import Result, run_lingma, terminal
from tests.support.llama import write_model
from tests.support.openai_server import OpenAiServer, answer, json_reply, openai_server
from tests.support.serving import ADMIN, Serving, serving, wait_until

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals and process groups")

KEY = "sk-0123456789abcdef"
# What `llama-server` does, by the library that the wheel brings.
LLAMA = """
import argparse, time, xllamacpp
parser = argparse.ArgumentParser()
for name in ("--model", "--alias", "--host", "--port", "--ctx-size"):
    parser.add_argument(name)
said = parser.parse_args()
params = xllamacpp.CommonParams()
params.model.path, params.model_alias, params.port = said.model, {said.alias}, int(said.port)
params.n_ctx, params.warmup, params.cpuparams.n_threads = int(said.ctx_size), False, 1
server = xllamacpp.Server(params)
time.sleep(600)
"""
# A program that fails, or never listens: as the model says.
VLLM = """
import sys, time
if sys.argv[2] == "org/broken":
    sys.exit("cannot load it: api_key=sk-0123456789")
time.sleep(600)
"""


def install(folder: Path, name: str, body: str) -> None:
    """Put a Python program of this name into `folder`."""
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!{sys.executable}\n{body}")
    (folder / name).chmod(0o700)


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A search path on which two servers are installed."""
    folder = tmp_path_factory.mktemp("bin")
    install(folder, "llama-server", LLAMA)
    install(folder, "vllm", VLLM)
    return f"{folder}{os.pathsep}{os.environ['PATH']}"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, programs: str) -> Iterator[Serving]:
    """A server with one simulated Lingma."""
    environ = {"PATH": programs, "BOX_KEY": KEY, **ADMIN}
    with serving(tmp_path_factory.mktemp("home"), "--demo", environ=environ) as running:
        yield running


@pytest.fixture
def server(shared: Serving) -> Iterator[Serving]:
    """The shared server, whose added engines are removed in the end."""
    yield shared
    for one in kept(shared.home):
        assert engine(shared, "remove", one.id).code == 0
    wait_until(lambda: set(listed(shared)) == {"demo-0"}, what="the end of what was added")


@pytest.fixture
def box() -> Iterator[OpenAiServer]:
    """A server that can be added, with one model."""
    models = json_reply({"data": [{"id": "m1"}]})
    with openai_server(models=models, engine_health=json_reply({}), chat=answer("hi")) as one:
        yield one


def engine(server: Serving, *arguments: str, programs: str = "") -> Result:
    """Run `lingma engine …` on the home of `server`."""
    env = ADMIN | ({"PATH": programs} if programs else {})
    return run_lingma("engine", *arguments, home=server.home, env=env, timeout=90)


def listed(server: Serving) -> dict[str, dict[str, Any]]:
    """Return what `engine list --json` shows, by id."""
    result = engine(server, "list", "--json")
    assert result.code == 0, result.err
    return {one["id"]: one for one in json.loads(result.out)}


def is_listed(server: Serving, id_: str, state: str) -> bool:
    engines = server.administer("GET", "/v1/management/engines").json()["engines"]
    return any((one["engine_id"], one["state"]) == (id_, state) for one in engines)


def kept(home: Path) -> tuple[Any, ...]:
    """Return what is remembered."""
    return PersistedEngines(home / "state" / "engines.json", warn=lambda _: None).all()


def ask(server: Serving, model: str, text: str = "hello") -> int:
    """Ask a model, and return the status."""
    messages = [{"role": "user", "content": text}]
    body = {"model": model, "messages": messages, "stream": True, "max_tokens": 4}
    return server.post(body).status_code


def test_the_life_of_an_added_engine(server: Serving, box: OpenAiServer) -> None:
    """The running server takes it up, stops it, starts it again, drains it and forgets it."""
    added = engine(server, "add", f"{box.url}/v1", "--id", "box", "--limit", "3")
    assert (added.code, added.err) == (0, f"added `box`, {box.url}\n")
    wait_until(lambda: is_listed(server, "box", "READY"), what="the box")
    assert kept(server.home) == (HttpEntry(id="box", url=box.url, limit=3),)
    shown = listed(server)
    assert set(shown) == {"demo-0", "box"}
    assert (shown["box"]["model"], shown["box"]["generation"]) == ("m1", 1)
    assert ask(server, "m1") == 200
    assert box.chat_came.is_set()

    again = engine(server, "add", box.url)
    assert again.code == 6
    assert f"there is an engine at {box.url} already" in again.err

    assert engine(server, "stop", "box").code == 0
    assert listed(server)["box"]["state"] == "stopped"
    assert kept(server.home)[0].stopped
    assert engine(server, "restart", "box").code == 0
    wait_until(lambda: is_listed(server, "box", "READY"), what="the box again")
    assert engine(server, "drain", "box", "--timeout", "0").code == 0
    assert engine(server, "list").out.splitlines()[2].split()[:4] == [
        *("box", "m1", "llm", "stopped")
    ]
    assert engine(server, "remove", "box").code == 0
    wait_until(lambda: "box" not in listed(server), what="its end")
    assert kept(server.home) == ()


def test_a_key_is_looked_up_where_the_server_runs(server: Serving, box: OpenAiServer) -> None:
    """It goes to the engine and nowhere else; without a value the engine is refused."""
    assert engine(server, "add", box.url, "--id", "box", "--api-key-ref", "env:BOX_KEY").code == 0
    wait_until(lambda: is_listed(server, "box", "READY"), what="the box")
    assert ask(server, "m1") == 200
    assert box.asked[-1].headers["authorization"] == f"Bearer {KEY}"
    everything = engine(server, "list", "--json").out + server.log
    everything += (server.home / "state" / "engines.json").read_text()
    assert KEY not in everything

    refused = engine(server, "add", f"{box.url}/two", "--api-key-ref", "env:NOT_SET_THERE")
    assert refused.code == 2
    assert "`NOT_SET_THERE` is not set" in refused.err
    assert len(kept(server.home)) == 1


def test_engines_that_cannot_be_changed_or_are_not_there(server: Serving) -> None:
    """One that comes from elsewhere is not forgotten; the server says why."""
    refused = engine(server, "remove", "demo-0")
    assert refused.code == 6
    assert "was not added at run time" in refused.err
    for command in ("stop", "drain", "restart", "remove"):
        unknown = engine(server, command, "no/thing")
        assert unknown.code == 6
        assert "no/thing" in unknown.err


def test_a_remembered_engine_comes_with_the_server(tmp_path: Path, box: OpenAiServer) -> None:
    """Added before, it serves from the first moment on."""
    assert run_lingma("engine", "add", box.url, home=tmp_path).code == 0
    with serving(tmp_path, "--demo", environ=ADMIN) as running:
        wait_until(lambda: ask(running, "m1") == 200, what="its answer")
        assert any(one["url"] == box.url for one in listed(running).values())


def test_a_real_server_is_started(server: Serving, programs: str, tmp_path: Path) -> None:
    """llama.cpp serves a model file: waited for, asked, its output shown, stopped."""
    for name in ("gguf", "numpy", "xllamacpp"):
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"needs a real server: `pip install xllamacpp gguf` ({name} is missing)")
    write_model(tmp_path / "tiny.gguf")
    before = {one.pid for one in server.children()}
    started = engine(
        *(server, "start", str(tmp_path / "tiny.gguf"), "--engine-label", "tiny", "--json"),
        *("--", "--ctx-size", "1024"),
        programs=programs,
    )

    assert started.code == 0, started.err
    assert "template  llama.cpp" in started.err
    assert "`llm-tiny` is ready" in started.err
    assert json.loads(started.out)["model"] == "tiny"
    assert ask(server, "tiny") == 200
    assert "llama" in engine(server, "logs", "llm-tiny").out
    assert engine(server, "stop", "llm-tiny").code == 0
    assert {one.pid for one in server.children()} == before
    pruned = engine(server, "prune")
    assert pruned.err == "removed 1 engine\n"
    assert set(listed(server)) == {"demo-0"}


def test_a_server_that_fails_is_told_with_its_last_lines(server: Serving, programs: str) -> None:
    """Exit code 6, no secrets; it stays listed until it is removed."""
    failed = engine(server, "start", "org/broken", programs=programs)

    assert failed.code == 6
    assert "template  vllm" in failed.err
    assert "| cannot load it: api_key=••••" in failed.err
    assert "error: the server of `llm-broken` exited with status 1" in failed.err
    assert "lingma engine remove llm-broken" in failed.err
    assert listed(server)["llm-broken"]["last_error"]


def test_nobody_has_to_wait(server: Serving, programs: str) -> None:
    """`--no-wait` does not; Ctrl-C leaves the engine starting, and says so."""
    at_once = engine(server, "start", "org/slow", "--no-wait", programs=programs)
    assert at_once.code == 0
    assert "`llm-slow` is to be started" in at_once.err

    arguments = ("engine", "start", "org/slower", "--template", "vllm")
    with terminal(*arguments, home=server.home, env={"PATH": programs, **ADMIN}) as screen:
        screen.expect("llm-slower: starting")
        screen.type("\x03")
        assert screen.wait() == 130
        assert "`llm-slower` goes on starting" in screen.text()
    assert listed(server)["llm-slower"]["state"] == "starting"


def test_a_used_up_quota_is_shown_and_thawed(server: Serving) -> None:
    """The rest stands in the list, and ends at once."""
    assert ask(server, "org_auto", "[[demo: finish=403 after=0]]") == 429
    assert listed(server)["demo-0"]["cooldown"] > 0
    assert "its quota is used up; it rests for " in engine(server, "list").out

    def thaw(*name: str) -> Result:
        return run_lingma("account", "thaw", *name, home=server.home, env=ADMIN)

    thawed = thaw("demo-0")
    assert (thawed.code, thawed.err) == (0, "1 of 1 engines rested; now they are asked again\n")
    assert listed(server)["demo-0"]["cooldown"] == 0
    assert thaw().err == "no engine rests\n"
    assert thaw("nobody").code == 6


def test_without_the_admin_token_nothing_is_shown(tmp_path: Path) -> None:
    """A token that only the server was told is asked for by the name of its variable."""
    environ = {"LINGMA_ADMIN_TOKEN": "lga-0123456789abcdef", "LINGMA_API_KEYS": "lgm-0123456789abc"}
    with serving(tmp_path, "--demo", environ=environ) as running:
        refused = run_lingma("engine", "list", home=running.home)
        token = {"LINGMA_ADMIN_TOKEN": environ["LINGMA_ADMIN_TOKEN"]}
        allowed = run_lingma("engine", "list", home=running.home, env=token)

    assert (refused.code, allowed.code) == (5, 0)
    assert "LINGMA_ADMIN_TOKEN" in refused.err
    assert "demo-0" in allowed.out


def test_a_server_without_a_token_starts_no_programs(tmp_path: Path, programs: str) -> None:
    """Anybody on the machine could ask it to, or to send a key somewhere.

    The user is told of the server's doors, not of a token that would not help.
    """
    with serving(tmp_path, "--demo", environ={"PATH": programs, "BOX_KEY": KEY}) as running:
        url = "http://127.0.0.1:9"
        started = run_lingma(
            "engine", "start", "org/slow", home=running.home, env={"PATH": programs}
        )
        keyed = run_lingma("engine", "add", url, "--api-key-ref", "env:BOX_KEY", home=running.home)

    assert [one.code for one in (started, keyed)] == [5, 5]
    for one in (started, keyed):
        assert "a server without an admin token does not" in one.err
        assert "that the server was started with" not in one.err


def test_what_a_server_without_a_token_does_not_write_down(
    tmp_path: Path, box: OpenAiServer
) -> None:
    """The user's own command does: what it adds, stops, starts, prunes and removes."""
    with serving(tmp_path, "--demo") as running:

        def engine(*words: str) -> Result:
            return run_lingma("engine", *words, home=running.home)

        added = engine("add", box.url, "--id", "box")
        assert added.code == 0, added.err
        assert "the running server has it for this run" in added.err
        assert kept(running.home) == (HttpEntry(id="box", url=box.url),)
        assert engine("stop", "box").code == 0
        assert kept(running.home)[0].stopped
        assert engine("restart", "box").code == 0
        assert not kept(running.home)[0].stopped
        assert engine("drain", "box", "--timeout", "0").code == 0
        assert kept(running.home)[0].stopped
        assert engine("prune").err == "removed 1 engine\n"
        assert kept(running.home) == ()

        engine("add", box.url, "--id", "box")
        assert engine("remove", "box").code == 0
        assert kept(running.home) == ()


def test_what_was_left_out_at_the_start_is_not_forgotten(tmp_path: Path, box: OpenAiServer) -> None:
    """It is listed as such, its URL is taken, and it can be removed."""
    keyed = run_lingma(
        *("engine", "add", box.url, "--id", "box", "--api-key-ref", "env:NOT_SET"), home=tmp_path
    )
    assert keyed.code == 0, keyed.err
    with serving(tmp_path, "--demo", environ=ADMIN) as running:
        assert listed(running)["box"]["state"] == "left out"
        shown = engine(running, "list")
        assert shown.out.splitlines()[2].split()[:5] == ["box", "-", "llm", "left", "out"]
        assert "its log says why" in shown.err

        for words in (("--id", "other"), ("--id", "box"), ()):
            again = engine(running, "add", box.url, *words)
            assert again.code == 6
            assert "lingma engine remove box" in again.err
        assert [one.api_key_ref for one in kept(running.home)] == ["env:NOT_SET"]

        assert engine(running, "remove", "box").err == "removed `box`\n"
        assert kept(running.home) == ()
        assert engine(running, "add", box.url).code == 0


def test_an_engine_cannot_be_this_server_itself(server: Serving) -> None:
    """A request would go in circles."""
    refused = engine(server, "add", f"{server.url}/v1")

    assert refused.code == 2
    assert "this server itself" in refused.err
    assert kept(server.home) == ()


def test_a_follower_leaves_when_nobody_reads(server: Serving, programs: str) -> None:
    """`lingma engine logs -f | head` ends."""
    engine(server, "start", "org/broken", "--no-wait", programs=programs)
    wait_until(lambda: engine(server, "logs", "llm-broken").out, what="its log")
    command = [sys.executable, "-m", "lingma_cli", "engine", "logs", "llm-broken", "-f"]
    env = {**os.environ, "LINGMA_HOME": str(server.home)}
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith(b"cannot load it")
        process.stdout.close()
        assert process.wait(20) in (141, -signal.SIGPIPE)
