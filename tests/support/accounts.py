"""A home with accounts whose logins the simulator takes, and the service that remembers them."""

from __future__ import annotations

import hashlib
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from lingma_cli.auth.bundles.bundle import Bundle, pack, unpack
from lingma_cli.auth.bundles.folder import take
from lingma_cli.auth.keeping import entry_of
from lingma_cli.demo.records import Cloud, Record, seal, unseal
from lingma_cli.paths import Paths, find_paths
from lingma_cli.settings import Settings
from lingma_cli.wiring.home import Home, open_home, work_dir_of
from lingma_cli.wiring.session import import_session

MACHINE = "0f8fad5b-d9cb-469f-a165-70867728950e"


def record(user: str = "demo", *, serial: int = 1) -> Record:
    """Return what a login consists of; each `serial` has tokens of its own."""
    family = hashlib.sha256(user.encode()).hexdigest()[:24]
    expires = int(time.time() + 86_400) * 1000
    return Record(user=user, family=family, serial=serial, expires_ms=expires)


def bundle_of(login: Record) -> Bundle:
    """Return a login as files."""
    return Bundle(files={"id": MACHINE.encode(), "user": seal(login, MACHINE).encode()})


def record_of(bundle: Bundle | None) -> Record | None:
    """Return what is in a bundle."""
    return None if bundle is None else unseal(bundle.files["user"].decode(), MACHINE)


def launcher(folder: Path) -> str:
    """Write an executable that becomes the simulator, and return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    script = folder / "Lingma"
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -P -m lingma_cli.demo "$@"\n')
    script.chmod(0o700)
    return str(script)


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountHome:
    """A home below `root`, with a plain vault."""

    root: Path

    @property
    def folder(self) -> Path:
        """The program's home."""
        return self.root / "home"

    @property
    def paths(self) -> Paths:
        """Its folders."""
        return find_paths({"LINGMA_HOME": str(self.folder)})

    @property
    def home(self) -> Home:
        """Vault and accounts."""
        return open_home(Settings(store="plain"), self.paths, warn=lambda _: None)

    @property
    def cloud(self) -> Cloud:
        """The service that all its logins belong to."""
        return Cloud(self.root / "cloud")

    @property
    def arguments(self) -> tuple[str, ...]:
        """How to serve it."""
        return ("--no-auth", *self.with_keys)

    @property
    def with_keys(self) -> tuple[str, ...]:
        """How to serve it for clients with a key."""
        return ("--bin", launcher(self.root / "bin"))

    def environ(self, login: str = "") -> dict[str, str]:
        """Return the environment in which the simulator never makes a login of its own.

        Args:
            login: further switches of its login.
        """
        switches = f"state=file cloud={self.root / 'cloud'} {login}"
        return {"LINGMA_STORE": "plain", "LINGMA_DEMO_LOGIN": switches}

    def add(self, name: str, login: Record) -> None:
        """Import an account."""
        bundle = bundle_of(login)
        import_session(self.home, bundle, name, endpoint="", now=1.0, overwrite=True)

    def add_while_serving(self, name: str, login: Record) -> None:
        """Put a new login into the vault, as `lingma login` in another terminal does."""
        self.home.vault.put(entry_of(name), pack(bundle_of(login)))

    def in_vault(self, name: str) -> Record | None:
        """Return the login that the vault holds."""
        packed = self.home.vault.get(entry_of(name))
        return record_of(unpack(packed)) if packed is not None else None

    def in_folder(self, name: str) -> Record | None:
        """Return the login that lies in the engine's folder."""
        return record_of(take(work_dir_of(self.paths, name)))
