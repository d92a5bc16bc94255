"""The store in an SQL database, the only room that knows SQLAlchemy.

Imported only when this kind of store is chosen.
"""

from __future__ import annotations

from lingma_cli.sessions.sql.database import sqlite_url
from lingma_cli.sessions.sql.store import SqlStore

__all__ = ["SqlStore", "sqlite_url"]
