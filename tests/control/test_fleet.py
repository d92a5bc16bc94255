"""Engines that come and go at run time: in the pool and on disk, in one step."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from lingma_cli.control.breaker import BreakerState
from lingma_cli.control.fleet import derive_id, url_of
from lingma_cli.control.persisted import Entry, HttpEntry, ManagedEntry
from lingma_cli.control.registry import EngineState, Slot
from lingma_cli.core.address import Address
from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.secret import Secret
from tests.support.fleets import Fleets
from tests.support.scripted_engine import Life, ScriptedEngine

HTTP = HttpEntry(id="box", url="http://127.0.0.1:8080", model="m", limit=2)
OTHER = HttpEntry(id="other", url="http://127.0.0.1:8081", kind="embedding")
MANAGED = ManagedEntry(id="llama", template="llama.cpp", model="m.gguf", port=9000)
SECONDS = 10.0


def play(fleets: Fleets, main: Callable[[], Awaitable[None]]) -> None:
    """Run `main` beside the supervisor."""

    async def both() -> None:
        running = asyncio.ensure_future(fleets.supervisor.run())
        async with asyncio.timeout(SECONDS):
            await asyncio.sleep(0)
            await main()
        running.cancel()
        await asyncio.wait([running])

    asyncio.run(both())


async def until(fleets: Fleets, holds: Callable[[], bool]) -> None:
    """Wait for a change of the pool after which something holds."""
    while not holds():
        await fleets.registry.next_change().wait()


async def ready(fleets: Fleets, *entries: Entry) -> list[Slot]:
    """Add engines and wait until they are ready."""
    slots = [await fleets.fleet.add(entry) for entry in entries]
    await until(fleets, lambda: all(slot.state is EngineState.READY for slot in slots))
    return slots


async def refused(what: Awaitable[object]) -> LingmaError:
    """Return the error that comes of something."""
    with pytest.raises(LingmaError) as caught:
        await what
    return caught.value


def account_slot(name: str = "inst-0") -> Slot:
    """Return an engine that belongs to an account."""
    return Slot(engine=ScriptedEngine(name=name), account="ann")


class LocatedEngine(ScriptedEngine):
    """A scripted engine with an address."""

    address = Address.parse("http://127.0.0.1:8080/v1")


# ids


@pytest.mark.parametrize(
    ("kind", "source", "expected"),
    [
        ("llm", "http://127.0.0.1:8080", "llm-127.0.0.1-8080"),
        ("embedding", "https://box.example/secret/a", "embedding-box.example"),
        ("llm", "http://[::1]:8080", "llm-1-8080"),
        ("llm", "/home/me/tiny model.gguf", "llm-tiny-model.gguf"),
        ("llm", "Qwen/Qwen3-8B", "llm-Qwen3-8B"),
        ("llm", "taken", "llm-taken-3"),
        ("llm", "模型", "llm"),
        ("llm", "a" * 100, "llm-" + "a" * 52),
    ],
)
def test_an_id_is_readable_stable_and_free(kind: str, source: str, expected: str) -> None:
    """From a URL, a file, a name of a hub, or a label."""
    assert derive_id(kind, source, {"llm-taken", "llm-taken-2"}) == expected


# coming


def test_an_engine_is_added(tmp_path: Path) -> None:
    """It is on disk, it is started, and its slot says what it is for."""
    fleets = Fleets(tmp_path)

    async def main() -> None:
        http, other = await ready(fleets, HTTP, OTHER)
        assert (http.id, http.kind, http.limit, http.entry) == ("box", "llm", 2, HTTP)
        assert (other.kind, other.limit, other.entry) == ("embedding", 0, OTHER)
        assert url_of(http) == HTTP.url

    play(fleets, main)

    assert fleets.ids == ["box", "other"]


def test_what_cannot_be_written_down_does_not_run(tmp_path: Path) -> None:
    """Else it would be gone after the next start; its key is forgotten too."""
    fleets = Fleets(tmp_path)
    fleets.path.mkdir(parents=True, mode=0o700)

    async def main() -> None:
        error = await refused(fleets.fleet.add(HTTP, api_key=Secret("sk-1")))
        assert "engines.json" in error.message
        assert fleets.registry.slots == ()

    play(fleets, main)

    assert (list(fleets.made), fleets.keys) == (["box"], {})
    assert isinstance(engine := fleets.made["box"].engine, ScriptedEngine)
    assert engine.starts == []


def test_what_cannot_be_built_is_not_written_down(tmp_path: Path) -> None:
    """Else each start would stumble over it."""
    fleets = Fleets(tmp_path, unfit=["box"])

    async def main() -> None:
        assert (await refused(fleets.fleet.add(HTTP))).kind is ErrorKind.USAGE

    play(fleets, main)

    assert not fleets.path.exists()


@pytest.mark.parametrize(
    "entry",
    [
        HttpEntry(id="box", url="http://other"),
        HttpEntry(id="inst-0", url="http://other"),
        HttpEntry(id="new", url=HTTP.url),
        HttpEntry(id="new", url="http://127.0.0.1:8080"),
        ManagedEntry(id="new", template="t", model="m", port=9000),
    ],
    ids=["id", "an account's", "URL", "URL of the settings file", "port"],
)
def test_what_is_taken_is_taken(tmp_path: Path, entry: Entry) -> None:
    """The second one is refused, and nothing changes."""
    located = Slot(engine=LocatedEngine(name="toml"), is_owned=False)
    fleets = Fleets(tmp_path, account_slot(), *([located] if entry.id == "new" else []))
    first = HttpEntry(id="box", url="http://127.0.0.1:8888")

    async def main() -> None:
        await ready(fleets, first, MANAGED)
        error = await refused(fleets.fleet.add(entry, api_key=Secret("sk-1")))
        assert error.kind is ErrorKind.CONFLICT

    play(fleets, main)

    assert (fleets.ids, fleets.keys) == (["box", "llama"], {})


def test_a_key_is_kept_for_this_run_only(tmp_path: Path) -> None:
    """The maker can find it, the disk does not have it, and it goes with the engine."""
    fleets = Fleets(tmp_path)

    async def main() -> None:
        await fleets.fleet.add(HTTP, api_key=Secret("sk-very-secret"))
        assert fleets.keys == {"box": Secret("sk-very-secret")}
        assert "sk-very-secret" not in fleets.path.read_text()
        await fleets.fleet.remove("box")

    play(fleets, main)

    assert fleets.keys == {}


# going


def test_a_stopped_engine_stays_listed_and_stopped(tmp_path: Path) -> None:
    """Its live answer may end first; the next server finds it stopped."""
    fleets = Fleets(tmp_path)

    async def main() -> None:
        (slot,) = await ready(fleets, HTTP)
        with fleets.registry.lease():
            stopping = asyncio.ensure_future(fleets.fleet.stop("box"))
            await until(fleets, lambda: slot.state is EngineState.DRAINING)
            assert not stopping.done()
        assert await stopping is slot
        assert (fleets.registry.slots, slot.state) == ((slot,), EngineState.STOPPED)

    play(fleets, main)
    later = Fleets(tmp_path)
    later.fleet.restore()
    (found,) = later.registry.slots

    async def look() -> None:
        await ready(later, OTHER)
        assert (found.id, found.state) == ("box", EngineState.STOPPED)
        await later.fleet.restart("box")
        await until(later, lambda: found.state is EngineState.READY)

    assert found.reason == "it was stopped by hand"
    play(later, look)


def test_a_stop_need_not_wait(tmp_path: Path) -> None:
    """Without time for its answers it stops at once."""
    fleets = Fleets(tmp_path)

    async def main() -> None:
        (slot,) = await ready(fleets, HTTP)
        with fleets.registry.lease():
            await fleets.fleet.stop("box", within=0.0)
            assert slot.state is EngineState.STOPPED

    play(fleets, main)


def test_a_restart_brings_a_stopped_one_back(tmp_path: Path) -> None:
    """At once as far as can be seen, and for the next server too."""
    fleets = Fleets(tmp_path)

    async def main() -> None:
        (slot,) = await ready(fleets, HTTP)
        await fleets.fleet.stop("box")
        await fleets.fleet.restart("box")
        assert slot.state is EngineState.STARTING
        await until(fleets, lambda: slot.state is EngineState.READY)
        assert slot.generation == 2

    play(fleets, main)

    assert fleets.kept.all() == (HTTP,)


def test_a_running_one_is_started_again(tmp_path: Path) -> None:
    """A new life of the same slot."""
    fleets = Fleets(tmp_path)

    async def main() -> None:
        (slot,) = await ready(fleets, HTTP)
        await fleets.fleet.restart("box")
        await until(fleets, lambda: slot.generation == 2)

    play(fleets, main)


def test_an_account_has_its_engine_as_long_as_it_is_there(tmp_path: Path) -> None:
    """It can be stopped and started, not removed or changed, and the disk hears nothing of it."""
    slot = account_slot()
    fleets = Fleets(tmp_path, slot)

    async def main() -> None:
        await until(fleets, lambda: slot.state is EngineState.READY)
        for attempt in (fleets.fleet.remove("inst-0"), fleets.fleet.change("inst-0", limit=1)):
            error = await refused(attempt)
            assert error.kind is ErrorKind.CONFLICT
            assert error.hint is not None
        await fleets.fleet.stop("inst-0")
        assert (slot.state, await fleets.fleet.prune()) == (EngineState.STOPPED, 0)
        await fleets.fleet.restart("inst-0")
        await until(fleets, lambda: slot.state is EngineState.READY)

    play(fleets, main)

    assert not fleets.path.exists()


def test_a_removed_engine_is_forgotten_first_and_drained_then(tmp_path: Path) -> None:
    """Whatever happens during the drain, it does not come back; its place is free afterwards."""
    fleets = Fleets(tmp_path)

    async def main() -> None:
        (slot,) = await ready(fleets, HTTP)
        with fleets.registry.lease():
            removing = asyncio.ensure_future(fleets.fleet.remove("box"))
            await until(fleets, lambda: slot.state is EngineState.DRAINING)
            assert (fleets.ids, fleets.registry.slots) == ([], (slot,))
            changing = await refused(fleets.fleet.change("box", limit=1))
            restarting = await refused(fleets.fleet.restart("box"))
            assert {changing.kind, restarting.kind} == {ErrorKind.CONFLICT}
        await removing
        assert (fleets.ids, fleets.registry.slots) == ([], ())
        await ready(fleets, HTTP)

    play(fleets, main)

    assert fleets.ids == ["box"]


def test_pruning_forgets_what_has_stopped_or_failed(tmp_path: Path) -> None:
    """What serves stays, and so does what belongs to an account."""
    fleets = Fleets(tmp_path, account_slot())
    broken = LingmaError(ErrorKind.ENGINE_UNAVAILABLE, "no")
    fleets.engines["llama"] = ScriptedEngine(
        name="llama", lives=[Life(starts_in=None, lasts=0.0, error=broken)] * 50
    )

    async def main() -> None:
        await ready(fleets, HTTP, OTHER)
        failing = await fleets.fleet.add(MANAGED)
        await until(fleets, lambda: failing.state is EngineState.ERROR)
        for name in ("other", "inst-0"):
            await fleets.fleet.stop(name)
        assert await fleets.fleet.prune() == 2
        assert [slot.id for slot in fleets.registry.slots] == ["inst-0", "box"]
        assert await fleets.fleet.prune() == 0

    play(fleets, main)

    assert fleets.ids == ["box"]


def test_what_is_tried_again_after_a_failure_is_pruned_too(tmp_path: Path) -> None:
    """Between two failures it looks as if it were new; one that is new stays."""
    fleets = Fleets(tmp_path)
    broken = LingmaError(ErrorKind.ENGINE_UNAVAILABLE, "no")
    lives = [Life(starts_in=None, lasts=0.0, error=broken), Life(starts_in=60.0)]
    fleets.engines["llama"] = ScriptedEngine(name="llama", lives=lives)
    fleets.engines["box"] = ScriptedEngine(name="box", lives=lives[1:])

    async def main() -> None:
        failing, _ = [await fleets.fleet.add(one) for one in (MANAGED, HTTP)]
        await until(fleets, lambda: failing.state is EngineState.ERROR)
        await until(fleets, lambda: failing.state is EngineState.STARTING)
        assert await fleets.fleet.prune() == 1

    play(fleets, main)

    assert fleets.ids == ["box"]


def test_an_unknown_engine_is_not_found(tmp_path: Path) -> None:
    """Whatever is wanted of it."""
    fleet = Fleets(tmp_path).fleet

    async def main() -> None:
        for attempt in (
            fleet.stop("x"),
            fleet.restart("x"),
            fleet.remove("x"),
            fleet.change("x", limit=1),
        ):
            assert (await refused(attempt)).kind is ErrorKind.NOT_FOUND

    asyncio.run(main())


# changing


def test_limit_and_labels_are_changed(tmp_path: Path) -> None:
    """Now and on disk; whoever waits for a place gets it, other labels stay."""
    fleets = Fleets(tmp_path)
    entry = HttpEntry(id="box", url="http://h:1", limit=1, labels={"a": "1", "b": "2"})

    async def main() -> None:
        (slot,) = await ready(fleets, entry)
        with fleets.registry.lease():
            waiting = asyncio.ensure_future(fleets.registry.wait_ready(SECONDS))
            await asyncio.sleep(0)
            assert not waiting.done()
            await fleets.fleet.change("box", limit=2)
            await waiting
        await fleets.fleet.change("box", labels={"b": "3", "c": "4"})
        assert slot.limit == 2

    play(fleets, main)

    (found,) = fleets.kept.all()
    assert (found.limit, found.labels) == (2, {"a": "1", "b": "3", "c": "4"})


@pytest.mark.parametrize(
    ("meant", "thawed"),
    [({"account": "ann"}, [0, 1]), ({"engine": "b"}, [1]), ({"engine": "c"}, [2])],
)
def test_a_thaw_ends_the_rest(tmp_path: Path, meant: dict[str, str], thawed: list[int]) -> None:
    """Of one engine, or of all of an account: the cooldown and the breaker."""
    slots = [account_slot("a"), account_slot("b"), Slot(engine=ScriptedEngine(name="c"))]
    fleets = Fleets(tmp_path, *slots)
    for slot in slots:
        slot.cooldown.freeze(LingmaError(ErrorKind.QUOTA_EXCEEDED, "used up"))
        for _ in range(10):
            slot.breaker.failed()

    assert fleets.fleet.thaw(**meant) == len(thawed)

    rested = [n for n, slot in enumerate(slots) if not slot.cooldown.is_cold]
    closed = [n for n, slot in enumerate(slots) if slot.breaker.state is BreakerState.CLOSED]
    assert (rested, closed) == (thawed, thawed)


@pytest.mark.parametrize(
    "meant", [{"engine": "nobody"}, {"account": "nobody"}, {"account": ""}, {"account": "c"}, {}]
)
def test_nobody_can_be_thawed(tmp_path: Path, meant: dict[str, str]) -> None:
    """A wrong name is said to be one; an engine without an account has none with an empty name."""
    fleets = Fleets(tmp_path, Slot(engine=ScriptedEngine(name="c")))

    with pytest.raises(LingmaError) as caught:
        fleets.fleet.thaw(**meant)

    assert caught.value.kind is ErrorKind.NOT_FOUND


# coming back


def test_all_come_back(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """One that cannot be built any more costs a warning and stays on disk; the rest serves."""
    for entry in (HTTP, OTHER, MANAGED):
        Fleets(tmp_path).kept.put(entry)
    fleets = Fleets(tmp_path, account_slot(), unfit=["other"])

    with caplog.at_level(logging.WARNING):
        fleets.fleet.restore()

    assert [slot.id for slot in fleets.registry.slots] == ["inst-0", "box", "llama"]
    assert [record.getMessage() for record in caplog.records] == [
        "engine other is left out: it cannot be built"
    ]
    assert fleets.ids == ["box", "other", "llama"]
    assert fleets.registry.slots[1].entry == HTTP


def test_what_is_taken_by_now_is_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The settings file names an engine that was added before; it stays on disk, as does a twin."""
    twin = ManagedEntry(id="twin", template="t", model="m", port=MANAGED.port)
    for entry in (HTTP, MANAGED, twin):
        Fleets(tmp_path).kept.put(entry)
    fleets = Fleets(tmp_path, Slot(engine=LocatedEngine(name="toml"), is_owned=False))

    with caplog.at_level(logging.WARNING):
        fleets.fleet.restore()

    assert [slot.id for slot in fleets.registry.slots] == ["toml", "llama"]
    assert [record.getMessage() for record in caplog.records] == [
        "engine box is left out: there is an engine at http://127.0.0.1:8080 already: `toml`",
        "engine twin is left out: there is an engine for port 9000 already: `llama`",
    ]
    assert fleets.ids == ["box", "llama", "twin"]


def test_an_address_is_told_once_it_is_known() -> None:
    """One of ours has its port with its first life only."""
    slot = Slot(engine=LocatedEngine(name="a"))
    before = url_of(slot)
    slot.generation = 1

    assert (before, url_of(slot)) == ("", "http://127.0.0.1:8080")
    assert url_of(account_slot()) == ""
