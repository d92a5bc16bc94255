"""The closed list of notes."""

from __future__ import annotations

from lingma_cli.core.notes import MEANINGS, Note, NoteCode, codes


def test_every_code_has_a_meaning() -> None:
    """The reference page and `Note.of` need one each, in the order of the alphabet."""
    assert list(NoteCode) == list(MEANINGS)
    assert sorted(code.value for code in NoteCode) == [code.value for code in NoteCode]


def test_codes_are_told_once_each() -> None:
    """In the order of their first appearance."""
    media, usage = Note.of(NoteCode.MEDIA_DROPPED), Note.of(NoteCode.USAGE_ESTIMATED)

    assert codes([usage, media, usage]) == ("usage_estimated", "media_dropped")
