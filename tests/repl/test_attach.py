"""Files that go with a question."""

import io
from pathlib import Path

import pytest

from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.repl.attach import MAX_BYTES, attach, with_attachments


def test_files_stand_after_the_question_in_fences(tmp_path: Path) -> None:
    """Each with its name, in the order given; standard input is one of them."""
    one = tmp_path / "one.py"
    one.write_text("x = 1\n")

    attached = attach([str(one), "-"], io.BytesIO(b"\xef\xbb\xbfpiped"))

    assert with_attachments("what?", attached) == (
        f"what?\n\nFile `{one}`:\n\n```\nx = 1\n```\n\nFile `standard input`:\n\n```\npiped\n```"
    )
    assert with_attachments("what?", ()) == "what?"


def test_a_file_cannot_close_its_own_fence(tmp_path: Path) -> None:
    """The fence is longer than any in the text."""
    file = tmp_path / "doc.md"
    file.write_text("````\n```\n")

    assert str(attach([str(file)], None)[0]).count("`````") == 2


@pytest.mark.parametrize(
    "content", [b"\x89PNG\r\n\x1a\n\0", b"caf\xe9", b"text\0", "é".encode("utf-16")]
)
def test_binary_is_refused(tmp_path: Path, content: bytes) -> None:
    """With what to do about it."""
    file = tmp_path / "file"
    file.write_bytes(content)

    with pytest.raises(LingmaError, match="no UTF-8 text") as caught:
        attach([str(file)], None)
    assert caught.value.kind is ErrorKind.USAGE
    assert "iconv" in (caught.value.hint or "")


def test_all_files_together_are_bounded(tmp_path: Path) -> None:
    """Exactly the bound passes, a byte more does not, whoever brings it."""
    file = tmp_path / "big"
    file.write_bytes(b"a" * MAX_BYTES)
    (tmp_path / "small").write_bytes(b"a")

    assert len(attach([str(file)], None)[0].text) == MAX_BYTES
    for names in ([str(file), str(tmp_path / "small")], ["/dev/zero"]):
        with pytest.raises(LingmaError, match="larger than 1024 KiB"):
            attach(names, None)


@pytest.mark.parametrize("name", ["missing.txt", ".", "nul\0"])
def test_what_cannot_be_read_is_named(tmp_path: Path, name: str) -> None:
    """A missing file, a folder and no name at all are errors, not tracebacks."""
    with pytest.raises(LingmaError, match="cannot read"):
        attach([name], None)


def test_standard_input_must_be_piped() -> None:
    """Nobody waits for a person to type a file."""
    with pytest.raises(LingmaError, match="nothing is piped in"):
        attach(["-"], None)


def test_names_are_harmless(tmp_path: Path) -> None:
    """A file name does not command the terminal nor break the line."""
    file = tmp_path / "a\n\x1b]0;x\x07b"
    file.write_text("x")

    assert attach([str(file)], None)[0].name.endswith("a b")
