"""Which server a command talks to, and with which keys."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lingma_cli.cli import output
from lingma_cli.cli.options import load_settings
from lingma_cli.core.address import Address
from lingma_cli.core.loopback import is_loopback
from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.paths import Paths, find_paths
from lingma_cli.secret import Secret
from lingma_cli.server.presence import ServerFile, find_server
from lingma_cli.wiring.vault import Keys, VaultDoor, find_keys

if TYPE_CHECKING:
    from lingma_cli.client.server import Client


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A server and what to show it; `server` is `None` when the user named the address."""

    url: str
    keys: Keys
    server: ServerFile | None

    def connect(self) -> Client:
        """Return a client, to be closed by its `with`."""
        from lingma_cli.client.server import Client  # noqa: PLC0415 - only now httpx is needed

        return Client(self.url, api_key=self.keys.api, admin_token=self.keys.admin)


def find_target(
    url: str | None, config: str | None, environ: Mapping[str, str] = os.environ
) -> Target:
    """Return the server that `url`, `LINGMA_URL` or the running server's own file names.

    Raises:
        LingmaError: no server runs, the address is no address, or the settings are wrong.
    """
    paths = find_paths(environ)
    settings = load_settings(paths, config, environ=environ).settings
    own = find_keys(settings, paths, VaultDoor(settings, paths, warn=output.warn).open)
    said = environ.get("LINGMA_API_KEY", "").strip()
    api = Secret(said) if said else own.api
    named = url or environ.get("LINGMA_URL")
    if not named:
        server = _running_server(paths)
        return Target(url=server.url, keys=Keys(api=api, admin=own.admin), server=server)
    there = Address.parse(
        named,
        wrong="the server's address is not usable",
        hint="write it like `--url http://127.0.0.1:8317`",
    )
    keys = Keys(api=api, admin=own.admin)
    if not is_loopback(there.host):
        # The keys of this machine's server are nobody else's business.
        keys = Keys(api=Secret(said) if said else None, admin=None)
    return Target(url=there.root, keys=keys, server=None)


def find_own_target(config: str | None) -> Target:
    """Return the running server of this home; another one that the user may name is not meant.

    Raises:
        LingmaError: as `find_target`.
    """
    own = {name: value for name, value in os.environ.items() if name != "LINGMA_URL"}
    return find_target(None, config, own)


def _running_server(paths: Paths) -> ServerFile:
    server = find_server(paths)
    if server is None:
        raise LingmaError(
            ErrorKind.SERVER_NOT_FOUND,
            "no running server found",
            hint="run `lingma serve` in another terminal, or name one with `--url`",
        )
    return server
