"""What a request and its answer go through."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lingma_cli.core.chat import (
    ChatRequest,
    MediaKind,
    MediaPart,
    Message,
    OutputFormat,
    Role,
    Sampling,
    TextPart,
    ToolChoice,
    ToolMode,
    ToolOutputPart,
    ToolRoute,
)
from lingma_cli.core.notes import codes
from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.gateway.pipeline import ToolOptions, admitted, for_engine, is_described, stages
from lingma_cli.transforms.hidden_reasoning import HiddenReasoning
from lingma_cli.transforms.output_format import JsonAnswer
from lingma_cli.transforms.single_call import SingleCall
from lingma_cli.transforms.stop_sequences import StopSequences
from lingma_cli.transforms.token_limit import TokenLimit
from tests.support.tool_turns import QUESTION, READ, USER, after, call_turn, result_turn

AUTO = ToolOptions()
JSON = OutputFormat(schema={"type": "object"})
DESCRIBED = pytest.mark.parametrize("route", [ToolRoute.PROMPT, ToolRoute.BOTH])


def _on(route: ToolRoute, request: ChatRequest = QUESTION) -> ChatRequest:
    return replace(request, tool_route=route)


def _text(message: Message) -> str:
    return "\n".join(part.text for part in message.parts if isinstance(part, TextPart))


# before the engine is known


def test_a_conversation_is_made_whole() -> None:
    """A call without a result gets one, and a note."""
    request = admitted(after(call_turn("a"), USER), AUTO)

    (result,) = [
        part for turn in request.messages for part in turn.parts if isinstance(part, ToolOutputPart)
    ]
    assert (result.call_id, result.is_error) == ("a", True)
    assert codes(request.notes) == ("result_missing",)


@pytest.mark.parametrize(
    ("options", "tools", "notes"),
    [
        (AUTO, QUESTION.tools, ()),
        (ToolOptions(route="off"), (), ("tools_off",)),
        (ToolOptions(route="prompt", allowed=["Read"]), (READ,), ("tool_dropped",)),
    ],
    ids=["auto", "off", "allowed"],
)
def test_the_settings_reach_the_tools(
    options: ToolOptions, tools: object, notes: tuple[str, ...]
) -> None:
    """Off means none, and a list of names means those."""
    request = admitted(QUESTION, options)

    assert (request.tools, codes(request.notes)) == (tools, notes)


@pytest.mark.parametrize(
    "change",
    [
        {"tool_choice": ToolChoice(mode=ToolMode.NAMED, name="Other")},
        {"output_format": OutputFormat(schema={"type": 3}, param="text.format.schema")},
    ],
    ids=["tool", "schema"],
)
def test_what_cannot_be_is_refused(change: dict[str, object]) -> None:
    """With the place in the client's request."""
    with pytest.raises(LingmaError) as caught:
        admitted(replace(QUESTION, **change), AUTO)  # type: ignore[arg-type]

    assert caught.value.kind is ErrorKind.INVALID_REQUEST
    assert caught.value.param in ("tool_choice", "text.format.schema")


# for the engine


def test_a_plain_request_goes_as_it_is() -> None:
    """A lone user turn stays alone."""
    plain = replace(QUESTION, tools=())

    assert for_engine(plain) == plain
    assert not is_described(plain)


def test_native_tools_are_not_described() -> None:
    """Calls and results stay what they are."""
    request = _on(ToolRoute.NATIVE, after(call_turn("a"), result_turn("a")))

    assert for_engine(request) == request
    assert not is_described(request)


@DESCRIBED
def test_tools_are_described(route: ToolRoute) -> None:
    """In one system turn before all others, in firmer words when asked to."""
    request = _on(route)
    gentle, firm = (for_engine(request, firm=firm).messages for firm in (False, True))

    assert is_described(request)
    assert (gentle[0].role, gentle[1:]) == (Role.SYSTEM, QUESTION.messages)
    assert "## Read" in _text(gentle[0])
    assert len(_text(firm[0])) > len(_text(gentle[0]))


@DESCRIBED
def test_earlier_calls_are_written_out(route: ToolRoute) -> None:
    """Calls in the form that is asked for, results under the tool's name, media behind them."""
    image = MediaPart(kind=MediaKind.IMAGE, reference="x")
    results = (
        ToolOutputPart(call_id="a", text="found", media=(image,)),
        ToolOutputPart(call_id="b", text="no", is_error=True),
    )
    turns = [call_turn("a", "b"), Message(role=Role.TOOL, parts=results)]
    _, _, calls, answers = for_engine(_on(route, after(*turns))).messages

    assert _text(calls).count('{"tool": "Read", "parameters": {}}') == 2
    assert [part for part in answers.parts if not isinstance(part, TextPart)] == [image]
    assert "Tool result for id a (Read):\nfound" in _text(answers)
    assert "(the call failed):\nno" in _text(answers)


def test_one_call_at_a_time_is_asked_for() -> None:
    """Who wants one call is not offered several."""
    many, one = (
        _text(
            for_engine(
                _on(ToolRoute.PROMPT, replace(QUESTION, parallel_tool_calls=parallel))
            ).messages[0]
        )
        for parallel in (True, False)
    )

    assert "one call only" in one
    assert "one call only" not in many


def test_an_output_format_is_asked_for() -> None:
    """After the tools, if there are any."""
    request = replace(QUESTION, output_format=JSON)
    roles = [message.role for message in for_engine(_on(ToolRoute.BOTH, request)).messages]
    (wish, _) = for_engine(_on(ToolRoute.NATIVE, request)).messages

    assert roles == [Role.SYSTEM, Role.SYSTEM, Role.USER]
    assert "JSON" in _text(wish)


# the answer


def test_stages() -> None:
    """Each where it is asked for, in an order that lets a later one see what an earlier left."""
    everything = replace(
        QUESTION,
        parallel_tool_calls=False,
        show_reasoning=False,
        output_format=JSON,
        sampling=Sampling(max_tokens=5, stop=("x",)),
    )

    assert stages(QUESTION) == []
    assert [type(stage) for stage in stages(everything)] == [
        SingleCall,
        HiddenReasoning,
        StopSequences,
        TokenLimit,
        JsonAnswer,
    ]
