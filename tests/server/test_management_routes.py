"""`/v1/management` over real sockets: shapes, changes, refusals, and an empty pool."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from lingma_cli.control.registry import Slot
from lingma_cli.core.chat import Model
from lingma_cli.engines.gpu import find_nvml, read_gpus
from lingma_cli.errors import ErrorKind, LingmaError
from tests.support.control_plane import ADMIN, API, ControlPlane, control_plane
from tests.support.raw_http import ask
from tests.support.scripted_engine import ScriptedEngine

BASE = "/v1/management"
REGISTER = {
    "engine_id": "box",
    "model_id": "m",
    "host": "127.0.0.1",
    "port": 8080,
    "metadata": {"where": "cellar", "cores": 8},
}


@pytest.fixture
def plane(tmp_path: Path) -> Iterator[ControlPlane]:
    with control_plane(tmp_path) as served:
        yield served


class TalkingEngine(ScriptedEngine):
    """A scripted engine with a log and a raw list of models."""

    def last_lines(self, count: int) -> Sequence[str]:
        """Return so many lines."""
        return [f"line {number}" for number in range(10)][-count:]

    async def raw_models(self) -> bytes:
        """Return a list of its own kind."""
        return b'{"chat": [{"key": "k"}]}'


def error(plane: ControlPlane, method: str, path: str, body: object = None) -> tuple[int, Any]:
    """Return status and error object."""
    answer = plane.ask(method, path, body)
    return answer.status_code, answer.json()["error"]


# an empty pool


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", BASE),
        ("GET", f"{BASE}/engines"),
        ("GET", f"{BASE}/backends"),
        ("GET", f"{BASE}/gpu"),
        ("GET", f"{BASE}/status"),
        ("POST", f"{BASE}/engines/prune"),
        ("GET", "/workers"),
        ("GET", "/list_workers"),
        ("GET", "/internal/stats"),
        ("GET", "/internal/auto-login/status"),
        ("GET", "/internal/models/raw"),
    ],
)
def test_an_empty_pool_is_no_error(plane: ControlPlane, method: str, path: str) -> None:
    """Every route that names no engine answers."""
    answer = plane.ask(method, path)

    assert answer.status_code == 200, answer.text
    assert isinstance(answer.json(), dict)


def test_what_an_empty_pool_is_like(plane: ControlPlane) -> None:
    """Nothing of everything, in the shapes that clients know."""
    backends = plane.get(f"{BASE}/backends")
    status = plane.get(f"{BASE}/status")

    assert plane.get(f"{BASE}/engines") == {"engines": [], "count": 0}
    assert plane.get("/internal/models/raw") == {}
    assert backends.pop("timestamp")
    assert backends == {
        "llm_backends": [],
        "embedding_backends": [],
        "total_llm_backends": 0,
        "total_embedding_backends": 0,
        "healthy_llm_backends": 0,
        "healthy_embedding_backends": 0,
    }
    assert status["control_plane"].pop("metrics")["requests_total"] == 0
    assert status["control_plane"] == {
        "running": True,
        "scheduling_policy": "fifo",
        "routing_strategy": "affinity",
        "pending_requests": 0,
        "running_requests": 0,
        "registered_instances": 0,
        "available_instances": 0,
    }
    assert set(status) == {
        *("control_plane", "gpu", "engines", "managed_instances", "resource_reservations")
    }


def test_the_map_leads_somewhere(plane: ControlPlane) -> None:
    """Every path that it names is a route."""
    for path in plane.get(BASE)["endpoints"].values():
        answer = plane.ask("PATCH", path.replace("{engine_id}", "x"))
        assert answer.status_code == 405, path


def test_an_api_key_changes_nothing(plane: ControlPlane) -> None:
    """The control plane is the admin's."""
    assert plane.ask("GET", BASE, key=API).status_code == 401
    assert plane.ask("POST", f"{BASE}/engines/prune", key=API).status_code == 401


def test_the_gpus_are_those_of_this_machine(plane: ControlPlane) -> None:
    """With their names, or an empty list with the reason."""
    found, there = plane.get(f"{BASE}/gpu"), read_gpus(find_nvml())

    assert [one["name"] for one in found["gpus"]] == [gpu.name for gpu in there.gpus]
    assert found["message"] == (there.message or None)
    assert found["gpus"] or found["message"]


# changing


def test_a_registered_engine_is_an_engine(plane: ControlPlane) -> None:
    """The answer is its EngineInfo; then it is listed, as a backend too."""
    answer = plane.post(f"{BASE}/engines/register", REGISTER)
    plane.wait_for("box", "READY")
    info, backends = plane.engine("box"), plane.get(f"{BASE}/backends")

    assert (answer["engine_id"], answer["state"]) == ("box", "STARTING")
    assert info is not None
    assert {
        "engine_id": "box",
        "model_id": "m",
        "host": "127.0.0.1",
        "port": 8080,
        "state": "READY",
        "engine_kind": "llm",
        "consecutive_failures": 0,
        "active_requests": 0,
        "metadata": {"where": "cellar", "cores": "8"},
    }.items() <= info.items()
    assert info["created_at"] <= info["last_heartbeat"]
    (backend,) = backends["llm_backends"]
    assert (backend["base_url"], backend["is_healthy"]) == ("http://127.0.0.1:8080/v1", True)
    assert backends["healthy_llm_backends"] == 1
    assert plane.fleets.ids == ["box"]


def test_an_engine_without_an_address_is_reached_through_us(tmp_path: Path) -> None:
    """A client of backends needs somewhere to go."""
    with control_plane(tmp_path, Slot(engine=ScriptedEngine(name="inst-0"))) as plane:
        (backend,) = plane.get(f"{BASE}/backends")["llm_backends"]

        assert backend["base_url"] == f"{plane.url}/v1"
        assert (backend["instance_id"], backend["model_name"]) == ("inst-0", "org_auto")


@pytest.mark.parametrize("path", ["engines", "engines/start"])
def test_an_engine_is_started(plane: ControlPlane, path: str) -> None:
    """By what is asked for; its id comes from the model."""
    asked = {
        "model_id": "/models/tiny.gguf",
        "engine_kind": "embedding",
        "engine_label": "tiny",
        "port": 9000,
        "max_concurrent_requests": 3,
        "extra_args": ["-c", "512"],
    }
    answer = plane.post(f"{BASE}/{path}", asked)
    (entry,) = plane.fleets.kept.all()

    assert {
        "engine_id": "embedding-tiny",
        "engine_label": "tiny",
        "engine_kind": "embedding",
        "status": "STARTING",
        "gpu_ids": [],
        "pid": None,
    }.items() <= answer.items()
    assert answer["engine"]["engine_id"] == "embedding-tiny"
    assert asked == {
        "model_id": entry.model,
        "engine_kind": entry.kind,
        "engine_label": getattr(entry, "label", None),
        "port": getattr(entry, "port", None),
        "max_concurrent_requests": entry.limit,
        "extra_args": list(getattr(entry, "extra", ())),
    }
    plane.wait_for("embedding-tiny", "READY")
    assert len(plane.get(f"{BASE}/status")["managed_instances"]) == 1
    assert plane.get(f"{BASE}/backends")["total_embedding_backends"] == 1


@pytest.mark.parametrize(
    ("asked", "kind"),
    [
        ({"instance_type": "EMBEDDING"}, "embedding"),
        ({"instance_type": "EMBEDDING", "engine_kind": "embedding"}, "embedding"),
        ({"instance_type": "GENERAL", "engine_kind": "embedding"}, "embedding"),
        ({"instance_type": "GENERAL"}, "llm"),
        ({}, "llm"),
    ],
)
def test_what_an_engine_is_for_is_said_in_two_ways(
    plane: ControlPlane, asked: dict[str, Any], kind: str
) -> None:
    """The source has both fields."""
    plane.post(f"{BASE}/engines/start", {"model_id": "m", **asked})

    assert [(one.id, one.kind) for one in plane.fleets.kept.all()] == [(f"{kind}-m", kind)]


def test_on_an_open_server_nothing_is_remembered(tmp_path: Path) -> None:
    """What anybody on the machine can add ends with the run; no program is started for them."""
    with control_plane(tmp_path, is_guarded=False) as plane:
        info = plane.post(f"{BASE}/engines/register", REGISTER)
        plane.wait_for("box", "READY")
        plane.post(f"{BASE}/engines/box/stop")
        started = plane.ask("POST", f"{BASE}/engines/start", {"model_id": "m"})

        assert (info["remembered"], started.status_code) == (False, 403)
        assert not plane.fleets.path.exists()
    with control_plane(tmp_path) as plane:
        assert plane.post(f"{BASE}/engines/register", REGISTER)["remembered"] is True


def test_an_engine_stops_drains_and_comes_back(plane: ControlPlane) -> None:
    """It stays listed until it is pruned."""
    plane.post(f"{BASE}/engines/register", REGISTER)
    one = f"{BASE}/engines/box"
    plane.wait_for("box", "READY")

    told = {"engine_id": "box", "stopped": True, "status": "STOPPED"}
    assert plane.post(f"{one}/stop") == told
    assert plane.get(f"{BASE}/backends")["total_llm_backends"] == 0
    again = {"engine_id": "box", "restarted": True, "status": "STARTING"}
    assert plane.post(f"{one}/restart") == again
    plane.wait_for("box", "READY")
    assert plane.post(f"{one}/drain") == {**told, "drained": True}
    assert plane.ask("DELETE", f"{one}?drain=true").json() == {**told, "drained": True}
    assert plane.ask("DELETE", one).json() == told
    assert plane.post(f"{BASE}/engines/prune") == {"pruned_count": 1, "status": "success"}
    assert plane.engine("box") is None


def test_a_drain_takes_as_long_as_is_asked(tmp_path: Path) -> None:
    """Seconds, and nothing else."""
    slot = Slot(engine=ScriptedEngine(name="inst-0"))
    with control_plane(tmp_path, slot) as plane:
        path = f"{BASE}/engines/inst-0/drain"
        for seconds in ("-1", "x", "nan", "inf", "1e9", ""):
            status, told = error(plane, "POST", f"{path}?timeout={seconds}")
            assert (status, told["param"]) == (400, "timeout"), seconds
        # A lease that never comes back.
        slot.in_flight += 1
        assert plane.post(f"{path}?timeout=0.05")["drained"]
        slot.in_flight -= 1


def test_a_rest_is_ended(tmp_path: Path) -> None:
    """By account or engine; how long it would last is to be seen before."""
    slot = Slot(engine=ScriptedEngine(name="inst-0"), account="ann")
    with control_plane(tmp_path, slot) as plane:
        for body in ({"account": "ann"}, {"engine": "inst-0"}):
            slot.cooldown.freeze(LingmaError(ErrorKind.QUOTA_EXCEEDED, "used up"))
            before = plane.engine("inst-0")
            thawed = plane.post(f"{BASE}/thaw", body)
            after = plane.engine("inst-0")

            assert before is not None
            assert before["cooldown_seconds"] > 50
            assert thawed == {"thawed_count": 1, "status": "success"}
            assert after is not None
            assert after["cooldown_seconds"] == 0


def test_who_is_thawed_is_said_by_its_own_name(tmp_path: Path) -> None:
    """An account's is no engine's, even where another engine is called like it."""
    named = Slot(engine=ScriptedEngine(name="ann"))
    hers = Slot(engine=ScriptedEngine(name="inst-0"), account="ann")
    with control_plane(tmp_path, named, hers) as plane:
        for body, thawed in (({"account": "ann"}, hers), ({"engine": "ann"}, named)):
            for slot in (named, hers):
                slot.cooldown.freeze(LingmaError(ErrorKind.QUOTA_EXCEEDED, "used up"))
            assert plane.post(f"{BASE}/thaw", body)["thawed_count"] == 1
            assert [slot for slot in (named, hers) if not slot.cooldown.is_cold] == [thawed]
        assert error(plane, "POST", f"{BASE}/thaw", {"account": "inst-0"})[0] == 404


def test_each_change_is_one_line(plane: ControlPlane, caplog: pytest.LogCaptureFixture) -> None:
    """Who, what, which; looking leaves none."""
    with caplog.at_level(logging.INFO, logger="lingma_cli.audit"):
        plane.post(f"{BASE}/engines/register", REGISTER)
        plane.get(f"{BASE}/engines")
        plane.post(f"{BASE}/engines/box/stop")
        plane.post(f"{BASE}/engines/prune")
        plane.ask("POST", f"{BASE}/engines/register", {"engine_id": "x"})

    lines = [record for record in caplog.records if record.name == "lingma_cli.audit"]
    values = [getattr(record, "values", {}) for record in lines]
    assert [record.getMessage() for record in lines] == [
        "engine registered",
        "engine stopped",
        "engines pruned: 1",
    ]
    assert [one["engine"] for one in values] == ["box", "box", "-"]
    assert {one["by"][:4] for one in values} == {"key-"}


# logs and raw lists


def test_the_log_of_a_server_is_shown(tmp_path: Path) -> None:
    """As many lines as wanted; an engine without one has none."""
    talking, silent = TalkingEngine(name="talks"), ScriptedEngine(name="silent")
    with control_plane(tmp_path, Slot(engine=talking), Slot(engine=silent)) as plane:
        path = f"{BASE}/engines/talks/logs"

        assert plane.get(f"{path}?lines=2") == {"engine_id": "talks", "lines": ["line 8", "line 9"]}
        assert len(plane.get(path)["lines"]) == 10
        for lines in ("0", "-1", "x", "10001", "1" * 30, "٣"):
            status, told = error(plane, "GET", f"{path}?lines={lines}")
            assert (status, told["param"]) == (400, "lines")
        assert error(plane, "GET", f"{BASE}/engines/silent/logs")[0] == 404


def test_a_raw_list_of_models_is_passed_on(tmp_path: Path) -> None:
    """Of the instance that is named, or of the only one."""
    talking, silent = TalkingEngine(name="talks"), ScriptedEngine(name="silent")
    raw = "/internal/models/raw"
    with control_plane(tmp_path, Slot(engine=talking)) as plane:
        assert plane.get(raw) == plane.get(f"{raw}?instance=talks") == {"chat": [{"key": "k"}]}
        assert error(plane, "GET", f"{raw}?instance=x")[0] == 404
    with control_plane(tmp_path, Slot(engine=talking), Slot(engine=silent)) as plane:
        assert error(plane, "GET", raw)[0] == 400
        assert error(plane, "GET", f"{raw}?instance=silent")[0] == 404


# refusals


REFUSED: dict[str, tuple[str, dict[str, Any], str]] = {
    "no model": ("start", {}, "model_id"),
    "empty model": ("start", {"model_id": ""}, "model_id"),
    "kind": ("start", {"model_id": "m", "engine_kind": "finetune"}, "engine_kind"),
    "port": ("start", {"model_id": "m", "port": 65_536}, "port"),
    "elsewhere": ("start", {"model_id": "m", "host": "box.example"}, "host"),
    "argument": ("start", {"model_id": "m", "extra_args": ["-c", 512]}, "extra_args[1]"),
    "parallel": ("start", {"model_id": "m", "tensor_parallel_size": 2}, "tensor_parallel_size"),
    "instance": ("start", {"model_id": "m", "instance_type": "HYBRID"}, "instance_type"),
    "limit": (
        "start",
        {"model_id": "m", "max_concurrent_requests": -1},
        "max_concurrent_requests",
    ),
    "long label": ("start", {"model_id": "m", "metadata": {"a": "b" * 5000}}, "metadata[...]"),
    "contradiction": (
        "start",
        {"model_id": "m", "engine_kind": "llm", "instance_type": "EMBEDDING"},
        "instance_type",
    ),
    "id": ("register", {**REGISTER, "engine_id": "../x"}, "engine_id"),
    "line in id": ("register", {**REGISTER, "engine_id": "redir\n"}, "engine_id"),
    "line in id of ours": ("start", {"model_id": "m", "engine_id": "redir\n"}, "engine_id"),
    "line in host": ("register", {**REGISTER, "host": "127.0.0.1\n"}, "host"),
    "no port": ("register", {**REGISTER, "port": 0}, "port"),
    "a URL": ("register", {**REGISTER, "host": "http://h"}, "host"),
    "userinfo": ("register", {**REGISTER, "host": "me:pw@h"}, "host"),
    "nobody": ("thaw", {}, "account"),
    "two": ("thaw", {"account": "a", "engine": "b"}, "account"),
}


@pytest.mark.parametrize(("path", "body", "param"), REFUSED.values(), ids=REFUSED)
def test_a_bad_body_is_refused(
    plane: ControlPlane, path: str, body: dict[str, Any], param: str
) -> None:
    """With the path of the fault, and nothing is changed."""
    where = f"{BASE}/thaw" if path == "thaw" else f"{BASE}/engines/{path}"
    status, told = error(plane, "POST", where, body)

    assert (status, told["param"]) == (400, param)
    assert param in told["message"] or path == "thaw"
    assert (plane.get(f"{BASE}/engines")["count"], plane.fleets.path.exists()) == (0, False)


@pytest.mark.parametrize("raw", ["[]", "{", "nul", '{"model_id": "\\ud800"}'])
def test_a_body_that_is_no_object_is_refused(plane: ControlPlane, raw: str) -> None:
    """As everywhere."""
    head = f"POST {BASE}/engines/start HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
    key = f"Authorization: Bearer {ADMIN}\r\n"
    answer = ask(plane.address, f"{head}{key}Content-Length: {len(raw)}\r\n\r\n{raw}".encode())

    assert (answer.status, answer.error["type"]) == (400, "invalid_request_error")


def test_what_is_taken_is_a_conflict(plane: ControlPlane) -> None:
    """An id, a URL, a port; too little memory; and this server is no engine of itself."""
    plane.post(f"{BASE}/engines/register", REGISTER)
    plane.post(f"{BASE}/engines/start", {"model_id": "m", "port": 9000})
    register, start = f"{BASE}/engines/register", f"{BASE}/engines/start"

    assert error(plane, "POST", register, {**REGISTER, "port": 1})[0] == 409
    assert error(plane, "POST", register, {**REGISTER, "engine_id": "b"})[0] == 409
    assert error(plane, "POST", start, {"model_id": "n", "port": 9000})[0] == 409
    assert error(plane, "POST", start, {"model_id": "n", "required_memory_gb": 9e9})[0] == 409
    ours = {**REGISTER, "engine_id": "c", "port": plane.address[1]}
    assert error(plane, "POST", register, ours)[0] == 400
    assert plane.fleets.ids == ["box", "llm-m"]


@pytest.mark.parametrize(
    ("method", "below"),
    [
        ("POST", "/stop"),
        ("POST", "/drain"),
        ("POST", "/restart"),
        ("GET", "/logs"),
        ("DELETE", ""),
    ],
)
def test_an_unknown_engine_is_not_found(plane: ControlPlane, method: str, below: str) -> None:
    """Whatever is wanted of it."""
    status, told = error(plane, method, f"{BASE}/engines/nobody{below}")

    assert (status, told["code"]) == (404, "not_found")


def test_the_model_of_an_engine_is_its_default(tmp_path: Path) -> None:
    """Not the first one that it happens to list."""
    models = [Model(key="a", name="A"), Model(key="b", name="B", is_default=True)]
    slot = Slot(engine=ScriptedEngine(name="inst-0", models=models))
    with control_plane(tmp_path, slot) as plane:
        info = plane.engine("inst-0")

    assert info is not None
    assert (info["model_id"], info["host"], info["port"]) == ("b", None, None)
