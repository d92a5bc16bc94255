"""Two real llama.cpp servers and two Lingma engines behind one address."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import psutil
import pytest

from tests.e2e.test_client_facts import CHAT, MESSAGES, RESPONSES, body_for, text_in
from tests.support.demo_words import say
from tests.support.frames import frames_of
from tests.support.llama import llama_server
from tests.support.serving import ADMIN, WAIT_SECONDS, Serving, serving, wait_until
from tests.support.wire_grammar import Violation, chat, messages, responses

PATHS = [CHAT, RESPONSES, MESSAGES]
GRAMMARS: dict[str, Callable[[bytes], list[Violation]]] = {
    CHAT: chat,
    RESPONSES: responses,
    MESSAGES: messages,
}
LINGMA = {"demo-0", "demo-1"}
ENGINES = "/v1/management/engines"
TOOLS: dict[str, dict[str, Any]] = {
    CHAT: {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}},
    RESPONSES: {"type": "function", "name": "look", "parameters": {"type": "object"}},
    MESSAGES: {"name": "look", "input_schema": {"type": "object"}},
}


def port_of(url: str) -> int:
    """Return the port of a URL."""
    return urlsplit(url).port or 0


def id_of(url: str) -> str:
    """Return the id under which a server is listed."""
    return f"llm-127.0.0.1-{port_of(url)}"


def kill(url: str) -> None:
    """Kill the server at `url`, one of this process's children."""
    for child in psutil.Process().children():
        ports = child.net_connections("tcp")
        if any(one.laddr.port == port_of(url) for one in ports if one.status == "LISTEN"):
            child.kill()
            child.wait(WAIT_SECONDS)
            return
    raise AssertionError(f"no child listens at {url}")


@contextmanager
def llamas(folder: Path, count: int) -> Iterator[list[str]]:
    """Run so many servers of one model."""
    with ExitStack() as held:
        yield [
            held.enter_context(llama_server(made(folder / f"llama-{number}")))
            for number in range(count)
        ]


def made(folder: Path) -> Path:
    """Make a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def configured(home: Path, *tables: dict[str, str]) -> None:
    """Name engines in the settings file of a home."""
    lines = [
        line
        for table in tables
        for line in ("[[engines]]", *(f"{key} = {json.dumps(text)}" for key, text in table.items()))
    ]
    (made(home / "config") / "config.toml").write_text("\n".join(lines) + "\n")


@contextmanager
def mixed(home: Path, *tables: dict[str, str], **environ: str) -> Iterator[Serving]:
    """Serve two Lingma engines and those of `tables`, all of them ready."""
    if tables:
        configured(home, *tables)
    named = {f"LINGMA_{name}": value for name, value in environ.items()}
    with serving(home, "--demo", "--engines", "2", environ=ADMIN | named) as server:
        wait_until(lambda: all(state == "READY" for state in states(server).values()))
        yield server


def states(server: Serving) -> dict[str, str]:
    """Return the state of each engine."""
    engines = server.administer("GET", ENGINES).json()["engines"]
    return {engine["engine_id"]: engine["state"] for engine in engines}


def last_turn(server: Serving) -> dict[str, Any]:
    """Return what is told of the latest turn."""
    turn: dict[str, Any] = server.stats()["session_cache"]["last_turns"][-1]
    return turn


def assert_nothing_is_held(server: Serving) -> None:
    """Leases and tickets are back."""
    wait_until(lambda: server.in_flight() == 0, within=5, what="leases and tickets")
    assert server.stats()["concurrency"]["queued"] == 0


def short(path: str, model: str, text: str = "hello", **more: Any) -> dict[str, Any]:
    """Return a body whose answer is short: a model of random weights knows no end."""
    limit = {"max_output_tokens": 24} if path == RESPONSES else {"max_tokens": 24}
    return body_for(path, text, **limit, **more) | {"model": model}


@pytest.fixture(scope="module")
def two_kinds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """All of them, and a server of embeddings, for tests that leave them as they found them."""
    folder = tmp_path_factory.mktemp("kinds")
    with (
        llamas(folder, 2) as (first, second),
        llama_server(made(folder / "vectors"), embeddings=True) as vectors,
    ):
        tables = [
            {"url": first},
            {"url": f"{second}/v1"},
            {"url": vectors, "kind": "embedding", "id": "vectors"},
        ]
        with mixed(folder / "home", *tables) as server:
            yield server
            assert_nothing_is_held(server)


@pytest.mark.parametrize("model", ["org_auto", "tiny"])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("path", PATHS)
def test_each_protocol_on_each_kind(
    two_kinds: Serving, path: str, stream: bool, model: str
) -> None:
    """Well-formed, with counts and the model that was asked for, from an engine that has it."""
    body = short(path, model, say("fine") if model == "org_auto" else "hello", stream=stream)
    answer = two_kinds.post(body, path)

    assert answer.status_code == 200, answer.text
    told = last_turn(two_kinds)
    assert (told["model"], told["engine"] in LINGMA) == (model, model == "org_auto")
    if stream:
        assert GRAMMARS[path](answer.content) == []
        assert len(frames_of(answer)) > 2
    elif model == "org_auto":
        assert text_in(path, answer) == "fine"
    else:
        assert text_in(path, answer)
        usage = answer.json()["usage"]
        assert usage["completion_tokens" if path == CHAT else "output_tokens"] in range(1, 25)
    notes = answer.headers.get("x-lingma-notes", "")
    # What a server has counted itself is no estimate.
    assert ("usage_estimated" in notes) == (model == "org_auto")


@pytest.mark.parametrize("path", PATHS)
def test_tools_are_native_where_they_can_be(two_kinds: Serving, path: str) -> None:
    """A llama.cpp server is sent them as they are; Lingma gets them described."""
    for model in ("tiny", "org_auto"):
        answer = two_kinds.post(short(path, model, tools=[TOOLS[path]]), path)

        assert answer.status_code == 200, answer.text
        notes = answer.headers.get("x-lingma-notes", "")
        assert ("tools_emulated" in notes) == (model == "org_auto")


def test_calls_and_results_of_tools_go_to_a_server(two_kinds: Serving) -> None:
    """A conversation with a call in it is read without complaint."""
    call = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    turns = [
        {"role": "user", "content": "look"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "a tree"},
    ]
    answer = two_kinds.post(
        {"model": "tiny", "messages": turns, "tools": [TOOLS[CHAT]], "max_tokens": 8}
    )

    assert answer.status_code == 200, answer.text
    assert answer.json()["choices"][0]["finish_reason"] in ("length", "stop", "tool_calls")


def test_vectors(two_kinds: Serving) -> None:
    """They come from the one engine that is for them, which no chat ever reaches."""
    body = {"model": "tiny", "input": ["a tree", "a stone"]}
    answer = two_kinds.post(body, "/v1/embeddings")

    assert answer.status_code == 200, answer.text
    vectors = [one["embedding"] for one in answer.json()["data"]]
    assert [len(vector) for vector in vectors] == [64, 64]
    assert vectors[0] != vectors[1]
    kinds = {
        one["engine_id"]: one["engine_kind"]
        for one in two_kinds.administer("GET", ENGINES).json()["engines"]
    }
    assert [name for name, kind in kinds.items() if kind == "embedding"] == ["vectors"]


def test_both_servers_of_a_model_are_used(two_kinds: Serving) -> None:
    """Chats that have nothing in common are shared out while others are under way."""
    with ThreadPoolExecutor(8) as pool:
        bodies = [
            short(CHAT, "tiny", f"{number} " * 40, ignore_eos=True) | {"max_tokens": 400}
            for number in range(24)
        ]
        answers = list(pool.map(two_kinds.post, bodies))

    assert {answer.status_code for answer in answers} == {200}
    turns = two_kinds.stats()["session_cache"]["last_turns"]
    assert len({turn["engine"] for turn in turns}) == 2
    assert not LINGMA & {turn["engine"] for turn in turns}


# servers of their own


@pytest.mark.parametrize("checks", ["600", "0.1"], ids=["before it is noticed", "once it is"])
def test_a_server_that_dies(tmp_path: Path, checks: str) -> None:
    """The other one serves its model, and when that dies too, the model that stands in for it."""
    with (
        llamas(tmp_path, 2) as urls,
        mixed(
            tmp_path / "home",
            *({"url": url} for url in urls),
            MODEL_FALLBACKS="tiny=org_auto",
            HEALTH_CHECK_INTERVAL_SECS=checks,
        ) as server,
    ):
        for number, url in enumerate(urls):
            served = {_served(server, path, "tiny") for path in PATHS for _ in range(3)}
            assert served <= {(id_of(one), False) for one in urls[number:]}
            kill(url)
            if checks == "0.1":
                wait_until(lambda: states(server)[id_of(url)] == "ERROR", what="three strikes")  # noqa: B023
        for path in PATHS:
            engine, is_stand_in = _served(server, path, "tiny")
            assert (engine in LINGMA, is_stand_in) == (True, True)
        assert_nothing_is_held(server)


def _served(server: Serving, path: str, model: str) -> tuple[str, bool]:
    """Ask, and return who served, and whether the client was told of another model."""
    answer = server.post(short(path, model), path)
    assert answer.status_code == 200, answer.text
    notes = answer.headers.get("x-lingma-notes", "")
    return last_turn(server)["engine"], "model_fallback" in notes


def test_a_server_that_dies_under_many_requests(tmp_path: Path) -> None:
    """Whatever had begun ends as its protocol has it; all others are answered."""
    with (
        llamas(tmp_path, 2) as urls,
        mixed(tmp_path / "home", *({"url": url} for url in urls)) as server,
        ThreadPoolExecutor(8) as pool,
    ):

        def ask(number: int) -> tuple[str, httpx.Response]:
            path, stream = PATHS[number % 3], number % 2 == 0
            key = "max_output_tokens" if path == RESPONSES else "max_tokens"
            body = short(path, "tiny", f"{number} " * 30, stream=stream) | {key: 150}
            return path, server.post(body, path)

        under_way = [pool.submit(ask, number) for number in range(90)]
        wait_until(lambda: sum(one.done() for one in under_way) >= 20)
        kill(urls[0])
        answers = [one.result() for one in under_way]

        assert all(_ends_properly(path, answer) for path, answer in answers)
        # A whole answer has never begun, as far as its client knows.
        wholes = [answer for number, (_, answer) in enumerate(answers) if number % 2]
        assert {answer.status_code for answer in wholes} <= {200, 502}
        assert sum(answer.status_code == 200 for _, answer in answers) >= 80
        assert_nothing_is_held(server)


def _ends_properly(path: str, answer: httpx.Response) -> bool:
    if "event-stream" in answer.headers["content-type"]:
        return not GRAMMARS[path](answer.content)
    body = answer.json()
    return ("error" in body and bool(body["error"])) == (answer.status_code != 200)


def _stream(pool: ThreadPoolExecutor, server: Serving, model: str) -> Future[httpx.Response]:
    """Begin a stream that takes a while, and return when it is under way."""
    words = {"org_auto": "[[demo: chunks=40 delay=0.05]]", "tiny": "go on"}[model]
    body = short(CHAT, model, words, stream=True, ignore_eos=True) | {"max_tokens": 3900}
    under_way = pool.submit(server.post, body)
    wait_until(lambda: server.in_flight() > 1, within=5, what="the stream")
    return under_way


@pytest.mark.parametrize("model", ["org_auto", "tiny"])
def test_a_drain_lets_a_live_stream_end(tmp_path: Path, model: str) -> None:
    """Meanwhile the others serve; after it the engine is stopped, and comes back when asked to."""
    with (
        llamas(tmp_path, 2) as urls,
        mixed(tmp_path / "home", *({"url": url} for url in urls)) as server,
        ThreadPoolExecutor(2) as pool,
    ):
        live = _stream(pool, server, model)
        busy = next(
            engine["engine_id"]
            for engine in server.administer("GET", ENGINES).json()["engines"]
            if engine["active_requests"]
        )
        draining = pool.submit(server.administer, "POST", f"{ENGINES}/{busy}/drain")
        wait_until(lambda: states(server)[busy] == "DRAINING", within=5, what="the drain")
        others = {_served(server, CHAT, model)[0] for _ in range(3)}
        told = live.result()

        assert busy not in others
        assert chat(told.content) == []
        assert told.content.rstrip().endswith(b"data: [DONE]")
        assert draining.result().json()["status"] == "STOPPED"
        assert states(server)[busy] == "STOPPED"
        assert _served(server, CHAT, model)[0] != busy
        server.administer("POST", f"{ENGINES}/{busy}/restart")
        wait_until(lambda: states(server)[busy] == "READY", what="its return")
        assert_nothing_is_held(server)


def test_a_third_server_is_found_at_run_time(tmp_path: Path) -> None:
    """With or without `/v1` it is the same worker; it serves as soon as it is there."""
    with llamas(tmp_path, 3) as urls, mixed(tmp_path / "home") as server:
        assert "tiny" not in _models(server)
        for number, url in enumerate(urls):
            added = server.administer(
                "POST", "/workers", {"url": f"{url}{'/v1' if number % 2 else ''}"}
            )
            assert added.status_code == 202, added.text
            wait_until(lambda: states(server).get(id_of(url)) == "READY", what=url)  # noqa: B023
            again = server.administer(
                "POST", "/workers", {"url": f"{url}{'' if number % 2 else '/v1/'}"}
            )
            assert again.status_code == 409, again.text
        assert "tiny" in _models(server)
        assert _served(server, CHAT, "tiny")[0] in {id_of(url) for url in urls}
        backends = server.administer("GET", "/v1/management/backends").json()
        assert {f"{url}/v1" for url in urls} <= {
            one["base_url"] for one in backends["llm_backends"] if one["is_healthy"]
        }

        for url in urls[:2]:
            _remove(server, url)
        assert {_served(server, path, "tiny")[0] for path in PATHS} == {id_of(urls[2])}
        assert_nothing_is_held(server)


def _models(server: Serving) -> list[str]:
    return [model["id"] for model in server.get("/v1/models").json()["data"]]


def _remove(server: Serving, url: str) -> None:
    gone = server.administer("DELETE", f"/workers/{id_of(url)}")
    assert gone.status_code == 202, gone.text
    wait_until(lambda: id_of(url) not in states(server), what="its end")


def test_what_was_added_is_there_after_a_restart(tmp_path: Path) -> None:
    """What was removed is not, what was stopped is stopped; no process is left behind."""
    home = tmp_path / "home"
    with llamas(tmp_path, 3) as urls:
        kept, stopped, removed = urls
        with mixed(home) as server:
            for url in urls:
                server.administer("POST", "/workers", {"url": url})
                wait_until(lambda: states(server).get(id_of(url)) == "READY", what=url)  # noqa: B023
            server.administer("POST", f"{ENGINES}/{id_of(stopped)}/stop")
            _remove(server, removed)
            assert_nothing_is_held(server)
            family = server.children()
            assert len(family) >= 2
            assert server.stop() == 0
            assert psutil.wait_procs(family, timeout=5)[1] == []
        with serving(home, "--demo", "--engines", "2", environ=ADMIN) as server:
            wait_until(lambda: states(server)[id_of(kept)] == "READY", what=kept)
            assert states(server)[id_of(stopped)] == "STOPPED"
            assert id_of(removed) not in states(server)
            assert {_served(server, path, "tiny")[0] for path in PATHS} == {id_of(kept)}
            # A person's word counts: it is back when it is asked for.
            server.administer("POST", f"{ENGINES}/{id_of(stopped)}/restart")
            wait_until(lambda: states(server)[id_of(stopped)] == "READY", what=stopped)
