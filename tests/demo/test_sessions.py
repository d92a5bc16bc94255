"""Sessions in memory."""

from lingma_cli.demo.sessions import Sessions
from tests.demo.test_answers import make_ask


def test_a_session_counts_its_turns_and_keeps_records() -> None:
    """The same id continues; the record has the plugin's fields."""
    sessions = Sessions()
    sessions.open("S", "chat", "title", 1)
    session = sessions.open("S", "chat", "other", 2)
    sessions.record(make_ask("hi"), "answer", "thought")

    shown = session.render()

    assert session.turns == 2
    assert (shown["sessionTitle"], shown["gmtCreate"], shown["gmtModified"]) == ("title", 1, 2)
    assert [record["answer"] for record in session.records] == ["answer"]
    assert session.records[0]["reasoningContent"] == "thought"


def test_a_deleted_session_is_gone() -> None:
    """Deleting twice or recording afterwards is no error."""
    sessions = Sessions()
    sessions.open("S", "chat", "", 1)
    sessions.delete("S")
    sessions.delete("S")
    sessions.record(make_ask("hi"), "answer", "")

    assert sessions.get("S") is None
    assert sessions.all() == ()


def test_the_oldest_is_forgotten() -> None:
    """Memory stays bounded."""
    sessions = Sessions()
    for number in range(1_001):
        sessions.open(str(number), "chat", "", number)

    assert sessions.get("0") is None
    assert len(tuple(sessions.all())) == 1_000
