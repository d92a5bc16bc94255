"""How a program that listens on a free port tells its starter: a small JSON file.

The form is that of the binary's `.info.json` ("Lingma local protocol" section 2.3).
"""

import os
from pathlib import Path

import msgspec


class _Listener(msgspec.Struct, rename="camel"):
    websocket_port: int
    pid: int


def announce(path: Path, port: int) -> None:
    """Write the file in one step, so that no reader sees half of it."""
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    draft.write_bytes(msgspec.json.encode(_Listener(websocket_port=port, pid=os.getpid())))
    draft.replace(path)


def read_port(path: Path) -> int | None:
    """The announced port, or None as long as there is no file."""
    if not path.exists():
        return None
    return msgspec.json.decode(path.read_bytes(), type=_Listener).websocket_port
