"""A server that asks nobody for the admin token: what others may do to it ends with it."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from lingma_cli.control.persisted import HttpEntry, PersistedEngines
from tests.support.cli import run_lingma
from tests.support.openai_server import OpenAiServer, answer, json_reply, openai_server
from tests.support.serving import ADMIN, Serving, serving, wait_until

KEYS = {"LINGMA_API_KEYS": "lgm-0123456789abcdef"}
WARNING = "left out, because this demo stands open"


@pytest.fixture
def box() -> Iterator[OpenAiServer]:
    """Somebody else's server, with one model."""
    models = json_reply({"data": [{"id": "m1"}]})
    with openai_server(models=models, engine_health=json_reply({}), chat=answer("hi")) as one:
        yield one


def names(server: Serving) -> set[str]:
    """Return the engines of a server."""
    return {one["name"] for one in server.get("/healthz").json()["instances"]}


def furnish(home: Path, url: str) -> PersistedEngines:
    """Give a home a remembered engine and one in its settings."""
    (home / "config").mkdir(parents=True, exist_ok=True)
    table = f'[[engines]]\nid = "named"\nurl = "{url}/two"\n'
    (home / "config" / "config.toml").write_text(table)
    book = PersistedEngines(home / "state" / "engines.json", warn=pytest.fail)
    book.put(HttpEntry(id="kept", url=url))
    return book


def test_what_anybody_has_added_is_gone_with_the_server(tmp_path: Path, box: OpenAiServer) -> None:
    """It serves, and says that it is not remembered; a guarded run later knows nothing of it."""
    with serving(tmp_path, "--demo") as server:
        added = server.post({"url": box.url, "engine_id": "worker"}, "/workers")
        registered = server.post(
            {"engine_id": "backend", "model_id": "m2", "host": "127.0.0.1", "port": 9},
            "/v1/management/engines/register",
        )
        body = {"model": "m1", "messages": [{"role": "user", "content": "hello"}]}
        wait_until(lambda: server.post(body).content and box.chat_came.is_set(), what="it")
        server.post({}, "/v1/management/engines/worker/stop")
        assert names(server) == {"demo-0", "worker", "backend"}
    with serving(tmp_path, "--demo", environ=ADMIN | KEYS) as server:
        assert names(server) == {"demo-0"}

    assert (added.status_code, added.json()["remembered"]) == (202, False)
    assert "not remembered" in added.json()["message"]
    assert registered.json()["remembered"] is False
    assert not (tmp_path / "state" / "engines.json").exists()


@pytest.mark.parametrize(
    ("arguments", "environ", "has_them"),
    [
        ((), {}, False),
        (("--no-auth",), {}, True),
        ((), ADMIN, True),
        ((), KEYS, True),
    ],
    ids=["open", "no-auth", "admin", "keys"],
)
def test_only_who_wants_it_so_serves_the_home_to_everybody(
    tmp_path: Path,
    box: OpenAiServer,
    arguments: tuple[str, ...],
    environ: dict[str, str],
    has_them: bool,
) -> None:
    """A demo that is open because nothing is configured serves simulators only, and says so."""
    book = furnish(tmp_path, box.url)
    with serving(tmp_path, "--demo", *arguments, environ=environ) as server:
        assert names(server) == ({"demo-0", "named", "kept"} if has_them else {"demo-0"})
        assert server.log.count(WARNING) == (0 if has_them else 1)

    assert [entry.id for entry in book.all()] == ["kept"]


@pytest.mark.parametrize("form", ["http://localhost:{}", "http://127.0.0.1:{}/v1"])
def test_a_server_is_no_engine_of_its_own(tmp_path: Path, form: str) -> None:
    """Remembered while it was away, it would send each request round in circles."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    assert run_lingma("engine", "add", form.format(port), "--id", "me", home=tmp_path).code == 0

    arguments = ("serve", "--demo", "--no-auth", "--port", str(port))
    done = run_lingma(*arguments, home=tmp_path, timeout=30)

    assert done.code == 2, done.err
    assert "the engine `me` is this server itself" in done.err
    assert "hint: run `lingma engine remove me`" in done.err
    assert run_lingma("engine", "remove", "me", home=tmp_path).code == 0
