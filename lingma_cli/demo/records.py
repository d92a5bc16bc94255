"""The login record of `cache/user`, and what the simulated service remembers of logins.

Source: Lingma local protocol, section 7: the record is opaque, bound to the machine id, and each
refresh makes the tokens before it worthless. The record holds no token: tokens follow from it.
"""

import base64
import dataclasses
import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_RECORD_SIZE = 1_280
_FAMILY_SIZE = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One login: `family` names it from its beginning on, `serial` counts its refreshes."""

    user: str
    family: str
    serial: int = 1
    expires_ms: int = 0
    organisation: str = ""

    @property
    def token(self) -> str:
        """The access token."""
        return f"pt-{self.family}{self.serial:04x}"

    @property
    def refresh_token(self) -> str:
        """The refresh token, which is good once."""
        return "rt-" + hashlib.sha256(f"refresh:{self.token}".encode()).hexdigest()[:28]


def of_tokens(user: str, token: str, refresh_token: str, expires_ms: int) -> Record | None:
    """Return the record that a pair of tokens belongs to."""
    body = token.removeprefix("pt-")
    try:
        serial = int(body[_FAMILY_SIZE:], 16)
    except ValueError:
        return None
    family = body[:_FAMILY_SIZE]
    record = Record(user=user, family=family, serial=serial, expires_ms=expires_ms)
    return record if (record.token, record.refresh_token) == (token, refresh_token) else None


def seal(record: Record, machine_id: str) -> str:
    """Make opaque base64 text of about the real size, bound to a machine id."""
    content = {"simulator": True, "bound": _binding(machine_id), **dataclasses.asdict(record)}
    return base64.b64encode(json.dumps(content).ljust(_RECORD_SIZE).encode()).decode()


def unseal(text: str, machine_id: str) -> Record | None:
    """Return the record, if it belongs to this machine id."""
    opened = _opened(text)
    if opened is None or opened.pop("bound", None) != _binding(machine_id):
        return None
    try:
        return Record(**opened)
    except TypeError:
        return None


def is_ours(text: str) -> bool:
    """Whether a simulator wrote that, for whatever machine."""
    return _opened(text) is not None


def _opened(text: str) -> dict[str, Any] | None:
    try:
        opened = json.loads(base64.b64decode(text.strip(), validate=True))
    except ValueError:
        return None
    is_record = isinstance(opened, dict) and opened.pop("simulator", None) is True
    return opened if is_record else None


def _binding(machine_id: str) -> str:
    return hashlib.sha256(f"login:{machine_id}".encode()).hexdigest()


class Cloud:
    """What the service remembers: which refreshes have been made, as marks in a folder.

    Processes that share the folder share the service, and so each other's refreshes.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def accepts(self, record: Record) -> bool:
        """Whether the record's tokens are still good."""
        return not self._mark(record).exists()

    def rotate(self, record: Record, expires_ms: int) -> Record | None:
        """Take the refresh token and return the next record, unless it was taken before."""
        if not self.revoke(record):
            return None
        return dataclasses.replace(record, serial=record.serial + 1, expires_ms=expires_ms)

    def revoke(self, record: Record) -> bool:
        """Make the record's tokens worthless; false if they were."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            os.close(os.open(self._mark(record), os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        except FileExistsError:
            return False
        return True

    def _mark(self, record: Record) -> Path:
        name = hashlib.sha256(record.token.encode()).hexdigest()[:24]
        return self._folder / f"worthless-{name}"
