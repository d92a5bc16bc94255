"""What the engines of a server are built from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from lingma_cli.auth.vault.base import Vault
from lingma_cli.paths import Paths
from lingma_cli.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What the engines are built from.

    Attributes:
        environ: the process environment, without secrets.
        command: the executable and its leading arguments.
        open_vault: opens the home's vault.
        warn: told what is odd at the start.
        is_guarded: the server asks for an admin token. Where everybody may add engines, later runs
            must not have them.
    """

    settings: Settings
    paths: Paths
    environ: Mapping[str, str]
    command: tuple[str, ...]
    open_vault: Callable[[], Vault]
    warn: Callable[[str], None]
    is_guarded: bool = True

    @property
    def serves_named(self) -> bool:
        """Whether the engines that the settings name and the remembered ones are served.

        Not by a server that stands open though nobody has said so.
        """
        return self.is_guarded or self.settings.no_auth
