"""Engines in the words of control planes, without a server."""

from __future__ import annotations

import msgspec
import pytest

from lingma_cli.control.persisted import Entry, HttpEntry, ManagedEntry
from lingma_cli.control.registry import EngineState, Registry, Slot
from lingma_cli.server.engine_views import (
    backends,
    engine_info,
    is_healthy,
    model_of,
    started,
    worker,
    worker_id,
    worker_url,
)
from tests.support.scripted_engine import ScriptedEngine

HTTPS = HttpEntry(id="box", url="https://box.example", model="m", labels={"priority": "3"})
MANAGED = ManagedEntry(id="llama", template="llama.cpp", model="/m/tiny.gguf", label="tiny")
OWN = ("127.0.0.1", 8317)


def slot_of(entry: Entry | None, state: EngineState = EngineState.READY, **more: object) -> Slot:
    """Return a slot in a state."""
    engine = ScriptedEngine(name="e", models=[])
    kind = entry.kind if entry is not None else "llm"
    slot = Slot(engine=engine, entry=entry, id=entry.id if entry else "", kind=kind)
    slot.state = state
    for name, value in more.items():
        setattr(slot, name, value)
    return slot


def test_a_port_that_is_not_written_is_the_usual_one() -> None:
    """A client wants a number."""
    info = engine_info(slot_of(HTTPS), 0.0)

    assert (info["host"], info["port"], info["url"]) == ("box.example", 443, HTTPS.url)


@pytest.mark.parametrize(
    ("entry", "expected"), [(HTTPS, "m"), (MANAGED, "tiny"), (None, "")], ids=str
)
def test_the_model_is_known_before_the_engine_says_it(entry: Entry | None, expected: str) -> None:
    """As far as it was asked for."""
    assert model_of(slot_of(entry)) == expected


@pytest.mark.parametrize(
    ("state", "seconds"),
    [
        (EngineState.READY, 40.0),
        (EngineState.DRAINING, 40.0),
        (EngineState.STARTING, 0.0),
        (EngineState.STOPPED, 0.0),
    ],
)
def test_uptime_is_that_of_the_present_life(state: EngineState, seconds: float) -> None:
    """From when it got ready; none while it is away."""
    slot = slot_of(HTTPS, state, ready_at=1000.0, last_heartbeat=1010.0)
    info = engine_info(slot, 1040.0)

    assert info["uptime_seconds"] == seconds
    assert info["last_heartbeat"] == "1970-01-01T00:16:50.000+00:00"


def test_only_what_is_ready_and_let_through_is_healthy() -> None:
    """An open breaker is as good as an engine that is away."""
    slot = slot_of(HTTPS)
    before = is_healthy(slot)
    for _ in range(10):
        slot.breaker.failed()

    assert (before, is_healthy(slot)) == (True, False)
    assert not is_healthy(slot_of(HTTPS, EngineState.DRAINING))


def test_backends_are_those_that_can_be_had() -> None:
    """By kind; who is leaving is none, who has failed is one that is not healthy."""
    embedding = HttpEntry(id="emb", url="http://[::1]:8080", kind="embedding")
    slots = [
        slot_of(HTTPS),
        slot_of(embedding),
        slot_of(MANAGED, EngineState.ERROR),
        slot_of(HttpEntry(id="gone", url="http://h"), EngineState.STOPPED),
        slot_of(HttpEntry(id="going", url="http://i"), EngineState.DRAINING),
    ]
    for number, slot in enumerate(slots):
        assert isinstance(slot.engine, ScriptedEngine)
        slot.engine.name = f"e{number}"
    told = backends(Registry(slots), OWN, 0.0)

    llm, embeddings = told["llm_backends"], told["embedding_backends"]
    assert [(one["instance_id"], one["base_url"], one["is_healthy"]) for one in llm] == [
        ("box", "https://box.example/v1", True),
        ("llama", "http://127.0.0.1:8317/v1", False),
    ]
    assert [(one["host"], one["base_url"]) for one in embeddings] == [
        ("::1", "http://[::1]:8080/v1")
    ]
    assert (told["total_llm_backends"], told["healthy_llm_backends"]) == (2, 1)
    assert (told["total_embedding_backends"], told["healthy_embedding_backends"]) == (1, 1)


def test_this_server_may_be_reached_by_ipv6() -> None:
    """Then its address has brackets."""
    told = backends(Registry([slot_of(None)]), ("::1", 8317), 0.0)

    assert told["llm_backends"][0]["base_url"] == "http://[::1]:8317/v1"


def test_a_start_is_told_twice() -> None:
    """Flat for those who want it so."""
    told = started(slot_of(MANAGED, EngineState.STARTING), 0.0)

    assert {told[name] for name in ("id", "engine_id", "instance_id")} == {"llama"}
    assert (told["status"], told["engine_label"]) == ("STARTING", "tiny")
    assert told["engine"]["state"] == "STARTING"


@pytest.mark.parametrize(("label", "priority"), [("3", 3), ("high", 50), ("", 50)])
def test_a_priority_is_a_number(label: str, priority: int) -> None:
    """Also if somebody has set a label of that name by other ways."""
    entry = HttpEntry(id="a", url="http://h", labels={"priority": label})

    assert worker(slot_of(entry), 0.0)["priority"] == priority


@pytest.mark.parametrize(
    ("state", "generation", "job"),
    [
        (EngineState.STARTING, 0, ("AddWorker", "processing")),
        (EngineState.ERROR, 0, ("AddWorker", "failed")),
        (EngineState.DRAINING, 1, ("RemoveWorker", "processing")),
        (EngineState.READY, 1, None),
        (EngineState.STARTING, 1, None),
        (EngineState.ERROR, 1, None),
    ],
)
def test_a_job_is_told_while_there_is_one(
    state: EngineState, generation: int, job: tuple[str, str] | None
) -> None:
    """Coming and going; an engine that has a bad day has none."""
    told = worker(slot_of(HTTPS, state, generation=generation), 0.0).get("job_status")

    assert (told and (told["job_type"], told["status"])) == job


def test_a_worker_is_named_by_its_engine() -> None:
    """Not by where it is: one of ours changes its port."""
    moved = msgspec.structs.replace(HTTPS, url="http://elsewhere")

    assert worker_id(slot_of(HTTPS)) == worker_id(slot_of(moved)) != worker_id(slot_of(MANAGED))
    assert worker_url(slot_of(moved)) == "http://elsewhere"
    assert worker_url(slot_of(MANAGED)) == "lingma://llama"
