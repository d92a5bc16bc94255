"""A conversation as one prompt, and the parameters of the ask that carries it. Pure.

Source: Lingma local protocol, "`chat/ask`"; system text and transcript are flattened under
section titles, as every known client does, because an ask takes a single text.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from lingma_cli.core.chat import (
    AskMode,
    ChatRequest,
    MediaPart,
    Message,
    Part,
    ReasoningPart,
    Role,
    TextPart,
    ToolMode,
    ToolOutputPart,
    ToolRoute,
    ToolUsePart,
)
from lingma_cli.core.notes import Note, NoteCode

_TITLES: Final = {Role.USER: "User", Role.ASSISTANT: "Assistant", Role.TOOL: "Tool"}


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentWords:
    """The three fields that sources disagree about in agent mode."""

    session_type: str
    chat_task: str
    mode: str


def ask_params(
    request: ChatRequest,
    *,
    request_id: str,
    session_id: str,
    agent: AgentWords,
    images: Mapping[str, str],
) -> dict[str, Any]:
    """Return the parameters of `chat/ask`.

    Args:
        request: what is asked, all of it or what is new in its session.
        request_id: the key of its pushes.
        session_id: of the session, a new one unless the request names one.
        agent: the words of agent mode.
        images: the runtime's URLs of the images it has, by reference.
    """
    context = [{"type": "image", "content": url, "language": ""} for url in images.values()]
    text = flatten(request.messages)
    in_agent_mode = request.mode is AskMode.AGENT
    return {
        "requestId": request_id,
        "sessionId": session_id,
        "sessionType": agent.session_type if in_agent_mode else "chat",
        "chatTask": agent.chat_task if in_agent_mode else "FREE_INPUT",
        "mode": agent.mode if in_agent_mode else "chat",
        "questionText": text,
        "chatContext": {"text": text},
        "extra": {
            "modelConfig": {"key": request.model},
            **({"context": context} if context else {}),
            **_forwarded(request),
        },
        "isReply": request.session is not None,
        "stream": True,
        "source": 1,
        "codeLanguage": "",
        "taskDefinitionType": "",
        "targetAgent": "",
        "shellType": "",
        "customModel": None,
        # Each of these would make the binary add text of its own to the prompt.
        "pluginPayloadConfig": {
            "isEnableAutoMemory": False,
            "isEnableProjectRule": False,
            "isEnableAskAgent": False,
        },
    }


def _forwarded(request: ChatRequest) -> dict[str, Any]:
    """Return the tools as the binary is believed to take them, in OpenAI's form."""
    if not request.tools or request.tool_route is ToolRoute.PROMPT:
        return {}
    choice: Any = request.tool_choice.mode.value
    if request.tool_choice.mode is ToolMode.NAMED:
        choice = {"type": "function", "function": {"name": request.tool_choice.name}}
    tools = [
        {
            "type": "function",
            "function": {
                "name": tool.name,
                "description": tool.description,
                "parameters": tool.parameters,
            },
        }
        for tool in request.tools
    ]
    return {"tools": tools, "toolChoice": choice}


def flatten(messages: tuple[Message, ...]) -> str:
    """Return `messages` as one text; a lone user turn stays exactly as it is."""
    if len(messages) == 1 and messages[0].role is Role.USER:
        return _text(messages[0].parts)
    sections: list[str] = []
    system = [_text(message.parts) for message in messages if message.role is Role.SYSTEM]
    if any(system):
        sections.append("# Instructions\n\n" + "\n\n".join(filter(None, system)))
    turns = [message for message in messages if message.role is not Role.SYSTEM]
    if len(turns) > 1:
        transcript = "\n\n".join(
            f"## {_TITLES[turn.role]}\n\n{_text(turn.parts)}" for turn in turns[:-1]
        )
        sections.append(f"# Conversation so far\n\n{transcript}")
    for turn in turns[-1:]:
        title = "Now answer this" if turn.role is Role.USER else f"Last turn: {_TITLES[turn.role]}"
        sections.append(f"# {title}\n\n{_text(turn.parts)}")
    return "\n\n".join(sections)


def _text(parts: tuple[Part, ...]) -> str:
    return "\n".join(text for text in map(_part, parts) if text)


def _part(part: Part) -> str:
    match part:
        case TextPart(text=text):
            return text
        case MediaPart(kind=kind):
            return f"[{kind.value}]"
        case ReasoningPart():
            return ""
        case ToolUsePart(name=name, arguments=arguments, call_id=call_id):
            return f"Called tool {name} (id {call_id}) with {arguments}"
        case ToolOutputPart(call_id=call_id, text=text, media=media, is_error=is_error):
            title = f"Tool {'error' if is_error else 'result'} for id {call_id}:"
            return "\n".join([title, text, *map(_part, media)])


def _media(part: Part) -> tuple[MediaPart, ...]:
    match part:
        case MediaPart():
            return (part,)
        case ToolOutputPart(media=media):
            return media
        case _:
            return ()


def losses(request: ChatRequest, images: Collection[str] = ()) -> Iterator[Note]:
    """Yield a note for each thing in `request` that an ask cannot carry.

    Args:
        request: what is asked.
        images: references of the images that the runtime has taken.
    """
    parts = [part for message in request.messages for part in message.parts]
    media = [media for part in parts for media in _media(part)]
    if any(one.reference not in images for one in media):
        yield Note.of(NoteCode.MEDIA_DROPPED)
    if any(isinstance(part, ReasoningPart) for part in parts):
        yield Note.of(NoteCode.REASONING_DROPPED)
    fields = [item for extras in request.extras.values() for item in extras.items()]
    unknown = [name for name, value in fields if value is not None]
    unknown += ["user"] if request.user is not None else []
    if unknown:
        yield Note(code=NoteCode.FIELDS_IGNORED, text=f"not forwarded: {', '.join(unknown)[:200]}")
    yield from _unused_knobs(request)


def _unused_knobs(request: ChatRequest) -> Iterator[Note]:
    sampling = request.sampling
    knobs = (
        sampling.temperature,
        sampling.top_p,
        sampling.seed,
        sampling.presence_penalty,
        sampling.frequency_penalty,
    )
    if any(knob is not None for knob in knobs):
        yield Note.of(NoteCode.SAMPLING_IGNORED)
    if request.reasoning_effort is not None:
        yield Note.of(NoteCode.REASONING_EFFORT_IGNORED)
