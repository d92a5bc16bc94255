"""The database: private from birth, and one clear error for everything that can go wrong."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import stat
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa

from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.sessions.sql import SqlStore, sqlite_url
from tests.support.stores import ROOMY, Clock, opened, response

posix = pytest.mark.skipif(os.name != "posix", reason="modes and links are POSIX's")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return where a database may lie."""
    return tmp_path / "data" / "responses.db"


def store_at(file: Path) -> SqlStore:
    """Return a store that does not wait for locks."""
    return SqlStore(sqlite_url(file), ROOMY, Clock(), patience=0)


def fill(file: Path, count: int = 1) -> None:
    """Save some responses, the first of them named `r0`."""

    async def main() -> None:
        async with opened(store_at(file)) as store:
            for number in range(count):
                await store.save(response(f"r{number}", text="x" * 2000))

    asyncio.run(main())


def refusal(file: Path) -> LingmaError:
    """Return the error with which opening `file` ends."""

    async def main() -> None:
        async with opened(store_at(file)):
            pass

    with pytest.raises(LingmaError) as caught:
        asyncio.run(main())
    return caught.value


@contextmanager
def on_each_connection(pragma: str) -> Iterator[None]:
    """Let SQLite itself set bounds to the connections made in this context."""

    def made(connection: sqlite3.Connection, _: object) -> None:
        connection.execute(pragma).close()

    sa.event.listen(sa.Engine, "connect", made)
    try:
        yield
    finally:
        sa.event.remove(sa.Engine, "connect", made)


@posix
def test_files_are_private_from_birth(file: Path) -> None:
    """Under the most careless umask nobody else may open the database or its companions."""
    modes: dict[str, int] = {}

    async def main() -> None:
        async with opened(store_at(file)) as store:
            await store.save(response("a"))
            modes.update({one.name: one.stat().st_mode for one in file.parent.iterdir()})

    before = os.umask(0)
    try:
        asyncio.run(main())
    finally:
        os.umask(before)

    assert {name: stat.S_IMODE(mode) for name, mode in modes.items()} == dict.fromkeys(
        ["responses.db", "responses.db-shm", "responses.db-wal"], 0o600
    )
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


@posix
@pytest.mark.parametrize("spoil", ["mode", "link", "folder"])
def test_a_file_of_doubtful_birth_is_refused(file: Path, spoil: str) -> None:
    """A database that others may open, or that is no plain file, is not used."""
    fill(file)
    if spoil == "mode":
        file.chmod(0o644)
    else:
        file.rename(file.with_name("elsewhere"))
        if spoil == "link":
            file.symlink_to("elsewhere")
        else:
            file.mkdir()

    error = refusal(file)

    assert error.kind is ErrorKind.USAGE
    assert f"chmod 600 {file}" in str(error.hint)


def test_odd_file_names_work(file: Path) -> None:
    """A path comes through the URL unchanged, whatever it holds."""
    odd = file.parent / "a b?c=d#e%20f@g:h 数据.db"
    fill(odd)

    assert odd.is_file()


def test_constructing_a_store_does_nothing(file: Path) -> None:
    """Only the first use touches the disk."""
    store_at(file)

    assert not file.parent.exists()


def overwrite(file: Path) -> None:
    file.write_bytes(b"this has never been a database" * 200)


def cut_out_pages(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[4096:] = b"\xff" * (len(content) - 4096)
    file.write_bytes(content)


@pytest.mark.parametrize("damage", [overwrite, cut_out_pages])
def test_a_damaged_file_is_refused_and_kept(file: Path, damage: Callable[[Path], None]) -> None:
    """A corrupt database is an error that says what to do; not a byte of it is changed."""
    fill(file, 20)
    damage(file)
    before = file.read_bytes()

    error = refusal(file)

    assert error.kind is ErrorKind.INTERNAL
    assert error.message == f"the store `{file}` is damaged"
    assert "move it away" in str(error.hint)
    assert file.read_bytes() == before


def test_a_damaged_text_is_an_error(file: Path) -> None:
    """A row that holds no JSON fails for itself, without its text; others are still found."""
    fill(file, 2)
    with sqlite3.connect(file) as other:
        other.execute("update lingma_entries set body = 'top secret' where id = 'r0'")
    other.close()

    async def main() -> None:
        async with opened(store_at(file)) as store:
            with pytest.raises(LingmaError, match="is damaged") as caught:
                await store.response("ann", "r0")
            assert caught.value.kind is ErrorKind.INTERNAL
            assert await store.response("ann", "r1") is not None

    asyncio.run(main())


@pytest.mark.parametrize("change", ["update lingma_schema set version = 2", None])
def test_another_layout_is_refused(file: Path, change: str | None) -> None:
    """A newer layout, or none where one should be, is not touched."""
    fill(file)
    with sqlite3.connect(file) as other:
        other.execute(change or "delete from lingma_schema")
    other.close()

    error = refusal(file)

    assert error.kind is ErrorKind.INTERNAL
    assert f"the store `{file}` has layout" in error.message
    assert "use the version of lingma-cli that wrote it" in str(error.hint)


def test_a_locked_database_is_an_error_for_that_call(file: Path) -> None:
    """A lock that outlasts our patience fails the call; later ones work again."""
    fill(file)

    async def main() -> None:
        async with opened(store_at(file)) as store:
            other = sqlite3.connect(file, isolation_level=None)
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(LingmaError, match="is locked by another program") as caught:
                await store.save(response("a"))
            assert caught.value.kind is ErrorKind.INTERNAL
            other.close()
            await store.save(response("a"))
            assert await store.response("ann", "a") is not None

    asyncio.run(main())


def test_a_lock_at_the_start_passes(file: Path) -> None:
    """A store that could not get ready does so as soon as it can."""
    fill(file)

    async def main() -> None:
        store = store_at(file)
        other = sqlite3.connect(file, isolation_level=None)
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(LingmaError, match="is locked by another program"):
            await store.open()
        other.close()
        assert await store.response("ann", "r0") is not None
        await store.close()

    asyncio.run(main())


def test_a_full_disk_is_an_error_and_loses_nothing(file: Path) -> None:
    """A save that does not fit fails as a whole; what was saved before is still there."""
    fill(file)

    async def main() -> None:
        with on_each_connection("PRAGMA max_page_count = 40"):
            async with opened(store_at(file)) as store:
                with pytest.raises(LingmaError, match="the disk is full") as caught:
                    await store.save(response("a", text="x" * 200_000))
                assert caught.value.kind is ErrorKind.INTERNAL
                assert await store.response("ann", "a") is None
                assert await store.response("ann", "r0") is not None
                await store.save(response("b"))

    asyncio.run(main())


def test_a_database_that_may_only_be_read_is_refused(file: Path) -> None:
    """Missing permissions are named as such, at the start."""
    fill(file)

    with on_each_connection("PRAGMA query_only = ON"):
        error = refusal(file)

    assert error.kind is ErrorKind.INTERNAL
    assert error.message == f"the store `{file}` may not be opened or written"


@pytest.mark.parametrize(
    "url", ["", "nonsense", "nonsense://u:hunter2@h/d", "oracle+nonsense://u:hunter2@h/d"]
)
def test_an_unusable_url_is_an_error_without_its_password(url: str) -> None:
    """What is no known database is refused at once, in our own words."""
    with pytest.raises(LingmaError) as caught:
        SqlStore(url, ROOMY, Clock())

    assert caught.value.kind is ErrorKind.USAGE
    assert "hunter2" not in f"{caught.value.message} {caught.value.hint}"


def test_errors_show_no_stored_text(file: Path) -> None:
    """A failed insert, its causes included, shows nothing of what people have said."""
    fill(file)
    # Not written here as it is stored: a traceback quotes the lines of this file.
    text = "secret".upper()

    async def main() -> None:
        async with opened(store_at(file)) as store:
            other = sqlite3.connect(file)
            other.execute(
                "create trigger never before insert on lingma_entries "
                "begin select raise(abort, 'never'); end"
            )
            other.close()
            with pytest.raises(LingmaError) as caught:
                await store.save(response("a", text=text))
            assert caught.value.kind is ErrorKind.INTERNAL
            assert caught.value.hint
            told = "".join(traceback.format_exception(caught.value))
            assert "INSERT INTO lingma_entries" in told
            assert text not in told

    asyncio.run(main())
