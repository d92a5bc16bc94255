"""A conversation as a Markdown file."""

import stat
from pathlib import Path

import pytest

from lingma_cli.core.chat import Role
from lingma_cli.errors import LingmaError
from lingma_cli.protocols.client.openai_chat import Turn
from lingma_cli.repl.conversation import Conversation
from lingma_cli.repl.transcript import as_markdown, save

TALK = Conversation(
    model="m",
    system="be brief",
    turns=(Turn(role=Role.USER, text="why?\n"), Turn(role=Role.ASSISTANT, text="so\x1b]0;x\x07.")),
)


def test_everything_that_was_said_is_in_it() -> None:
    """Under headings, and harmless to print."""
    assert as_markdown(TALK) == (
        "# Chat\n\nModel: `m`\n\n## Instructions\n\nbe brief\n\n"
        "## Question\n\nwhy?\n\n## Answer\n\nso.\n"
    )


def test_the_file_is_private(tmp_path: Path) -> None:
    """Whatever the folder allows."""
    save(TALK, tmp_path / "chat.md")

    assert stat.S_IMODE((tmp_path / "chat.md").stat().st_mode) == 0o600
    assert (tmp_path / "chat.md").read_text() == as_markdown(TALK)


def test_no_file_is_overwritten(tmp_path: Path) -> None:
    """What is there stays, and the error says so; a dangling link is something, too."""
    (tmp_path / "mine.md").write_text("mine")
    (tmp_path / "link.md").symlink_to(tmp_path / "elsewhere")

    for name in ("mine.md", "link.md", "."):
        with pytest.raises(LingmaError, match="exists already and stays as it is"):
            save(TALK, tmp_path / name)

    assert (tmp_path / "mine.md").read_text() == "mine"
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("name", ["missing/chat.md", "nul\0"])
def test_what_cannot_be_written_is_an_error(tmp_path: Path, name: str) -> None:
    """In a sentence, with what to do."""
    with pytest.raises(LingmaError, match="cannot write") as caught:
        save(TALK, tmp_path / name)
    assert caught.value.hint == "name another file: `/save FILE`"
