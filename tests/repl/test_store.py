"""What outlives a chat, on disk."""

import stat
from dataclasses import replace
from pathlib import Path

import pytest

from lingma_cli.core.chat import Role
from lingma_cli.errors import LingmaError
from lingma_cli.protocols.client.openai_chat import Turn
from lingma_cli.repl.conversation import Conversation, Tally
from lingma_cli.repl.store import MAX_CONVERSATION, MAX_HISTORY, ConversationFile, History


def exchange(question: str, answer: str = "yes") -> tuple[Turn, Turn]:
    return Turn(role=Role.USER, text=question), Turn(role=Role.ASSISTANT, text=answer)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_conversation_comes_back_as_it_was(tmp_path: Path) -> None:
    """From a private file in a private folder."""
    path = tmp_path / "state" / "chat-last.json"
    tally = Tally(answers=1, input_tokens=3, output_tokens=5, is_estimated=True)
    talk = Conversation(model="m", system="s", turns=exchange("é🙂\n"), tally=tally)

    ConversationFile(path).save(talk)

    assert talk == ConversationFile(path).load()
    assert (mode(path), mode(path.parent)) == (0o600, 0o700)


def test_without_one_there_is_nothing_to_continue(tmp_path: Path) -> None:
    """The error says how to begin."""
    with pytest.raises(LingmaError, match="no conversation to continue") as caught:
        ConversationFile(tmp_path / "none.json").load()
    assert caught.value.hint == "start one with `lingma chat`"


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b'{"turns": [{"role": "user", "text": "half"}]}', b"\xff", b'{"turns": "\xff"}'],
)
def test_a_corrupt_file_is_an_error(tmp_path: Path, content: bytes) -> None:
    """And no traceback."""
    path = tmp_path / "chat-last.json"
    path.write_bytes(content)

    with pytest.raises(LingmaError, match="it is corrupt"):
        ConversationFile(path).load()


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    """Neither for reading nor for adding."""
    (tmp_path / "target").write_text("{}")
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "target")

    with pytest.raises(LingmaError, match="cannot read"):
        ConversationFile(link).load()
    with pytest.raises(LingmaError, match="cannot keep"):
        History(link).add("text")
    assert (tmp_path / "target").read_text() == "{}"


def test_the_oldest_questions_are_left_out_of_a_large_file(tmp_path: Path) -> None:
    """The bound holds, and the file knows what it does not have."""
    path = tmp_path / "chat-last.json"
    third = "x" * (MAX_CONVERSATION // 3)
    talk = Conversation(
        turns=exchange("one", third) + exchange("two", third) + exchange("three", third)
    )

    ConversationFile(path).save(talk)

    assert replace(talk, turns=talk.turns[2:], left_out=1) == ConversationFile(path).load()
    assert path.stat().st_size <= MAX_CONVERSATION


def test_an_answer_that_is_too_large_alone_is_not_stored(tmp_path: Path) -> None:
    """That is said, and what was there stays."""
    file = ConversationFile(tmp_path / "chat-last.json")
    file.save(Conversation(turns=exchange("small")))

    with pytest.raises(LingmaError, match="too large"):
        file.save(Conversation(turns=exchange("large", "x" * MAX_CONVERSATION)))
    assert file.load().last_question == "small"


def test_what_was_typed_is_there_next_time(tmp_path: Path) -> None:
    """Whole blocks, oldest first, in a private file; a repetition counts once."""
    path = tmp_path / "state" / "chat-history.jsonl"
    history = History(path)
    assert history.load() == []
    for text in ("one", "two\nlines", "two\nlines", "three 🙂"):
        history.add(text)

    assert History(path).load() == ["one", "two\nlines", "three 🙂"]
    assert mode(path) == 0o600


def test_lines_that_cannot_be_read_are_skipped(tmp_path: Path) -> None:
    """A line cut off by a full disk costs that line."""
    path = tmp_path / "history"
    path.write_bytes(b'"one"\n"tw\n{}\n\xff\n"three"\n')

    assert History(path).load() == ["one", "three"]


def test_the_history_is_bounded(tmp_path: Path) -> None:
    """The oldest lines go; a huge block is not kept at all."""
    path = tmp_path / "history"
    history = History(path)
    for number in range(30):
        history.add(f"{number} " + "x" * 50_000)
    history.add("y" * 100_000)

    kept = History(path).load()

    assert kept[-1].startswith("29 ")
    assert 5 < len(kept) < 20
    assert path.stat().st_size < MAX_HISTORY
    assert mode(path) == 0o600
