"""The vault of a home, opened as the settings say, and the generated keys in it."""

from __future__ import annotations

import hashlib
import secrets
import sys
from collections.abc import Callable
from dataclasses import dataclass
from getpass import getpass
from pathlib import Path

from lingma_cli.auth import generated_keys, keys_file
from lingma_cli.auth.keys_file import GeneratedKeys
from lingma_cli.auth.passphrase_file import read_passphrase
from lingma_cli.auth.vault.base import Vault
from lingma_cli.auth.vault.opening import kind_in_use, open_vault
from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.paths import Paths
from lingma_cli.secret import Secret
from lingma_cli.settings import Settings

Warn = Callable[[str], None]
AskPassphrase = Callable[[str], Secret | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """The keys of this machine's server, as far as they exist."""

    api: Secret | None
    admin: Secret | None


def ask_at_terminal(prompt: str) -> Secret | None:
    """Ask the person for a passphrase; `None` if there is none to ask, or they give none."""
    if not (sys.stdin and sys.stdin.isatty() and sys.stderr and sys.stderr.isatty()):
        return None
    try:
        said = getpass(prompt, stream=sys.stderr)
    except EOFError:
        return None
    return Secret(said) if said else None


def open_home_vault(
    settings: Settings, paths: Paths, *, warn: Warn, ask: AskPassphrase = ask_at_terminal
) -> Vault:
    """Open the vault of this home; begin one if it has none.

    Args:
        settings: `store` and `passphrase_file` count.
        paths: the home.
        warn: told if the vault is not encrypted.
        ask: asks for a passphrase when no file has it.

    Raises:
        LingmaError: it does not open or cannot be begun, see `open_vault`.
    """
    vault = open_vault(
        settings.store,
        folder=paths.vault_folder,
        home_id=_home_id(paths),
        passphrase=lambda: _passphrase(settings, paths, ask),
    )
    if vault.kind == "plain":
        warn(f"logins and keys lie unencrypted in `{paths.vault_folder}`, as `store = plain` says")
    return vault


class VaultDoor:
    """The vault of a home, opened when it is first needed, and only once.

    Args:
        settings: see `open_home_vault`, like the others.
        paths: the home.
        warn: told if the vault is not encrypted.
        ask: asks for a passphrase when no file has it.
    """

    def __init__(
        self,
        settings: Settings,
        paths: Paths,
        *,
        warn: Warn,
        ask: AskPassphrase = ask_at_terminal,
    ) -> None:
        self._settings = settings
        self._paths = paths
        self._warn = warn
        self._ask = ask
        self._vault: Vault | None = None

    def open(self, *, asks: bool = True) -> Vault:
        """Return the vault; nobody is asked for a passphrase unless `asks`.

        Raises:
            LingmaError: see `open_home_vault`.
        """
        if self._vault is None:
            ask = self._ask if asks else lambda _: None
            self._vault = open_home_vault(self._settings, self._paths, warn=self._warn, ask=ask)
        return self._vault


def find_keys(settings: Settings, paths: Paths, open_vault: Callable[[], Vault]) -> Keys:
    """Return the configured keys, else the generated ones; nothing is made.

    Args:
        settings: the keys count.
        paths: the home.
        open_vault: opens its vault; called if the keys are there.

    Raises:
        LingmaError: the generated keys are needed and there, and their file or vault does not
            give them.
    """
    api = settings.api_keys[0] if settings.api_keys else None
    admin = settings.admin_token
    if api is None or admin is None:
        generated = keys_file.load(paths.keys_file)
        if generated is None and kind_in_use(paths.vault_folder):
            generated = generated_keys.load(open_vault())
        if generated is not None:
            api, admin = api or generated.api_key, admin or generated.admin_token
    return Keys(api=api, admin=admin)


def find_or_make_keys(
    settings: Settings, paths: Paths, door: VaultDoor, *, warn: Warn
) -> GeneratedKeys:
    """Return the generated keys; make them if there are none.

    They are kept in the vault. For them alone nobody is asked to choose one: where there is no
    keyring and no passphrase, they stay in their private file, and `warn` is told.

    Raises:
        LingmaError: they are in a vault that does not open, or the vault that the settings choose
            cannot be begun.
    """
    in_use = kind_in_use(paths.vault_folder)
    is_wanted = in_use is not None or settings.store == "encrypted"
    try:
        vault = door.open(asks=is_wanted)
        return generated_keys.load_or_create(vault, paths.keys_file, _new_token, warn=warn)
    except LingmaError as error:
        is_in_vault = in_use is not None and not paths.keys_file.exists()
        if error.kind is ErrorKind.USAGE or settings.store != "auto" or is_in_vault:
            raise
        keys = keys_file.load_or_create(paths.keys_file, _new_token)
        warn(f"the generated keys stay in `{paths.keys_file}`: {error.message}")
        return keys


def _new_token() -> str:
    return secrets.token_urlsafe(32)


def _home_id(paths: Paths) -> str:
    return hashlib.sha256(str(paths.state.resolve()).encode()).hexdigest()[:16]


def _passphrase(settings: Settings, paths: Paths, ask: AskPassphrase) -> Secret | None:
    if settings.passphrase_file:
        return read_passphrase(Path(settings.passphrase_file).expanduser())
    if kind_in_use(paths.vault_folder):
        return ask("passphrase of the vault: ")
    given = ask("passphrase for a new encrypted vault: ")
    if given is not None and ask("the same again: ") != given:
        raise LingmaError(ErrorKind.USAGE, "the two passphrases differ")
    return given
