"""What the binary leaves in its work directory."""

from __future__ import annotations

from pathlib import Path

import pytest

from lingma_cli.engines.lingma.workdir import (
    ServerAddress,
    forget_address,
    read_address,
    read_machine_token,
)

JSON = '{"websocketPort":36510,"pid":14060,"ipcServerPath":"x","isDev":false}'
HERE = ServerAddress(port=36510, pid=14060)


def _write(work_dir: Path, name: str, content: str | bytes) -> None:
    path = work_dir / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)


@pytest.mark.parametrize(
    "files",
    [
        {".info.json": JSON},
        {".info": "36510\n14060\n"},
        {".info": "36510\r\n14060\r\n/tmp/lingma.sock\r\n"},
        {".info.json": JSON, ".info": "1\n2\n"},
        {".info.json": "{", ".info": "36510\n14060"},
        {".info.json": '{"pid":1}', ".info": "36510\n14060"},
        {".info.json": b"\xff", ".info": "36510\n14060"},
    ],
)
def test_the_address_is_read(tmp_path: Path, files: dict[str, str | bytes]) -> None:
    """JSON first, then the lines of the legacy file."""
    for name, content in files.items():
        _write(tmp_path, name, content)

    assert read_address(tmp_path) == HERE


@pytest.mark.parametrize(
    "files",
    [
        {},
        {".info": ""},
        {".info": "36510"},
        {".info": "port\npid"},
        {".info": b"\xff\xfe"},
        {".info": "0\n14060"},
        {".info": "65536\n14060"},
        {".info": "36510\n0"},
        {".info": "36510\n-1"},
        {".info": "9" * 5000 + "\n1"},
        {".info.json": '{"websocketPort":0,"pid":1}'},
        {".info.json": "[1, 2]"},
        {".info.json": "[" * 200_000},
    ],
)
def test_no_address_is_guessed(tmp_path: Path, files: dict[str, str | bytes]) -> None:
    """Half-written and implausible files say nothing yet."""
    for name, content in files.items():
        _write(tmp_path, name, content)

    assert read_address(tmp_path) is None


def test_an_old_address_is_forgotten(tmp_path: Path) -> None:
    """Both files go; that there are none is no error."""
    _write(tmp_path, ".info.json", JSON)
    _write(tmp_path, ".info", "36510\n14060")

    forget_address(tmp_path)
    forget_address(tmp_path)

    assert read_address(tmp_path) is None


def test_the_machine_token_is_a_secret(tmp_path: Path) -> None:
    """It is read, and does not show itself."""
    _write(tmp_path, "cache/machine_token.json", '{"token":"abc-123","type":"x"}')

    token = read_machine_token(tmp_path)

    assert token is not None
    assert token.reveal() == "abc-123"
    assert "abc" not in repr(token)


@pytest.mark.parametrize(
    "content",
    [None, "", "{}", '{"token":""}', '{"token":5}', '{"token":"a\\r\\nX: y"}', '{"token":"é"}'],
)
def test_what_could_not_stand_in_a_header_is_no_token(tmp_path: Path, content: str | None) -> None:
    """Missing, empty or dangerous: none."""
    if content is not None:
        _write(tmp_path, "cache/machine_token.json", content)

    assert read_machine_token(tmp_path) is None
