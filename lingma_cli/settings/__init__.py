"""The one settings table: names, types, defaults, flags, environment, help and provenance.

The fields of `Settings` are the rows. Command-line options, environment names, TOML keys,
`lingma config show --origin`, the reference page and the validation derive from them. Only `cli`
and `wiring` read this room; everybody else receives plain values.
"""

from __future__ import annotations

from lingma_cli.settings.engine_rows import AUTO_POLICY
from lingma_cli.settings.resolving import TYPE_WORDS, Resolved, forget_secrets, resolve
from lingma_cli.settings.row import Row, Table
from lingma_cli.settings.rows import Settings, environment_name, table

__all__ = [
    "AUTO_POLICY",
    "TYPE_WORDS",
    "Resolved",
    "Row",
    "Settings",
    "Table",
    "environment_name",
    "forget_secrets",
    "resolve",
    "table",
]
