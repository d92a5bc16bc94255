"""Asking for what must not be empty."""

from __future__ import annotations

import asyncio

import pytest

from lingma_cli.auth.login.person import ask_for
from lingma_cli.errors import ErrorKind, LingmaError
from tests.support.people import ScriptedPerson


def test_a_person_is_asked_again() -> None:
    """An empty line is no answer."""
    person = ScriptedPerson(["", "", "ann"])

    assert asyncio.run(ask_for(person, "User name: ")).reveal() == "ann"
    assert person.asked == ["User name: "] * 3


def test_a_script_is_not() -> None:
    """It would be asked for ever; the error names what is missing."""
    with pytest.raises(LingmaError, match="in place of the user name") as caught:
        asyncio.run(ask_for(ScriptedPerson([""], is_there=False), "User name: "))
    assert caught.value.kind is ErrorKind.USAGE
