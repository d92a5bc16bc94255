"""Files of entries: no crash, rival or odd name harms them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from lingma_cli.auth.vault.entry_files import EntryFiles, has_entries
from lingma_cli.errors import LingmaError

ROOT = Path(__file__).parents[3]
NAMES = ["keys", "login/a", "login/a.b", "login+a", "..", "../../etc/passwd", "con", "/", "-"]


def files_in(folder: Path) -> EntryFiles:
    return EntryFiles(folder, "plain", 1000)


def test_every_name_has_a_file_of_its_own_inside(tmp_path: Path) -> None:
    """Whatever the letters of a name mean to a file system."""
    folder = tmp_path / "vault"
    names = [name for name in NAMES if "+" not in name]
    for name in names:
        files_in(folder).write(name, name.encode())

    assert [files_in(folder).read(name) for name in names] == [name.encode() for name in names]
    assert len(list(folder.glob("entry.*"))) == len(names)
    assert [path.name for path in tmp_path.iterdir()] == ["vault"]


@pytest.mark.parametrize("name", ["", "login+a", "Keys", "a b", "a\n", "a" * 101, "schlüssel"])
def test_other_names_are_mistakes(tmp_path: Path, name: str) -> None:
    """Names come from the program, not from people."""
    with pytest.raises(ValueError, match="no name for an entry"):
        files_in(tmp_path).write(name, b"")


def test_entries_are_seen_without_their_content(tmp_path: Path) -> None:
    """Apart from the one that does not count."""
    assert not has_entries(tmp_path / "none", besides="home")
    files_in(tmp_path).write("home", b"")
    assert not has_entries(tmp_path, besides="home")
    files_in(tmp_path).write("homes", b"")
    assert has_entries(tmp_path, besides="home")


# Ends at the n-th event by which the process reaches out; what it had opened is closed for it.
_CRASH = """
import os, sys; from pathlib import Path
from lingma_cli.auth.vault.entry_files import EntryFiles
files, left = EntryFiles(Path(sys.argv[1]), "plain", 1000), int(sys.argv[2])
def count(event, arguments):
    global left
    if event.split(".")[0] in ("open", "os", "fcntl", "glob"):
        if left == 0:
            os._exit(9)
        left -= 1
sys.addaudithook(count)
if sys.argv[3] == "write":
    files.write("keys", b"new")
else:
    files.remove("keys")
os._exit(0)
"""


@pytest.mark.parametrize(("change", "after"), [("write", b"new"), ("remove", None)])
def test_a_crash_leaves_the_old_or_the_new(
    tmp_path: Path, change: str, after: bytes | None
) -> None:
    """At each step a process can die; the next change sweeps up what it left."""
    files = files_in(tmp_path)
    seen = set()
    for crash in range(60):
        files.write("keys", b"old")
        program = [sys.executable, "-c", _CRASH, str(tmp_path), str(crash), change]
        code = subprocess.run(program, cwd=ROOT, timeout=30, check=False).returncode
        found = files.read("keys")
        assert found in (b"old", after)
        seen.add(found)
        if code == 0:
            break
        assert code == 9
        kept = {"files.lock"}
        if crash % 2:
            files.write("keys", b"swept")
            kept.add("entry.keys.plain")
        else:
            files.remove("keys")
        assert {path.name for path in tmp_path.iterdir()} == kept
    else:
        pytest.fail("it has no end")
    assert seen == {b"old", after}


_CONTEST = """
import sys; from pathlib import Path
from lingma_cli.auth.vault.entry_files import EntryFiles
files = EntryFiles(Path(sys.argv[1]), "plain", 100_000)
for round in range(60):
    files.write("shared", sys.argv[2].encode() * (1 + 997 * (round % 7)))
    files.write(f"own/{sys.argv[2]}", str(round).encode())
    shared = files.read("shared")
    assert shared and len(set(shared)) == 1, shared
    assert files.read(f"own/{sys.argv[2]}") == str(round).encode()
"""


def test_two_processes_do_not_disturb_each_other(tmp_path: Path) -> None:
    """Each reads whole files only, and loses none of its own."""
    rivals = [
        subprocess.Popen(
            [sys.executable, "-c", _CONTEST, str(tmp_path), name],
            cwd=ROOT,
            stderr=subprocess.PIPE,
            text=True,
        )
        for name in ("a", "b")
    ]

    ends = [(rival.communicate(timeout=100)[1], rival.returncode) for rival in rivals]
    assert ends == [("", 0), ("", 0)]


def test_a_disk_that_refuses_is_told(tmp_path: Path) -> None:
    """A file that cannot be removed is an error of ours, with a hint."""
    (tmp_path / "entry.keys.plain").mkdir()

    with pytest.raises(LingmaError, match="cannot change") as caught:
        files_in(tmp_path).remove("keys")

    assert caught.value.hint
