"""The statements: few, portable, and nothing left behind."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import registry
from sqlalchemy.schema import CreateTable

from lingma_cli.sessions.sql import SqlStore, sqlite_url
from lingma_cli.sessions.sql.tables import metadata
from tests.support.stores import ROOMY, Clock, conversation, item, opened, response


@pytest.mark.parametrize("name", ["mysql", "oracle", "postgresql", "sqlite"])
def test_the_tables_are_portable(name: str) -> None:
    """Every database that SQLAlchemy knows can be told to make the tables."""
    dialect: sa.Dialect = registry.load(name)()

    for table in metadata.sorted_tables:
        assert table.name in str(CreateTable(table).compile(dialect=dialect))


def test_a_chain_is_one_query(tmp_path: Path) -> None:
    """However long a chain is, it is read in one round."""
    statements: list[str] = []

    def heard(*arguments: object) -> None:
        statements.append(str(arguments[2]))

    async def main() -> None:
        async with opened(SqlStore(sqlite_url(tmp_path / "a.db"), ROOMY, Clock())) as store:
            for number in range(20):
                await store.save(response(f"r{number}", f"r{number - 1}" if number else None))
            sa.event.listen(sa.Engine, "before_cursor_execute", heard)
            chain = await store.chain("ann", "r19")
            assert chain is not None
            assert len(chain) == 20

    try:
        asyncio.run(main())
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", heard)
    assert [statement.partition(" ")[0] for statement in statements] == ["BEGIN", "WITH"]


def test_nothing_is_left_behind(tmp_path: Path) -> None:
    """What was replaced, removed or has expired leaves no rows, items included."""
    file = tmp_path / "a.db"

    async def main() -> None:
        clock = Clock()
        async with opened(SqlStore(sqlite_url(file), ROOMY, clock)) as store:
            await store.create_conversation(conversation("a"), [item("i")])
            await store.create_conversation(conversation("b"), [item("i"), item("j")])
            await store.create_conversation(conversation("b"), [item("k")])
            await store.delete_conversation("ann", "a")
            for _ in range(2):
                await store.save(response("r"))
            clock.now += 2000
            await store.create_conversation(conversation("c"), [item("l")])

    asyncio.run(main())
    with sqlite3.connect(file) as other:
        entries = other.execute("select id from lingma_entries").fetchall()
        items = other.execute("select id from lingma_items").fetchall()
    other.close()
    assert (entries, items) == ([("c",)], [("l",)])


def test_expired_entries_go_little_by_little(tmp_path: Path) -> None:
    """One write does not pay for a long pause: it removes at most a hundred expired entries."""
    file = tmp_path / "a.db"

    async def main() -> None:
        clock = Clock()
        async with opened(SqlStore(sqlite_url(file), ROOMY, clock)) as store:
            for number in range(150):
                await store.save(response(f"r{number}"))
            clock.now += 2000
            for name, left in (("x", 51), ("y", 2)):
                await store.save(response(name))
                assert _count(file) == left

    asyncio.run(main())


def _count(file: Path) -> int:
    with sqlite3.connect(file) as other:
        (count,) = other.execute("select count(*) from lingma_entries").fetchone()
    other.close()
    return int(count)
