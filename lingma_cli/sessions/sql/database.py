"""The database: how its file is born, how its transactions run, what its errors mean.

What only SQLite needs stands here and is asked of SQLite alone.
"""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final, TypeVar

import msgspec
import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.paths import opened, private_folder
from lingma_cli.sessions.sql.tables import SCHEMA_VERSION, metadata, schema
from lingma_cli.sessions.stored import milliseconds

# The option by which a transaction says that it only reads.
_READS: Final = "lingma_reads"
_IN_MEMORY: Final = ":memory:"
_LOCKED: Final = ("is locked by another program", "end the program that holds it, or wait for it")
_DAMAGED: Final = (
    "is damaged",
    "bring it back from a backup, or move it away and a new one will be made",
)
_FORBIDDEN: Final = ("may not be opened or written", "check its permissions and its folder's")
_UNREACHABLE: Final = ("failed", "check that the database can be reached and used")
# By SQLite's primary result code.
_FAULTS: Final[Mapping[int, tuple[str, str]]] = MappingProxyType(
    {
        sqlite3.SQLITE_BUSY: _LOCKED,
        sqlite3.SQLITE_LOCKED: _LOCKED,
        sqlite3.SQLITE_CORRUPT: _DAMAGED,
        sqlite3.SQLITE_NOTADB: _DAMAGED,
        sqlite3.SQLITE_FULL: ("cannot grow, the disk is full", "free some space on its disk"),
        sqlite3.SQLITE_IOERR: ("cannot be read or written", "check its disk and the space there"),
        sqlite3.SQLITE_PERM: _FORBIDDEN,
        sqlite3.SQLITE_READONLY: _FORBIDDEN,
        sqlite3.SQLITE_CANTOPEN: _FORBIDDEN,
    }
)

_Result = TypeVar("_Result")


def sqlite_url(path: Path) -> str:
    """Return the URL of the SQLite database in the file `path`."""
    return sa.URL.create("sqlite", database=str(path)).render_as_string()


class Database:
    """A database that gets ready with its first transaction; for one thread at a time.

    The file of an SQLite database is made for the user alone and refused if others may open it.

    Args:
        url: as SQLAlchemy writes it; `sqlite_url` makes one.
        patience: seconds to wait for another program that locks an SQLite database.

    Raises:
        LingmaError: the URL names no kind of database that can be used here.
    """

    def __init__(self, url: str, patience: float) -> None:
        try:
            parsed = sa.make_url(url)
            # Neither errors nor logs may show what people have said.
            self._engine = sa.create_engine(parsed, hide_parameters=True)
        except (ArgumentError, ImportError) as error:
            raise LingmaError(
                ErrorKind.USAGE,
                "the store's URL names no kind of database that can be used here",
                hint="write it as `sqlite:////path/to/file`, or install the database's driver",
            ) from error
        self._is_ready = False
        self._is_sqlite = parsed.get_backend_name() == "sqlite"
        self._name = parsed.render_as_string()
        if self._is_sqlite:
            self._name = parsed.database or _IN_MEMORY
            _tune_sqlite(self._engine, patience)

    def transaction(
        self, work: Callable[[sa.Connection], _Result], *, reads: bool = False
    ) -> _Result:
        """Run `work` in a transaction of its own and commit it; `reads` if it writes nothing.

        Raises:
            LingmaError: `work` raised it, or the database failed; nothing was written.
        """
        try:
            if not self._is_ready:
                self._get_ready()
            with self._engine.execution_options(**{_READS: reads}).begin() as connection:
                return work(connection)
        except (SQLAlchemyError, sqlite3.Error) as error:
            code = getattr(getattr(error, "orig", error), "sqlite_errorcode", 0)
            raise self._failure(*_FAULTS.get(code & 0xFF, _UNREACHABLE)) from error
        except msgspec.MsgspecError as error:
            raise self._failure(*_DAMAGED) from error

    def close(self) -> None:
        """Close the connection."""
        self._engine.dispose()

    def _get_ready(self) -> None:
        if self._is_sqlite and self._name != _IN_MEMORY:
            _make_private(Path(self._name))
        with self._engine.begin() as connection:
            if sa.inspect(connection).has_table(schema.name):
                version = connection.scalar(sa.select(sa.func.max(schema.c.version)))
                if version != SCHEMA_VERSION:
                    raise self._failure(
                        f"has layout {version}, this version knows {SCHEMA_VERSION}",
                        "use the version of lingma-cli that wrote it, or move it away",
                    )
            else:
                metadata.create_all(connection)
                connection.execute(sa.insert(schema).values(version=SCHEMA_VERSION))
        self._is_ready = True

    def _failure(self, what: str, hint: str) -> LingmaError:
        return LingmaError(ErrorKind.INTERNAL, f"the store `{self._name}` {what}", hint=hint)


def _tune_sqlite(engine: sa.Engine, patience: float) -> None:
    @sa.event.listens_for(engine, "connect")
    def connected(connection: sqlite3.Connection, _record: object) -> None:
        # The driver begins transactions late and never for reads; here `begin` does it.
        connection.isolation_level = None
        for pragma in (
            f"busy_timeout = {milliseconds(patience)}",
            "journal_mode = WAL",
            "synchronous = FULL",
            "foreign_keys = ON",
        ):
            connection.execute(f"PRAGMA {pragma}").close()

    @sa.event.listens_for(engine, "begin")
    def begun(connection: sa.Connection) -> None:
        # A transaction that reads first and writes later fails at once if somebody wrote meanwhile.
        reads = connection.get_execution_options().get(_READS)
        connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")


def _make_private(path: Path) -> None:
    private_folder(path.parent)
    try:
        # Opened only if it is new: to close a descriptor would drop SQLite's own locks.
        with opened(path, os.O_RDWR | os.O_CREAT | os.O_EXCL):
            return
    except FileExistsError:
        status = path.lstat()
    except OSError as error:
        raise _refused(path, f"{error.strerror}") from error
    if not stat.S_ISREG(status.st_mode):
        raise _refused(path, "it is no regular file")
    if os.name == "posix" and (status.st_uid != os.getuid() or status.st_mode & 0o077):
        raise _refused(path, "it belongs to somebody else or others may open it")


def _refused(path: Path, reason: str) -> LingmaError:
    return LingmaError(
        ErrorKind.USAGE,
        f"cannot use the store `{path}`: {reason}",
        hint=f"run `chmod 600 {path}`, or name another file",
    )
