"""What the old gateway's environment means here: settings for our file, logins for the vault.

Source: the gateway brief, "Settings". Passwords are never taken over.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from lingma_cli.auth.configured import Entry, configured_entries
from lingma_cli.auth.keys import check_configured
from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.paths import write_private
from lingma_cli.secret import Secret
from lingma_cli.settings import environment_name, resolve, table

# The old gateway's names without `LINGMA_` in front.
_BARE: Final = frozenset(
    """
    HOST PORT LOG_LEVEL API_KEYS ADMIN_TOKEN METRICS_TOKEN METRICS_PUBLIC DEFAULT_MODEL
    DEFAULT_ASK_MODE GATEWAY_MAX_IN_FLIGHT GATEWAY_QUEUE_TIMEOUT_SEC DEDICATED_DOMAIN_URL
    SESSION_REUSE_ENABLED SESSION_CACHE_MAX_ENTRIES SESSION_CACHE_TTL_SEC AUTO_LOGIN_ENABLED
    AUTO_LOGIN_HEADLESS AUTO_LOGIN_TIMEOUT AUTO_LOGIN_MAX_RETRY TOOL_FORWARD_ENABLED TOOL_ALLOWLIST
    """.split()
)
_ACCOUNTS: Final = ("accounts", "username", "password", "session_bundle", "session_bundle_file")
_PATHS: Final = ("bin", "work_dir", "passphrase_file")
_TABLES: Final = ("engines", "engine_templates")
_KEYS: Final = ("api_keys", "admin_token", "metrics_token")
_MARK: Final = "# taken over by `lingma config import-env`"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is to be done with an environment.

    Attributes:
        added: settings for the file, by key.
        kept: keys that the file already has, with another value, which stays.
        same: keys that the file has with this very value.
        left_out: names of variables that are not taken over, with the reason.
        unknown: names of variables for which there is no setting.
        entries: accounts, whose bundles go into the vault.
    """

    added: dict[str, Any] = field(default_factory=dict)
    kept: list[str] = field(default_factory=list)
    same: list[str] = field(default_factory=list)
    left_out: list[tuple[str, str]] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)


def plan_import(variables: Mapping[str, str], config_file: Path) -> Plan:
    """Return what `variables` mean beside what `config_file` says; nothing is changed.

    Raises:
        LingmaError: the accounts make no sense, or `config_file` is wrong.
    """
    known = {item.name for item, _ in table()}
    plan = Plan()
    accounts: dict[str, str] = {}
    there = resolve({}, {}, config_file)
    for name, value in variables.items():
        key = _key(name)
        if key not in known:
            plan.unknown.append(name)
        elif key in _ACCOUNTS and value:
            accounts[key] = value
        elif value:
            try:
                typed = _typed(key, value, config_file)
            except LingmaError as error:
                plan.left_out.append((name, error.message))
                continue
            if there.origins[key] == "default":
                plan.added[key] = typed
            else:
                is_same = getattr(there.settings, key) == typed
                (plan.same if is_same else plan.kept).append(key)
    plan.entries.extend(_entries(accounts))
    return plan


def _key(name: str) -> str:
    if name in _BARE:
        return name.lower()
    return name.removeprefix("LINGMA_").lower() if name.startswith("LINGMA_") else ""


def _typed(key: str, value: str, config_file: Path) -> Any:
    """Return the value as the setting has it; raise if it could not be used here."""
    typed = getattr(resolve({}, {environment_name(key): value}, config_file).settings, key)
    if key in _TABLES:
        raise LingmaError(ErrorKind.USAGE, "write it into the settings file, as tables")
    if key in _PATHS and not Path(typed).expanduser().exists():
        raise LingmaError(ErrorKind.USAGE, "that path does not exist on this machine")
    if key in _KEYS:
        check_configured(typed if isinstance(typed, tuple) else (typed,), key)
    return typed


def _entries(accounts: Mapping[str, str]) -> Iterator[Entry]:
    """Yield the list's accounts, and the single one beside them."""
    several = accounts.get("accounts")
    lists: Sequence[Secret | None] = (Secret(several), None) if several else (None,)
    for listed in lists:
        one = {} if listed else accounts
        yield from configured_entries(
            listed,
            username=one.get("username", ""),
            password=_secret(one.get("password")),
            session_bundle=_secret(one.get("session_bundle")),
            session_bundle_file=one.get("session_bundle_file", ""),
        )


def _secret(value: str | None) -> Secret | None:
    return Secret(value) if value else None


def extend_file(config_file: Path, added: Mapping[str, Any]) -> None:
    """Write `added` behind the plain settings of the file, all of which stays; mode 0600.

    Raises:
        LingmaError: the file cannot be written.
    """
    if not added:
        return
    before = config_file.read_text(encoding="utf-8") if config_file.exists() else ""
    plain, tables = _parted(before)
    if plain and not plain.endswith("\n"):
        plain += "\n"
    lines = [_MARK, *(f"{key} = {_toml(value)}" for key, value in added.items())]
    text = plain + "\n".join(lines) + "\n" + tables
    tomllib.loads(text)
    write_private(config_file, text)


def _parted(text: str) -> tuple[str, str]:
    """Return the plain settings, and all from the first table on."""
    lines = text.splitlines(keepends=True)
    for place, line in enumerate(lines):
        plain = "".join(lines[:place])
        if line.lstrip().startswith("[") and _is_whole(plain):
            return plain, "".join(lines[place:])
    return text, ""


def _is_whole(text: str) -> bool:
    """Tell whether it ends outside of a list or a text."""
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return False
    return True


def _toml(value: Any) -> str:
    match value:
        case Secret():
            return _toml(value.reveal())
        case str():
            # JSON's escapes are TOML's, but for DEL, which JSON leaves alone.
            return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
        case tuple():
            return f"[{', '.join(map(_toml, value))}]"
        case _:
            return json.dumps(value)
