"""What a server printed, in a private file."""

from __future__ import annotations

from pathlib import Path

from lingma_cli.engines.managed.output_log import OutputLog, file_of, last_lines


def test_it_is_appended_and_private(tmp_path: Path) -> None:
    """A restart goes on where the last life ended."""
    path = tmp_path / "new" / "one.log"
    for text in (b"one\n", b"two\n"):
        log = OutputLog(path)
        log.write(text)
        log.close()

    assert path.read_bytes() == b"one\ntwo\n"
    assert path.stat().st_mode & 0o777 == 0o600


def test_it_cannot_fill_the_disk(tmp_path: Path) -> None:
    """The file before the last is kept, what is older is gone."""
    path = tmp_path / "one.log"
    log = OutputLog(path, longest=100)
    for place in range(100):
        log.write(b"%09d\n" % place)
    log.write(b"x" * 1000 + b"\n")
    log.close()

    assert path.read_bytes() == b"x" * 99 + b"\n"
    assert (tmp_path / "one.log.1").read_bytes() == b"".join(b"%09d\n" % n for n in range(90, 100))
    assert len(list(tmp_path.iterdir())) == 2


def test_a_place_that_takes_nothing(tmp_path: Path) -> None:
    """The output is lost, and nothing else."""
    (tmp_path / "file").write_text("")
    log = OutputLog(tmp_path / "file" / "one.log")

    log.write(b"x")
    log.close()

    assert last_lines(tmp_path / "file" / "one.log", 5) == []


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    """Nobody gets another file written by a link in its place."""
    (tmp_path / "precious").write_text("")
    (tmp_path / "one.log").symlink_to(tmp_path / "precious")

    OutputLog(tmp_path / "one.log").write(b"x")

    assert (tmp_path / "precious").read_text() == ""


def test_the_last_lines(tmp_path: Path) -> None:
    """Over both files, without secrets; more than there are is all of them."""
    path = tmp_path / "one.log"
    log = OutputLog(path, longest=20)
    for line in (b"aaaaaaaaa\n", b"bbbbbbbbb\n", b"token=abcdef123456\n", b"\xff\n"):
        log.write(line)
    log.close()

    assert last_lines(path, 0) == []
    assert last_lines(path, 2) == ["token=••••", "\ufffd"]
    assert last_lines(path, 50) == last_lines(path, 2)
    log.write(b"end\n")
    log.close()
    assert last_lines(path, 2) == ["\ufffd", "end"]


def test_names_become_files() -> None:
    """No two names share one, and none leads elsewhere."""
    names = ("a/b", "a_b", "a%2Fb", "../a", "..", "模型")
    folder = Path("/logs")
    files = [file_of(folder, name, "log") for name in names]

    assert len(set(files)) == len(names)
    assert {file.parent for file in files} == {folder}
    assert file_of(folder, "tiny-1", "log") == folder / "tiny-1.log"
