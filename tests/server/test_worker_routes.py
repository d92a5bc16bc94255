"""`/workers` and its elders over real sockets."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import AsyncIterator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from lingma_cli.control.registry import Slot
from lingma_cli.core.chat import ChatRequest
from lingma_cli.core.events import BlockDelta, BlockKind, ChatEvent, Finished, FinishReason
from lingma_cli.core.ids import random_hex
from lingma_cli.engines.base import Ask
from lingma_cli.engines.openai_http.engine import OpenAiHttpEngine, OpenAiHttpOptions
from lingma_cli.secret import Secret
from tests.support.control_plane import API, ControlPlane, control_plane
from tests.support.openai_server import Reply, openai_server
from tests.support.raw_http import WAIT_SECONDS
from tests.support.scripted_engine import ScriptedAsk, ScriptedEngine

URL = "http://127.0.0.1:8080"


@pytest.fixture
def plane(tmp_path: Path) -> Iterator[ControlPlane]:
    with control_plane(tmp_path) as served:
        yield served


class HeldAsk(ScriptedAsk):
    """An ask that says `one`, waits, and says `two`."""

    def __init__(self, gate: asyncio.Event) -> None:
        one, two = (BlockDelta(kind=BlockKind.TEXT, text=text) for text in ("one", "two"))
        super().__init__([[one], [two, Finished(reason=FinishReason.STOP)]], ())
        self._gate = gate
        self._has_begun = False

    async def next_batch(self) -> Sequence[ChatEvent]:
        """Wait between the two."""
        if self._has_begun:
            await self._gate.wait()
        self._has_begun = True
        return await super().next_batch()


class HeldEngine(ScriptedEngine):
    """An engine whose one answer ends when it is released."""

    @asynccontextmanager
    async def ask(self, request: ChatRequest) -> AsyncIterator[Ask]:
        """Open the ask."""
        self._gate, self._loop = asyncio.Event(), asyncio.get_running_loop()
        yield HeldAsk(self._gate)

    def release(self) -> None:
        """Let the answer end."""
        self._loop.call_soon_threadsafe(self._gate.set)


def added(plane: ControlPlane, **more: Any) -> Any:
    """Add a worker and return the answer, once it is ready."""
    answer = plane.post("/workers", {"url": URL, **more})
    plane.wait_for("llm-127.0.0.1-8080", "READY")
    return answer


def refused(
    plane: ControlPlane, method: str, path: str, body: object = None
) -> tuple[int, str, str]:
    """Return status, sentence and code."""
    answer = plane.ask(method, path, body)
    told = answer.json()
    assert set(told) == {"error", "code"}
    return answer.status_code, told["error"], told["code"]


# SGLang


def test_an_empty_pool(plane: ControlPlane) -> None:
    """No workers, in the known shape."""
    assert plane.get("/workers") == {
        "workers": [],
        "total": 0,
        "stats": {"prefill_count": 0, "decode_count": 0, "regular_count": 0},
    }


@pytest.mark.parametrize("url", [URL, f"{URL}/", f"{URL}/v1", f"{URL}/v1/"])
def test_a_worker_is_added(plane: ControlPlane, url: str) -> None:
    """With or without `/v1` it is the same; the answer leads to it."""
    answer = plane.ask("POST", "/workers", {"url": url, "model_id": "m", "priority": 7})
    told = answer.json()
    plane.wait_for("llm-127.0.0.1-8080", "READY")
    worker = plane.get(answer.headers["location"])

    assert answer.status_code == 202
    assert told == {
        "status": "accepted",
        "worker_id": worker["id"],
        "url": URL,
        "location": answer.headers["location"],
        "message": "Worker addition queued for background processing",
        "remembered": True,
    }
    assert uuid.UUID(worker["id"]).version == 5
    assert {
        "url": URL,
        "model_id": "m",
        "priority": 7,
        "cost": 1.0,
        "worker_type": "regular",
        "is_healthy": True,
        "load": 0,
        "connection_mode": "HTTP",
        "disable_health_check": False,
    }.items() <= worker.items()
    assert worker["metadata"]["engine_id"] == "llm-127.0.0.1-8080"
    assert all(isinstance(value, str) for value in worker["metadata"].values())
    assert plane.get("/workers")["stats"]["regular_count"] == 1


def test_a_worker_may_bring_its_id(plane: ControlPlane) -> None:
    """Our own commands know it before."""
    plane.post("/workers", {"url": URL, "engine_id": "mine", "kind": "embedding"})

    assert plane.get("/workers/mine")["metadata"]["kind"] == "embedding"
    assert refused(plane, "POST", "/workers", {"url": "http://h", "engine_id": "mine"})[0] == 409


def test_a_worker_goes_by_three_names(plane: ControlPlane) -> None:
    """Its UUID, our id, and after a restart of everything the same UUID."""
    id_ = added(plane)["worker_id"]
    expected = str(uuid.uuid5(uuid.NAMESPACE_URL, "lingma://llm-127.0.0.1-8080"))

    assert id_ == expected
    assert plane.get("/workers/llm-127.0.0.1-8080")["id"] == id_


def test_a_worker_on_its_way_has_a_job(plane: ControlPlane) -> None:
    """It could not be asked yet, and there is nobody who answers."""
    plane.fleets.engines["llm-127.0.0.1-8080"] = _http_engine("http://127.0.0.1:9")
    plane.post("/workers", {"url": URL})
    job = plane.get("/workers/llm-127.0.0.1-8080")["job_status"]
    plane.wait_for("llm-127.0.0.1-8080", "ERROR")
    failed = plane.get("/workers/llm-127.0.0.1-8080")["job_status"]

    assert job["job_type"] == "AddWorker"
    assert set(job) == {"job_type", "worker_url", "status", "message", "timestamp"}
    assert (failed["status"], failed["worker_url"]) == ("failed", URL)
    assert "cannot connect" in failed["message"]


def test_a_worker_is_changed(plane: ControlPlane) -> None:
    """Also on disk; what is not named stays."""
    id_ = added(plane, labels={"a": "1"}, cost=2.5)["worker_id"]
    change = {"priority": 9, "labels": {"b": "2"}, "max_concurrent_requests": 4}
    answer = plane.ask("PUT", f"/workers/{id_}", change)
    worker, (entry,) = plane.get(f"/workers/{id_}"), plane.fleets.kept.all()

    assert (answer.status_code, answer.json()["status"]) == (202, "accepted")
    assert (worker["priority"], worker["cost"]) == (9, 2.5)
    assert entry.labels == {"a": "1", "b": "2", "priority": "9", "cost": "2.5"}
    assert entry.limit == 4


def test_a_worker_is_removed(plane: ControlPlane) -> None:
    """The answer does not wait for its last stream, which ends well."""
    id_ = added(plane)["worker_id"]
    answer = plane.ask("DELETE", f"/workers/{id_}")
    plane.wait_for("llm-127.0.0.1-8080", None)

    assert answer.status_code == 202
    assert answer.json() == {
        "status": "accepted",
        "worker_id": id_,
        "message": "Worker removal queued for background processing",
    }
    assert plane.fleets.ids == []
    assert refused(plane, "DELETE", f"/workers/{id_}")[0] == 404


def test_a_removal_lets_live_streams_end(plane: ControlPlane) -> None:
    """It is forgotten and gets no requests, but what it was asked it may answer."""
    id_ = "llm-127.0.0.1-8080"
    held = plane.fleets.engines[id_] = HeldEngine(name=id_)
    added(plane)
    with httpx.stream(
        "POST",
        f"{plane.url}/v1/chat/completions",
        json={"model": "org_auto", "messages": [{"role": "user", "content": "hi"}], "stream": True},
        headers={"authorization": f"Bearer {API}"},
        trust_env=False,
        timeout=WAIT_SECONDS,
    ) as stream:
        lines = stream.iter_lines()
        first = next(line for line in lines if "one" in line)
        answer = plane.ask("DELETE", f"/workers/{id_}")
        plane.wait_for(id_, "DRAINING")
        job, kept = plane.get(f"/workers/{id_}")["job_status"], plane.fleets.ids
        held.release()
        rest = "".join(lines)
    plane.wait_for(id_, None)

    assert (answer.status_code, job["job_type"], kept) == (202, "RemoveWorker", [])
    assert "one" in first
    assert '"content":"two"' in rest
    assert rest.endswith("data: [DONE]")


def test_what_is_not_ours_to_remove_stays(tmp_path: Path) -> None:
    """An account's engine is a worker too, with a URL that only names it."""
    with control_plane(tmp_path, Slot(engine=ScriptedEngine(name="inst-0"))) as plane:
        (worker,) = plane.get("/workers")["workers"]
        status, sentence, code = refused(plane, "DELETE", "/workers/inst-0")

        assert (worker["url"], worker["connection_mode"]) == ("lingma://inst-0", "LOCAL")
        assert (status, code) == (409, "WORKER_CONFLICT")
        assert "drained" in sentence
        assert refused(plane, "PUT", "/workers/inst-0", {"priority": 1})[0] == 409
        assert refused(plane, "POST", "/remove_worker?url=lingma://inst-0")[0] == 409
        assert plane.get("/list_workers") == {"urls": []}


def test_a_key_stays_in_memory(plane: ControlPlane, caplog: pytest.LogCaptureFixture) -> None:
    """The answer says so; neither disk nor log nor any answer has it."""
    key = "sk-a-very-secret-key"
    with caplog.at_level(logging.DEBUG):
        told = added(plane, api_key=key)
        seen = [plane.ask("GET", path).text for path in ("/workers", "/v1/management/status")]

    assert plane.fleets.keys == {"llm-127.0.0.1-8080": Secret(key)}
    assert "`api_key_ref`" in told["message"]
    assert "until this server ends" in told["message"]
    for text in (plane.fleets.path.read_text(), caplog.text, str(told), *seen):
        assert key not in text


def test_each_change_is_one_line(plane: ControlPlane, caplog: pytest.LogCaptureFixture) -> None:
    """Who, what, which."""
    with caplog.at_level(logging.INFO, logger="lingma_cli.audit"):
        id_ = added(plane)["worker_id"]
        plane.ask("PUT", f"/workers/{id_}", {"cost": 2})
        plane.ask("DELETE", f"/workers/{id_}")
        plane.post("/add_worker?url=http://h")
        plane.post("/add_worker?url=http://h")
        plane.post("/remove_worker?url=http://h")

    lines = [record for record in caplog.records if record.name == "lingma_cli.audit"]
    assert [record.getMessage() for record in lines] == [
        *("worker added", "worker changed", "worker removed", "worker added", "worker removed")
    ]


def test_on_an_open_server_nothing_is_remembered(tmp_path: Path) -> None:
    """Anybody on the machine can add a worker there; it ends with the run, and is told so."""
    with control_plane(tmp_path, is_guarded=False) as plane:
        told = added(plane)
        id_ = told["worker_id"]
        plane.ask("PUT", f"/workers/{id_}", {"priority": 9})
        worker = plane.get(f"/workers/{id_}")
        plane.post("/add_worker?url=http://h")

        assert told["remembered"] is False
        assert "it is not remembered" in told["message"]
        assert worker["priority"] == 9
        assert plane.ask("DELETE", f"/workers/{id_}").status_code == 202
        assert not plane.fleets.path.exists()


# refusals


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "no URL": ({}, "url"),
    "empty": ({"url": ""}, "url"),
    "number": ({"url": 1}, "url"),
    "scheme": ({"url": "ftp://h"}, "http"),
    "file": ({"url": "file:///etc/passwd"}, "http"),
    "grpc": ({"url": "grpc://h:1"}, "http"),
    "userinfo": ({"url": "http://me:pass@h"}, "key"),
    "query": ({"url": "http://h/?a=b"}, "path"),
    "prefill": ({"url": URL, "worker_type": "prefill"}, "worker_type"),
    "label": ({"url": URL, "labels": {"a": 1}}, "labels"),
    "line in id": ({"url": URL, "engine_id": "redir\n"}, "engine_id"),
    "many labels": ({"url": URL, "labels": {str(n): "" for n in range(65)}}, "labels"),
}


@pytest.mark.parametrize(("body", "word"), BAD.values(), ids=BAD)
def test_a_bad_worker_is_refused(plane: ControlPlane, body: dict[str, Any], word: str) -> None:
    """In the words of these routes, and nothing is kept."""
    status, sentence, code = refused(plane, "POST", "/workers", body)

    assert (status, code) == (400, "BAD_REQUEST")
    assert word in sentence
    assert "pass" not in sentence.replace("/etc/passwd", "")
    assert not plane.fleets.path.exists()


def test_a_url_is_taken_once(plane: ControlPlane) -> None:
    """However it is written; and this server is no worker of itself."""
    added(plane)

    assert refused(plane, "POST", "/workers", {"url": f"{URL}/v1/"})[0] == 409
    for ours in (plane.url, f"http://localhost:{plane.address[1]}/v1"):
        status, sentence, _ = refused(plane, "POST", "/workers", {"url": ours})
        assert (status, "itself" in sentence) == (400, True)
    assert plane.get("/workers")["total"] == 1


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_an_unknown_worker_is_not_found(plane: ControlPlane, method: str) -> None:
    """Whether it looks like a UUID or not."""
    for id_ in ("nobody", str(uuid.UUID(int=1))):
        expected = (404, f"Worker {id_} not found", "WORKER_NOT_FOUND")
        assert refused(plane, method, f"/workers/{id_}", {}) == expected


def test_the_door_speaks_the_same_words(plane: ControlPlane) -> None:
    """A wrong key is told in the dialect of the path."""
    answer = plane.ask("GET", "/workers", key="wrong")

    assert (answer.status_code, answer.json()["code"]) == (401, "UNAUTHENTICATED")


def _http_engine(url: str) -> OpenAiHttpEngine:
    options = OpenAiHttpOptions(
        url=url,
        startup_timeout=0.3,
        rpc_timeout=WAIT_SECONDS,
        first_event_timeout=WAIT_SECONDS,
        idle_timeout=WAIT_SECONDS,
    )
    return OpenAiHttpEngine("llm-127.0.0.1-8080", options, random_hex)


def test_a_redirect_leads_nowhere(plane: ControlPlane) -> None:
    """A worker that sends us elsewhere is in error, and elsewhere is never asked."""
    with openai_server() as elsewhere:
        away = Reply(status=307, headers={"location": f"{elsewhere.url}/v1/models"})
        with openai_server(engine_health=away, models=away) as worker:
            plane.fleets.engines["llm-127.0.0.1-8080"] = _http_engine(worker.url)
            plane.post("/workers", {"url": URL})
            plane.wait_for("llm-127.0.0.1-8080", "ERROR")
            info = plane.engine("llm-127.0.0.1-8080")

            assert info is not None
            assert "redirect" in info["last_error"]
            assert worker.asked
        assert elsewhere.asked == []


# slime


@pytest.mark.parametrize(
    ("query", "body"),
    [
        (f"?url={URL}", None),
        (f"?worker_url={URL}/v1", None),
        ("", {"url": URL}),
        ("", {"worker_url": URL}),
    ],
)
def test_a_worker_comes_and_goes_by_its_url(
    plane: ControlPlane, query: str, body: dict[str, str] | None
) -> None:
    """In the query or in the body; a second time is no error, an unknown one is."""
    loads = {"status": "success", "worker_urls": {URL: 0}}

    assert plane.post(f"/add_worker{query}", body) == loads
    assert plane.post(f"/add_worker{query}", body) == loads
    assert plane.get("/list_workers") == {"urls": [URL]}
    assert plane.post(f"/remove_worker{query}", body) == {"status": "success", "worker_urls": {}}
    plane.wait_for("llm-127.0.0.1-8080", None)
    status, sentence, _ = refused(plane, "POST", f"/remove_worker{query}", body)
    assert (status, sentence.startswith(f"Worker {URL}")) == (404, True)


def test_a_worker_that_many_add_at_once_is_added_once(plane: ControlPlane) -> None:
    """None of them is told of an error: the worker is there."""
    with ThreadPoolExecutor(6) as pool:
        path = f"/add_worker?url={URL}"
        answers = list(pool.map(lambda _: plane.ask("POST", path), range(6)))

    assert {answer.status_code for answer in answers} == {200}
    assert all(answer.json()["worker_urls"] == {URL: 0} for answer in answers)
    assert len(plane.fleets.ids) == 1


def test_a_name_that_is_taken_by_another_is_a_conflict(plane: ControlPlane) -> None:
    """Here as there: the worker is not there."""
    plane.post("/workers", {"url": "http://h", "engine_id": "mine"})
    plane.fleets.engines["llm-k"] = ScriptedEngine(name="mine")

    assert refused(plane, "POST", "/add_worker?url=http://k")[0] == 409


@pytest.mark.parametrize("path", ["/add_worker", "/remove_worker"])
def test_a_url_is_needed(plane: ControlPlane, path: str) -> None:
    """The sentence is the known one."""
    sentence = "worker_url is required (use query ?url=... or JSON body)"

    assert refused(plane, "POST", path) == (400, sentence, "BAD_REQUEST")
    assert refused(plane, "POST", path, {}) == (400, sentence, "BAD_REQUEST")


def test_a_url_must_be_one(plane: ControlPlane) -> None:
    """Here as there."""
    assert refused(plane, "POST", "/add_worker?url=ftp://h")[0] == 400
    assert refused(plane, "POST", "/remove_worker?url=ftp://h")[0] == 404
