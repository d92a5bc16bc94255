"""The SQL store as its callers see it: durable, patient, never in their way."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.sessions.memory import MemoryStore
from lingma_cli.sessions.sql import SqlStore, sqlite_url
from lingma_cli.sessions.stored import Limits, ResponseStore
from tests.support.stores import ROOMY, Clock, conversation, item, opened, response

ROOT = Path(__file__).parents[3]
WRITER = """
import asyncio, sys
from pathlib import Path
from tests.support.stores import ROOMY, Clock, STORES, response

async def main():
    store = STORES["sqlite"](Path(sys.argv[1]), ROOMY, Clock())
    number = 0
    while True:
        await store.save(response(f"r{number}", f"r{number - 1}" if number else None))
        print(number, flush=True)
        number += 1

asyncio.run(main())
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return where a database may lie."""
    return tmp_path / "responses.db"


def test_saved_means_saved(file: Path) -> None:
    """Whatever a process says it has saved is there after the process was killed."""
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(file.parent)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    ) as writer:
        assert writer.stdout is not None
        said = [writer.stdout.readline() for _ in range(20)]
        writer.kill()
        said += writer.stdout.readlines()
    last = max(int(line) for line in said if line.endswith("\n"))

    async def main() -> None:
        async with opened(SqlStore(sqlite_url(file), ROOMY, Clock())) as store:
            chain = await store.chain("ann", f"r{last}")
            assert chain is not None
            assert [link.id for link in chain] == [f"r{number}" for number in range(last + 1)]

    asyncio.run(main())


def test_everything_survives_a_restart(file: Path) -> None:
    """A second store on the same file finds what the first one wrote."""

    async def main() -> None:
        async with opened(SqlStore(sqlite_url(file), ROOMY, Clock())) as store:
            await store.create_conversation(conversation("c"), [item("i")])
            await store.save(replace(response("a"), conversation_id="c"), [item("j")])
        async with opened(SqlStore(sqlite_url(file), ROOMY, Clock())) as store:
            assert await store.response("ann", "a") == replace(response("a"), conversation_id="c")
            assert await store.conversation("ann", "c") == conversation("c")
            assert await store.items("ann", "c") == (item("i"), item("j"))

    asyncio.run(main())


def test_lower_limits_hold_after_a_restart(file: Path) -> None:
    """The first write under new limits removes what is above them."""

    async def main() -> None:
        async with opened(SqlStore(sqlite_url(file), ROOMY, Clock())) as store:
            for number in range(300):
                await store.save(response(f"r{number}"))
        fewer = replace(ROOMY, max_entries=2)
        async with opened(SqlStore(sqlite_url(file), fewer, Clock())) as store:
            await store.save(response("new"))
            assert await store.response("ann", "r298") is None
            assert await store.response("ann", "r299") is not None
            assert await store.response("ann", "new") is not None

    asyncio.run(main())


def locked(file: Path) -> sqlite3.Connection:
    """Return a connection that keeps everybody else from writing to `file`."""
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    return other


def test_the_loop_runs_while_a_save_waits(file: Path) -> None:
    """A save that waits for a lock leaves the loop free to take that lock away."""

    async def main() -> None:
        async with opened(SqlStore(sqlite_url(file), ROOMY, Clock())) as store:
            other = locked(file)
            save = asyncio.create_task(store.save(response("a")))
            await asyncio.sleep(0)
            assert not save.done()
            other.close()
            await save
            assert await store.response("ann", "a") is not None

    asyncio.run(main())


def test_reads_do_not_wait_for_a_writer(file: Path) -> None:
    """Another program that writes keeps nobody from reading."""

    async def main() -> None:
        async with opened(SqlStore(sqlite_url(file), ROOMY, Clock(), patience=0)) as store:
            await store.save(response("a"))
            other = locked(file)
            assert await store.chain("ann", "a") == (response("a"),)
            other.close()

    asyncio.run(main())


def test_a_cancelled_save_completes(file: Path) -> None:
    """Cancelling callers, of the save under way and of those behind it, harms nothing."""

    async def main() -> None:
        async with opened(SqlStore(sqlite_url(file), ROOMY, Clock())) as store:
            other = locked(file)
            saves = [asyncio.create_task(store.save(response(name))) for name in "abc"]
            await asyncio.sleep(0)
            for save in saves:
                save.cancel()
            assert {type(one) for one in await asyncio.gather(*saves, return_exceptions=True)} == {
                asyncio.CancelledError
            }
            other.close()
            for name in "abc":
                assert await store.response("ann", name) is not None

    asyncio.run(main())


def test_close_waits_for_what_is_under_way(file: Path) -> None:
    """Whatever was asked before the end is done; what is asked afterwards is refused."""

    async def main() -> None:
        store = SqlStore(sqlite_url(file), ROOMY, Clock())
        save = asyncio.create_task(store.save(response("a")))
        await asyncio.sleep(0)
        await store.close()
        await store.close()
        await save
        with pytest.raises(LingmaError) as caught:
            await store.response("ann", "a")
        assert caught.value.kind is ErrorKind.SHUTTING_DOWN
        async with opened(SqlStore(sqlite_url(file), ROOMY, Clock())) as again:
            assert await again.response("ann", "a") is not None

    asyncio.run(main())


Step = Callable[[ResponseStore], Awaitable[object]]
owners = st.sampled_from(["ann", "bob"])
names = st.sampled_from("abc")
previous = st.none() | names
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=150)
some_items = st.lists(st.builds(item, names, texts), max_size=3)
NAMES = [
    "response",
    "delete_response",
    "chain",
    "conversation",
    "conversations",
    "delete_conversation",
    "clear_conversation",
    "items",
]


def _call(name: str, *arguments: object) -> Step:
    return lambda store: getattr(store, name)(*arguments)


steps = st.one_of(
    st.builds(
        lambda owner, name, before, within, text, added: _call(
            "save",
            replace(response(name, before, owner=owner, text=text), conversation_id=within),
            added,
        ),
        owners,
        names,
        previous,
        previous,
        texts,
        some_items,
    ),
    st.builds(
        lambda owner, name, added: _call(
            "create_conversation", conversation(name, owner=owner), added
        ),
        owners,
        names,
        some_items,
    ),
    st.builds(_call, st.sampled_from(NAMES), owners, names),
    st.builds(_call, st.just("conversations"), owners),
    st.builds(_call, st.just("delete_idle_conversations"), owners, st.integers(0, 10)),
    st.builds(_call, st.just("add_items"), owners, names, some_items),
    st.builds(
        _call, st.just("update_conversation"), owners, names, st.fixed_dictionaries({"k": texts})
    ),
    st.builds(_call, st.sampled_from(["item", "delete_item"]), owners, names, names),
)
limits = st.builds(
    Limits,
    retention=st.integers(1, 20),
    max_bytes=st.integers(100, 1500),
    max_entries=st.integers(1, 6),
)


async def outcome(step: Step, store: ResponseStore) -> object:
    """Return what a step returns, or the error it raises."""
    try:
        return await step(store)
    except LingmaError as error:
        return (error.kind, error.message, error.param)


async def look_around(store: ResponseStore) -> list[object]:
    """Return everything that can be seen in a store."""
    return [
        await outcome(_call(name, owner, one), store)
        for name in ("response", "chain", "conversation", "conversations", "items")
        for owner in ("ann", "bob")
        for one in "abc"
    ]


@settings(deadline=None, max_examples=100)
@given(limits, st.lists(st.tuples(steps, st.integers(0, 5)), max_size=20))
def test_sqlite_behaves_like_memory(limits: Limits, script: list[tuple[Step, int]]) -> None:
    """Whatever is done to them, both kinds answer alike and hold the same."""

    async def main() -> None:
        clock = Clock()
        async with (
            opened(MemoryStore(limits, clock)) as memory,
            opened(SqlStore("sqlite://", limits, clock)) as sqlite,
        ):
            for step, pause in script:
                assert await outcome(step, sqlite) == await outcome(step, memory)
                clock.now += pause
            assert await look_around(sqlite) == await look_around(memory)

    asyncio.run(main())
