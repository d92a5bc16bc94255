"""A conversation as one prompt."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lingma_cli.core.chat import (
    AskMode,
    ChatRequest,
    MediaKind,
    MediaPart,
    Message,
    Part,
    ReasoningPart,
    Role,
    Sampling,
    TextPart,
    Tool,
    ToolChoice,
    ToolMode,
    ToolOutputPart,
    ToolRoute,
    ToolUsePart,
)
from lingma_cli.core.notes import codes
from lingma_cli.engines.lingma.prompt import AgentWords, ask_params, flatten, losses

AGENT = AgentWords(session_type="ask", chat_task="chat", mode="agent")


def _turn(role: Role, *parts: Part | str) -> Message:
    return Message(
        role=role,
        parts=tuple(TextPart(text=part) if isinstance(part, str) else part for part in parts),
    )


HI = ChatRequest(model="org_auto", messages=(_turn(Role.USER, "hi"),))


def test_a_lone_user_turn_stays_as_it_is() -> None:
    """Not a byte is added to a single question."""
    text = "  # hi\n\n```\nx\n```\n "

    assert text == flatten((_turn(Role.USER, text),))


def test_a_conversation_is_flattened_under_titles() -> None:
    """Instructions first, then what was said, then the question."""
    messages = (
        _turn(Role.SYSTEM, "be brief"),
        _turn(Role.USER, "one?"),
        _turn(Role.ASSISTANT, ReasoningPart(text="hm"), "1"),
        _turn(Role.SYSTEM, "be kind"),
        _turn(Role.USER, "two?", "really?"),
    )
    expected = """# Instructions

be brief

be kind

# Conversation so far

## User

one?

## Assistant

1

# Now answer this

two?
really?"""

    assert expected == flatten(messages)


def test_tools_and_media_are_told_in_words() -> None:
    """Calls, their results and placeholders for media stand in the transcript."""
    messages = (
        _turn(Role.USER, "see", MediaPart(kind=MediaKind.IMAGE, reference="x")),
        _turn(Role.ASSISTANT, ToolUsePart(call_id="c", name="f", arguments="{}")),
        _turn(Role.TOOL, ToolOutputPart(call_id="c", text="42")),
    )
    expected = """# Conversation so far

## User

see
[image]

## Assistant

Called tool f (id c) with {}

# Last turn: Tool

Tool result for id c:
42"""

    assert expected == flatten(messages)


def test_a_failed_tool_and_its_pictures_are_told_in_words() -> None:
    """An error is called one, and a picture leaves its placeholder."""
    picture = MediaPart(kind=MediaKind.IMAGE, reference="x")
    output = ToolOutputPart(call_id="c", text="no", media=(picture,), is_error=True)

    text = flatten((_turn(Role.USER, "see"), _turn(Role.TOOL, output)))

    assert text.endswith("Tool error for id c:\nno\n[image]")
    assert codes(losses(replace(HI, messages=(_turn(Role.TOOL, output),)))) == ("media_dropped",)


@pytest.mark.parametrize("route", [ToolRoute.NATIVE, ToolRoute.BOTH])
def test_tools_are_forwarded(route: ToolRoute) -> None:
    """In OpenAI's form, with the choice."""
    tool = Tool(name="f", description="d", parameters={"type": "object"})
    named = ToolChoice(mode=ToolMode.NAMED, name="f")
    request = replace(HI, tools=(tool,), tool_choice=named, tool_route=route)

    extra = ask_params(request, request_id="R", session_id="S", agent=AGENT, images={})["extra"]

    function = {"name": "f", "description": "d", "parameters": {"type": "object"}}
    assert extra["tools"] == [{"type": "function", "function": function}]
    assert extra["toolChoice"] == {"type": "function", "function": {"name": "f"}}


def test_tools_in_the_prompt_only_are_not_forwarded() -> None:
    """The prompt route says all in words."""
    request = replace(HI, tools=(Tool(name="f"),), tool_route=ToolRoute.PROMPT)

    params = ask_params(request, request_id="R", session_id="S", agent=AGENT, images={})

    assert params["extra"] == {"modelConfig": {"key": "org_auto"}}


def test_images_of_the_runtime_stand_in_the_context() -> None:
    """And are not noted as lost."""
    picture = MediaPart(kind=MediaKind.IMAGE, reference="data:x")
    request = replace(HI, messages=(_turn(Role.USER, "see", picture),))
    taken = {"data:x": "https://upstream/1"}

    params = ask_params(request, request_id="R", session_id="S", agent=AGENT, images=taken)

    context = [{"type": "image", "content": "https://upstream/1", "language": ""}]
    assert params["extra"]["context"] == context
    assert list(losses(request, taken)) == []


def test_instructions_without_a_question() -> None:
    """A lone system turn is still sent."""
    assert flatten((_turn(Role.SYSTEM, "be"),)) == "# Instructions\n\nbe"


def test_the_ask_in_chat_mode() -> None:
    """The prompt, the model, the ids, and every extra of the binary switched off."""
    params = ask_params(HI, request_id="R", session_id="S", agent=AGENT, images={})

    assert (
        params["requestId"],
        params["sessionId"],
        params["sessionType"],
        params["chatTask"],
        params["mode"],
    ) == ("R", "S", "chat", "FREE_INPUT", "chat")
    assert (params["questionText"], params["chatContext"]) == ("hi", {"text": "hi"})
    assert params["extra"] == {"modelConfig": {"key": "org_auto"}}
    assert {False} == set(params["pluginPayloadConfig"].values())
    assert (params["stream"], params["source"], params["isReply"]) == (True, 1, False)


def test_the_ask_in_agent_mode() -> None:
    """The three disputed words are those of the options."""
    request = replace(HI, mode=AskMode.AGENT)
    params = ask_params(request, request_id="R", session_id="S", agent=AGENT, images={})

    assert (
        params["sessionType"],
        params["chatTask"],
        params["mode"],
    ) == ("ask", "chat", "agent")


MEDIA = _turn(Role.USER, MediaPart(kind=MediaKind.FILE, reference="x"))


@pytest.mark.parametrize(
    ("request_", "codes"),
    [
        (HI, []),
        (replace(HI, messages=(MEDIA, MEDIA)), ["media_dropped"]),
        (replace(HI, sampling=Sampling(temperature=0.0)), ["sampling_ignored"]),
        (replace(HI, sampling=Sampling(top_p=1.0)), ["sampling_ignored"]),
        (replace(HI, sampling=Sampling(seed=0)), ["sampling_ignored"]),
        (replace(HI, sampling=Sampling(presence_penalty=0.0)), ["sampling_ignored"]),
        (replace(HI, sampling=Sampling(frequency_penalty=0.0)), ["sampling_ignored"]),
        (replace(HI, reasoning_effort="low"), ["reasoning_effort_ignored"]),
        (replace(HI, user="me"), ["fields_ignored"]),
        (replace(HI, extras={"openai_chat": {"logprobs": True}}), ["fields_ignored"]),
        (replace(HI, extras={"openai_chat": {"logprobs": None}}), []),
    ],
)
def test_what_an_ask_cannot_carry_is_noted(request_: ChatRequest, codes: list[str]) -> None:
    """Each loss leaves one note, and nothing else does."""
    assert codes == [note.code.value for note in losses(request_)]
