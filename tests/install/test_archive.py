"""Zip files that nobody vouches for."""

from __future__ import annotations

import io
import tracemalloc
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.install.archive import Archive, Caps, write_new
from tests.support.packages import EVIL, executables, zipped

CAPS = Caps()
# Those are refused by who looks for the executables, or runs them.
ORDERLY = {
    *("bomb within", "wrapped bomb", "half a wrapping", "wrapping and more", "claims too much"),
    *("without an executable", "for another system", "does not run", "names no version"),
    *("is no program", "flipped byte", "claims too little"),
}


def written(folder: Path, content: bytes) -> Path:
    path = folder / "package"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("name", sorted(set(EVIL) - ORDERLY))
def test_an_odd_archive_is_refused_as_a_whole(tmp_path: Path, name: str) -> None:
    """Before anything of it is taken, even if what is wanted is in order."""
    path = written(tmp_path, EVIL[name]())

    with pytest.raises(LingmaError) as failure:
        Archive(path, CAPS)

    assert failure.value.kind is ErrorKind.INSTALL_FAILED
    assert "refused" in failure.value.message


def test_a_refusal_takes_little_memory(tmp_path: Path) -> None:
    """Whatever a file claims of the length of its list."""
    path = written(tmp_path, EVIL["endless list"]())
    tracemalloc.start()
    try:
        with pytest.raises(LingmaError, match="too long"):
            Archive(path, CAPS)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 32 * 1024 * 1024


def test_a_member_is_copied_under_another_name(tmp_path: Path) -> None:
    """With the mode and the SHA-256 of what was written."""
    with Archive(written(tmp_path, zipped({"a/b": b"hello"})), CAPS) as archive:
        copied = archive.copy("a/b", tmp_path / "target", 0o700)

    assert (tmp_path / "target").read_bytes() == b"hello"
    assert (tmp_path / "target").stat().st_mode & 0o777 == 0o700
    assert (copied.size, copied.head) == (5, b"hello")
    assert copied.sha256.startswith("2cf24dba5fb0a30e")


def test_backslashes_are_slashes(tmp_path: Path) -> None:
    """As some packers on Windows write them."""
    with Archive(written(tmp_path, zipped({"a\\b": b"1"})), CAPS) as archive:
        assert list(archive.members) == ["a/b"]


@pytest.mark.parametrize("name", ["claims too little", "claims too much"])
def test_a_member_is_as_long_as_it_says(tmp_path: Path, name: str) -> None:
    """Neither longer nor shorter."""
    with Archive(written(tmp_path, EVIL[name]()), CAPS) as archive:
        member = next(iter(archive.members))

        with pytest.raises(LingmaError, match="refused"):
            archive.copy(member, tmp_path / "target", 0o600)


@pytest.mark.parametrize(
    "caps",
    [Caps(size=100), Caps(unpacked=100), Caps(members=1)],
    ids=["size", "unpacked", "members"],
)
def test_each_cap_holds(tmp_path: Path, caps: Caps) -> None:
    """What passes with the usual ones does not pass with narrower ones."""
    path = written(tmp_path, zipped({"a": bytes(range(200)), "b": b"2"}))
    Archive(path, CAPS).__exit__()

    with pytest.raises(LingmaError, match="refused"):
        Archive(path, caps)


def test_one_member_may_not_grow_more_than_all_may(tmp_path: Path) -> None:
    """Even among others that do not grow at all."""
    noise = zipped({"noise": bytes(range(256)) * 400}, method=zipfile.ZIP_STORED)
    package = io.BytesIO(noise)
    with zipfile.ZipFile(package, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb", bytes(2_000_000))
    path = written(tmp_path, package.getvalue())
    with Archive(path, CAPS) as opened, pytest.raises(LingmaError, match="grows too much"):
        opened.copy("bomb", tmp_path / "target", 0o600)

    assert not (tmp_path / "target").exists() or not (tmp_path / "target").stat().st_size


def test_a_long_member_is_not_read_at_once(tmp_path: Path) -> None:
    """Only as far as the reader allows."""
    with Archive(written(tmp_path, zipped({"a": b"12345"})), CAPS) as archive:
        assert archive.read("a", 5) == b"12345"
        with pytest.raises(LingmaError, match="too large"):
            archive.read("a", 4)


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    """Nor written through a link."""
    victim = tmp_path / "victim"
    victim.write_text("mine")
    (tmp_path / "link").symlink_to(victim)
    for target in (victim, tmp_path / "link"):
        with pytest.raises(LingmaError, match="cannot write"):
            write_new(target, iter([b"theirs"]), 0o600)

    assert victim.read_text() == "mine"


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    """Is an error with its reason."""
    with pytest.raises(LingmaError, match="No such file"):
        Archive(tmp_path / "none", CAPS)


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_damage_anywhere_is_refused_or_harmless(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A damaged archive is refused, or gives what it gave before: never anything else."""
    folder = tmp_path_factory.mktemp("damage")
    whole = bytearray(zipped(executables()))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(whole) - 1))
        whole[at] = data.draw(st.integers(0, 255))
    try:
        with Archive(written(folder, bytes(whole)), CAPS) as archive:
            for name in archive.members:
                if name.endswith("/Lingma"):
                    archive.copy(name, folder / "target", 0o600)
    except LingmaError:
        return
    expected, found = next(iter(executables().values())), folder / "target"
    assert not found.exists() or found.read_bytes() == expected
    assert {path.name for path in folder.iterdir()} <= {"package", "target"}
