"""The generated key and token: in the vault, and how they get there from their file.

Owns: when the file is given up. Must not know: which vault it is.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from lingma_cli.auth import keys_file
from lingma_cli.auth.keys_file import GeneratedKeys
from lingma_cli.auth.vault.base import Vault, shut

_ENTRY: Final = "keys"


def load(vault: Vault) -> GeneratedKeys | None:
    """Return the keys in `vault`, `None` if there are none.

    Raises:
        LingmaError: the vault does not give them, or they are corrupt.
    """
    content = vault.get(_ENTRY)
    if content is None:
        return None
    try:
        return keys_file.decode(content)
    except ValueError:
        raise shut(
            "the generated keys in the vault are corrupt",
            hint="set `LINGMA_API_KEYS` and `LINGMA_ADMIN_TOKEN`",
        ) from None


def load_or_create(
    vault: Vault, file: Path, new_token: Callable[[], str], *, warn: Callable[[str], None]
) -> GeneratedKeys:
    """Return the keys, from now on in `vault` only; make them if there are none.

    The file goes only after the vault has given back what was in it. While there is a file, its
    keys count: clients hold them.

    Args:
        vault: where they belong.
        file: where they were, see `keys_file.load`.
        new_token: a source of unguessable texts.
        warn: told why the file has to stay.

    Raises:
        LingmaError: the vault does not give or take, or the file cannot be trusted.
    """
    filed, kept = keys_file.load(file), load(vault)
    if filed is None:
        return kept or _kept(vault, keys_file.make(new_token))
    if kept is not None and not _same(kept, filed):
        warn(f"the vault holds other keys than `{file}`, which count as long as it is there")
        return filed
    if kept is None:
        _kept(vault, filed)
    try:
        file.unlink()
    except OSError as error:
        warn(f"the generated keys are in the vault, but `{file}` stays: {error.strerror}")
    return filed


def _kept(vault: Vault, keys: GeneratedKeys) -> GeneratedKeys:
    vault.put(_ENTRY, keys_file.encode(keys))
    kept = load(vault)
    if kept is None or not _same(kept, keys):
        raise shut(
            "the vault does not give back the keys put into it", hint="use another `--store`"
        )
    return keys


def _same(one: GeneratedKeys, other: GeneratedKeys) -> bool:
    return (one.api_key, one.admin_token) == (other.api_key, other.admin_token)
