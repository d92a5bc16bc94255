"""Which tools may be used."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import pytest

from lingma_cli.core.chat import ChatRequest, ToolChoice, ToolMode
from lingma_cli.core.notes import codes
from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.transforms.tool_policy import permitted
from tests.support.tool_turns import BASH, QUESTION, READ

NOTHING = replace(QUESTION, tools=())
REQUIRED = ToolChoice(mode=ToolMode.REQUIRED)
NONE = ToolChoice(mode=ToolMode.NONE)


def _named(name: str) -> ToolChoice:
    return ToolChoice(mode=ToolMode.NAMED, name=name)


def _permitted(
    choice: ToolChoice | None = None,
    *,
    off: bool = False,
    allowed: Collection[str] = (),
    request: ChatRequest = QUESTION,
) -> ChatRequest:
    wanted = replace(request, tool_choice=choice or request.tool_choice)
    return permitted(wanted, off=off, allowed=allowed)


@pytest.mark.parametrize("off", [False, True])
@pytest.mark.parametrize("choice", [ToolChoice(), NONE])
def test_without_tools_there_is_nothing_to_say(choice: ToolChoice, off: bool) -> None:
    """No note, whatever the settings are."""
    request = replace(NOTHING, tool_choice=choice)

    assert permitted(request, off=off, allowed=["Read"]) is request


@pytest.mark.parametrize("choice", [ToolChoice(), REQUIRED, _named("Bash")])
def test_all_tools_may_be_used_by_default(choice: ToolChoice) -> None:
    """The choice stays."""
    request = _permitted(choice)

    assert (request.tools, request.tool_choice, request.notes) == ((READ, BASH), choice, ())


def test_the_client_wants_no_call() -> None:
    """Then no tool is offered, which is no loss."""
    request = _permitted(NONE)

    assert (request.tools, request.tool_choice, request.notes) == ((), ToolChoice(), ())


@pytest.mark.parametrize("choice", [ToolChoice(), REQUIRED, _named("Bash"), _named("x")])
def test_tools_that_are_off(choice: ToolChoice) -> None:
    """None is offered or demanded, and the client is told."""
    request = _permitted(choice, off=True)

    assert (request.tools, request.tool_choice) == ((), ToolChoice())
    assert codes(request.notes) == ("tools_off",)


def test_a_list_of_allowed_tools() -> None:
    """The others are left out, by name in the note."""
    request = _permitted(REQUIRED, allowed=["Bash", "Other"])

    assert (request.tools, request.tool_choice) == ((BASH,), REQUIRED)
    assert [note.text for note in request.notes] == ["not on the list of allowed tools: Read"]


@pytest.mark.parametrize(
    ("choice", "notes"),
    [(ToolChoice(), ("tool_dropped",)), (REQUIRED, ("tool_dropped", "tool_choice_ignored"))],
)
def test_no_tool_is_left(choice: ToolChoice, notes: tuple[str, ...]) -> None:
    """A demand for any tool cannot be followed then."""
    request = _permitted(choice, allowed=["Other"])

    assert (request.tools, request.tool_choice, codes(request.notes)) == ((), ToolChoice(), notes)


def test_a_demand_without_tools() -> None:
    """It is noted."""
    assert codes(_permitted(REQUIRED, request=NOTHING).notes) == ("tool_choice_ignored",)


@pytest.mark.parametrize(
    ("name", "allowed", "why"),
    [("Read", ["Bash"], "allowed"), ("Other", [], "offered"), ("Other", ["Other"], "offered")],
)
def test_a_named_tool_that_cannot_be_used(name: str, allowed: list[str], why: str) -> None:
    """The client is told at once, and where."""
    with pytest.raises(LingmaError, match=why) as caught:
        _permitted(_named(name), allowed=allowed)

    assert (caught.value.kind, caught.value.param) == (ErrorKind.INVALID_REQUEST, "tool_choice")


def test_earlier_notes_stay() -> None:
    """New ones come after them."""
    first = _permitted(allowed=["Bash"])
    second = permitted(first, off=True, allowed=())

    assert codes(second.notes) == ("tool_dropped", "tools_off")
