"""What can be done in a chat, against a scripted server."""

from pathlib import Path

import pytest

from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.repl.attach import Attachment
from lingma_cli.repl.conversation import Conversation
from tests.repl.room import Room

GONE = LingmaError(ErrorKind.SERVER_NOT_FOUND, "gone")


def test_each_question_brings_the_conversation_along() -> None:
    """It is kept after each answer, and the notes that matter are shown."""
    room = Room("1", "2")
    room.session.ask("one")
    room.session.ask("two")

    assert room.server.asked == [("", ["one"]), ("", ["one", "1", "two"])]
    assert [talk.questions for talk in room.kept] == [1, 2]
    assert room.said == ["note: model_fallback"] * 2
    assert room.out.getvalue() == "1\n2\n"


def test_retry_replaces_the_last_answer() -> None:
    """The question is asked as it was, and the old answer is gone."""
    room = Room("1", "2", "better", "3")
    for question in ("one", "two"):
        room.session.ask(question)
    room.run("/retry")
    room.session.ask("three")

    assert room.server.asked[2][1] == ["one", "1", "two"]
    assert room.server.asked[3][1] == ["one", "1", "two", "better", "three"]


def test_a_failed_retry_leaves_the_old_answer() -> None:
    """Trying again is no risk."""
    room = Room("1", GONE, "2")
    room.session.ask("one")
    with pytest.raises(LingmaError, match="gone"):
        room.run("/retry")
    room.session.ask("two")

    assert room.server.asked[-1][1] == ["one", "1", "two"]


def test_retry_asks_what_failed_or_was_stopped() -> None:
    """With what was attached to it."""
    file = Attachment(name="f", text="x")
    room = Room(GONE, KeyboardInterrupt(), "1", attachments=[file])
    with pytest.raises(LingmaError, match="gone"):
        room.session.ask("one")
    assert room.run("/retry")[0] == "stopped"
    assert room.kept == []
    room.run("/retry")

    assert [texts for _, texts in room.server.asked] == [[f"one\n\n{file}"]] * 3
    assert room.kept[0].last_question == f"one\n\n{file}"


def test_there_must_be_something_to_retry_and_to_save() -> None:
    """In a conversation that has only begun there is not."""
    for line, message in (("/retry", "no question yet"), ("/save", "nothing to save")):
        with pytest.raises(LingmaError, match=message):
            Room().run(line)


def test_attached_files_go_with_one_question() -> None:
    """The first that is answered."""
    room = Room("1", "2", attachments=[Attachment(name="f", text="x")])
    room.session.ask("one")
    room.session.ask("two")

    assert "File `f`" in room.server.asked[0][1][0]
    assert room.server.asked[1][1][-1] == "two"


def test_clear_forgets_what_was_said() -> None:
    """Model and instructions stay; there is nothing to ask again."""
    room = Room("1", "2", start=Conversation(model="one", system="be brief"))
    room.session.ask("one")
    assert room.run("/clear") == ["a new conversation"]
    with pytest.raises(LingmaError, match="no question yet"):
        room.run("/retry")
    room.session.ask("two")

    assert room.server.asked[1] == ("one", ["be brief", "two"])


def test_the_model_can_be_shown_and_changed() -> None:
    """From the next question on; a name that is not listed is taken, and that is said."""
    room = Room("1", "2", "3")

    assert room.run("/model") == ["model: the choice of the server\n  one\n  two"]
    assert room.run("/model two") == ["the next answer comes from two"]
    assert room.run("/model") == ["model: two\n  one\n* two"]
    room.session.ask("a")
    assert "does not list" in room.run("/model three")[0]
    room.session.ask("b")
    assert room.run("/model -") == ["the server chooses the model"]
    room.session.ask("c")

    assert [model for model, _ in room.server.asked] == ["two", "three", ""]


def test_the_instructions_can_be_shown_and_changed() -> None:
    """From the next question on; several lines are fine."""
    room = Room("1", "2")

    assert room.run("/system") == ["there are no instructions"]
    room.run("/system be brief\n  and kind")
    assert room.run("/system") == ["be brief\n  and kind"]
    room.session.ask("a")
    assert room.run("/system -") == ["no instructions any more"]
    room.session.ask("b")

    assert [texts for _, texts in room.server.asked] == [
        ["be brief\n  and kind", "a"],
        ["a", "1", "b"],
    ]


def test_save_names_the_file_it_made(tmp_path: Path) -> None:
    """The name that was given, spaces and all."""
    room = Room("1")
    room.session.ask("one")
    path = tmp_path / "my chat.md"

    assert room.run(f"/save {path}") == [f"saved: {path}"]
    assert "## Question\n\none\n" in path.read_text()
    with pytest.raises(LingmaError, match="exists already"):
        room.run(f"/save {path}")


def test_usage_tells_what_it_cost() -> None:
    """Answers without counts are told apart."""
    room = Room("1")
    room.session.ask("one")

    assert room.run("/usage") == [
        "0 answers: 0 input and 0 output tokens; 1 stopped answer not counted"
    ]
