"""What the binary leaves in its work directory, read without trusting it.

Source: Lingma local protocol, "Work dir": `.info.json`, the legacy `.info` (one value a line: port,
pid, optionally the pipe), and `cache/machine_token.json`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import msgspec

from lingma_cli.secret import Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerAddress:
    """Where the binary says it listens, and as which process."""

    port: int
    pid: int


class _InfoJson(msgspec.Struct):
    websocketPort: int  # noqa: N815 - the protocol's spelling
    pid: int


class _MachineToken(msgspec.Struct):
    token: str = ""


def read_address(work_dir: Path) -> ServerAddress | None:
    """Return what the info files say: JSON first, then text; `None` while neither is complete."""
    try:
        info = msgspec.json.decode((work_dir / ".info.json").read_bytes(), type=_InfoJson)
        return _plausible(info.websocketPort, info.pid)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        pass
    try:
        lines = (work_dir / ".info").read_text(encoding="utf-8").split()
        return _plausible(int(lines[0]), int(lines[1]))
    except (OSError, ValueError, IndexError):
        return None


def _plausible(port: int, pid: int) -> ServerAddress | None:
    return ServerAddress(port=port, pid=pid) if 0 < port < 65536 and pid > 0 else None


def forget_address(work_dir: Path) -> None:
    """Remove the info files of an earlier process."""
    for name in (".info.json", ".info"):
        (work_dir / name).unlink(missing_ok=True)


def read_machine_token(work_dir: Path) -> Secret | None:
    """Return the token that newer builds want in the WebSocket handshake, if there is one."""
    try:
        content = (work_dir / "cache" / "machine_token.json").read_bytes()
        token = msgspec.json.decode(content, type=_MachineToken).token
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return None
    # A header value: anything else would be an injection.
    return Secret(token) if token.isascii() and token.isprintable() and token else None
