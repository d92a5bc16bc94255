"""The work directory: info files, cache files, login record and one-time marks.

Source: Lingma local protocol, sections 2.3 and 7. Owns names, contents and modes (directories
0700, files 0600); knows nothing of sockets.
"""

import base64
import hashlib
import json
import os
import platform
from dataclasses import dataclass
from pathlib import Path

from lingma_cli.demo import records
from lingma_cli.demo.accounts import DEMO
from lingma_cli.demo.records import Cloud, Record
from lingma_cli.demo.switches import Login

# quirk: the end of a real login is told to be about this far away.
LOGIN_MS = 60 * 24 * 3600 * 1000
_DEAD_PID = 2**22 + 1  # above the largest pid Linux hands out, so never alive
_DEAD_PORT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """The machine as the binary sees it: id, and the token newer builds ask for."""

    id: str
    token: str
    type: str = "demo"


@dataclass(frozen=True, slots=True, kw_only=True)
class Listening:
    """What the info files say about a listening process."""

    port: int
    pid: int
    ipc_path: str


class WorkDir:
    """One data root."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.cache = root / "cache"
        self.logs = root / "logs"

    def prepare(self) -> None:
        """Create the folders, readable by their owner only."""
        self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        for folder in (self.cache, self.logs):
            folder.mkdir(exist_ok=True, mode=0o700)

    def machine(self, hardware: str | None = None) -> Machine:
        """Return the machine: the id of the cache, else the one its hardware always gives."""
        kept = _read(self.cache / "id").strip()
        name = hardware or platform.node() or "localhost"
        digest = hashlib.sha256(f"lingma-demo:{name}".encode()).hexdigest()
        derived = "-".join((digest[:8], digest[8:12], digest[12:16], digest[16:20], digest[20:32]))
        identity = kept or derived
        token = hashlib.sha256(f"machine-token:{identity}".encode()).hexdigest()
        return Machine(id=identity, token=token)

    def settle(self, login: Login, now_ms: int) -> Machine:
        """Write what a start leaves in the cache; existing files stay as they are."""
        machine = self.machine(login.machine)
        _write_absent(self.cache / "id", machine.id)
        _write_absent(self.cache / "config.json", "{}")
        if login.state == "auto" and not _read(self.cache / "user").strip():
            family = hashlib.sha256(f"{self.root}:{now_ms}".encode()).hexdigest()[:24]
            self.write_login(Record(user=DEMO.user, family=family, expires_ms=now_ms + LOGIN_MS))
        return self._settle_token(machine, now_ms)

    def _settle_token(self, machine: Machine, now_ms: int) -> Machine:
        path = self.cache / "machine_token.json"
        try:
            kept = json.loads(_read(path) or "{}").get("token")
        except (ValueError, AttributeError):
            kept = None
        if kept and isinstance(kept, str):
            return Machine(id=machine.id, token=kept)
        record = {"token": machine.token, "type": machine.type, "updateAt": now_ms}
        write_private(path, json.dumps(record))
        return machine

    def write_login(self, record: Record) -> None:
        """Write what a login leaves in the cache, bound to this machine's id."""
        machine_id = _read(self.cache / "id").strip()
        write_private(self.cache / "user", records.seal(record, machine_id))
        _write_absent(self.cache / "quota", base64.b64encode(b"demo quota").decode())

    def forget_login(self) -> None:
        """Remove what a logout removes."""
        for name in ("user", "quota"):
            (self.cache / name).unlink(missing_ok=True)

    def record(self) -> Record | None:
        """Return the login record, if there is one and it belongs to this machine's id."""
        machine_id = _read(self.cache / "id").strip()
        return records.unseal(_read(self.cache / "user"), machine_id) if machine_id else None

    def cloud(self, login: Login) -> Cloud:
        """Return the service that logins here belong to."""
        return Cloud(Path(login.cloud) if login.cloud else self.root / "demo-cloud")

    def is_logged_in(self, login: Login) -> bool:
        """Decide the login: by the switch, else by a record of this machine that is still good."""
        if login.state in {"in", "out"}:
            return login.state == "in"
        record = self.record()
        return record is not None and self.cloud(login).accepts(record)

    def has_foreign_login(self) -> bool:
        """Whether a login record is here that no simulator wrote."""
        text = _read(self.cache / "user").strip()
        return bool(text) and not records.is_ours(text)

    def write_info(self, listening: Listening, variant: str) -> None:
        """Write the info files of a variant of the `info` start switch, each in one step."""
        if variant in {"both", "json", "stale", "wrong-pid", "dead-pid"}:
            write_private(self.root / ".info.json", _info_json(listening))
        if variant == "garbage":
            write_private(self.root / ".info.json", '{"websocketPort":')
        if variant not in {"json", "none"}:
            lines = [str(listening.port), str(listening.pid)]
            if variant != "text-noipc":
                lines.append(listening.ipc_path)
            write_private(self.root / ".info", "\n".join(lines) + "\n")

    def write_stale_info(self) -> None:
        """Leave the info files of a process that is long dead."""
        dead = Listening(port=_DEAD_PORT, pid=_DEAD_PID, ipc_path=self.ipc_path)
        self.write_info(dead, "both")

    @property
    def ipc_path(self) -> str:
        """Where a real binary would also listen; the simulator does not."""
        return str(self.root / "lingma.sock")

    def claim(self, text: str) -> bool:
        """Whether this text is claimed for the first time in this work directory."""
        name = "demo-once-" + hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:16]
        try:
            os.close(os.open(self.cache / name, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        except FileExistsError:
            return False
        return True


def dead_pid() -> int:
    """Return a pid no process has."""
    return _DEAD_PID


def _info_json(listening: Listening) -> str:
    record = {
        "websocketPort": listening.port,
        "pid": listening.pid,
        "ipcServerPath": listening.ipc_path,
        "isDev": False,
    }
    return json.dumps(record)


def write_private(path: Path, text: str) -> None:
    """Replace a file in one step, readable by its owner only."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    temporary.touch(mode=0o600)
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)


def _write_absent(path: Path, text: str) -> None:
    if not _read(path).strip():
        write_private(path, text)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
