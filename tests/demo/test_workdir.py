"""The work directory's files."""

import base64
import json
import stat
from pathlib import Path

import pytest

from lingma_cli.demo.switches import Login
from lingma_cli.demo.workdir import Listening, WorkDir

AUTO = Login(machine="here")
LISTENING = Listening(port=36510, pid=14060, ipc_path="/ipc")


def make(root: Path, login: Login = AUTO) -> WorkDir:
    """Prepare and settle a work directory."""
    work_dir = WorkDir(root)
    work_dir.prepare()
    work_dir.settle(login, 7)
    return work_dir


def test_a_start_logs_in(tmp_path: Path) -> None:
    """By default the login record is created and is about as large as a real one."""
    work_dir = make(tmp_path / "new")
    record = (work_dir.cache / "user").read_text()

    assert work_dir.is_logged_in(AUTO)
    assert 1_600 < len(record) < 1_800
    assert base64.b64decode(record, validate=True)


def test_everything_is_private(tmp_path: Path) -> None:
    """Folders are 0700 and files 0600."""
    work_dir = make(tmp_path / "new")
    work_dir.write_info(LISTENING, "both")
    modes = {
        stat.S_IMODE(path.stat().st_mode)
        for path in (tmp_path / "new").rglob("*")
        if path.is_file()
    }

    assert modes == {0o600}
    assert stat.S_IMODE(work_dir.cache.stat().st_mode) == 0o700
    assert stat.S_IMODE(work_dir.root.stat().st_mode) == 0o700


def test_a_login_is_bound_to_the_machine_id(tmp_path: Path) -> None:
    """Both files travel together; another id makes the record unreadable."""
    here, there = make(tmp_path / "a"), make(tmp_path / "b", Login(state="file", machine="other"))
    (there.cache / "user").write_text((here.cache / "user").read_text())

    assert not there.is_logged_in(AUTO)
    (there.cache / "id").write_text((here.cache / "id").read_text())
    assert there.is_logged_in(AUTO)


def test_the_machine_id_comes_back_from_hardware(tmp_path: Path) -> None:
    """A deleted id is made again on the same machine and differs on another."""
    work_dir = make(tmp_path)
    first = (work_dir.cache / "id").read_text()
    (work_dir.cache / "id").unlink()

    assert work_dir.machine("other").id != first
    assert make(tmp_path).machine().id == first
    assert work_dir.is_logged_in(AUTO)


def test_existing_files_stay(tmp_path: Path) -> None:
    """Neither a foreign record nor a token of the client's is replaced."""
    work_dir = WorkDir(tmp_path)
    work_dir.prepare()
    (work_dir.cache / "user").write_text("bm90IG91cnM=")
    (work_dir.cache / "machine_token.json").write_text('{"token":"mine"}')

    assert work_dir.settle(AUTO, 7).token == "mine"
    assert (work_dir.cache / "user").read_text() == "bm90IG91cnM="
    assert work_dir.has_foreign_login()
    assert not work_dir.is_logged_in(AUTO)


@pytest.mark.parametrize(
    ("state", "logged_in", "has_file"),
    [("auto", True, True), ("file", False, False), ("in", True, False), ("out", False, False)],
)
def test_the_switch_plays_every_login(
    tmp_path: Path, state: str, logged_in: bool, has_file: bool
) -> None:
    """The file is a hint that may disagree with what the RPC says."""
    login = Login(state=state, machine="here")
    work_dir = make(tmp_path, login)

    assert work_dir.is_logged_in(login) is logged_in
    assert (work_dir.cache / "user").exists() is has_file


@pytest.mark.parametrize(
    ("variant", "lines", "has_json"),
    [
        ("both", ["36510", "14060", "/ipc"], True),
        ("json", None, True),
        ("text", ["36510", "14060", "/ipc"], False),
        ("text-noipc", ["36510", "14060"], False),
        ("none", None, False),
    ],
)
def test_info_files_come_in_variants(
    tmp_path: Path, variant: str, lines: list[str] | None, has_json: bool
) -> None:
    """JSON, text, both or none."""
    work_dir = make(tmp_path)
    work_dir.write_info(LISTENING, variant)
    text, record = tmp_path / ".info", tmp_path / ".info.json"

    assert (text.read_text().splitlines() if text.exists() else None) == lines
    assert record.exists() is has_json
    if has_json:
        assert json.loads(record.read_text()) == {
            "websocketPort": 36510,
            "pid": 14060,
            "ipcServerPath": "/ipc",
            "isDev": False,
        }


def test_a_broken_json_leaves_the_text(tmp_path: Path) -> None:
    """Clients fall back to the lines."""
    work_dir = make(tmp_path)
    work_dir.write_info(LISTENING, "garbage")

    with pytest.raises(ValueError, match="Expecting"):
        json.loads((tmp_path / ".info.json").read_text())
    assert (tmp_path / ".info").read_text().startswith("36510\n")


def test_a_text_is_claimed_once(tmp_path: Path) -> None:
    """One-time faults happen once in a work directory, each by its own text."""
    work_dir = make(tmp_path)

    assert [work_dir.claim("a"), work_dir.claim("a"), work_dir.claim("b")] == [True, False, True]
    assert not WorkDir(tmp_path).claim("a")
