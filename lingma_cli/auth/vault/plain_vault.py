"""The vault for those who asked for it: private files, not encrypted."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from lingma_cli.auth.vault.base import MAX_VALUE, check_value
from lingma_cli.auth.vault.entry_files import EntryFiles


class PlainVault:
    """Entries as files of mode 0600; whoever opens this vault warns the person of it.

    Args:
        folder: where the files are.
    """

    kind: Final = "plain"

    def __init__(self, folder: Path) -> None:
        self._files = EntryFiles(folder, "plain", MAX_VALUE)

    def get(self, name: str) -> bytes | None:
        """Return the value of an entry; see `Vault`."""
        return self._files.read(name)

    def put(self, name: str, value: bytes) -> None:
        """Keep a value; see `Vault`."""
        self._files.write(name, check_value(value))

    def delete(self, name: str) -> bool:
        """Forget an entry; see `Vault`."""
        return self._files.remove(name)
