"""The canonical chat request: what every protocol parses into and every engine reads.

Nothing of a request is dropped silently: what is not forwarded leaves a `Note`, and fields that
no one here knows are kept in `extras`, namespaced by protocol.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from lingma_cli.core.notes import Note


class Role(Enum):
    """Who speaks; OpenAI's `developer` is a system turn."""

    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"
    TOOL = "tool"


class MediaKind(Enum):
    """What a media part holds."""

    IMAGE = "image"
    AUDIO = "audio"
    FILE = "file"


class ToolMode(Enum):
    """How free the model is in calling tools."""

    AUTO = "auto"
    NONE = "none"
    REQUIRED = "required"
    NAMED = "named"


class ToolRoute(Enum):
    """How tools reach the model: in the request, described in the prompt, or both at once."""

    NATIVE = "native"
    PROMPT = "prompt"
    BOTH = "both"


class AskMode(Enum):
    """Lingma's two ways of answering; agent mode brings tools and prompts of its own."""

    CHAT = "chat"
    AGENT = "agent"


@dataclass(frozen=True, slots=True, kw_only=True)
class TextPart:
    """Plain text."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaPart:
    """An image, a sound or a file; `reference` is the URL or id as the client sent it."""

    kind: MediaKind
    reference: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReasoningPart:
    """Reasoning text of an earlier turn."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolUsePart:
    """A call that the assistant made in an earlier turn; `arguments` is JSON text."""

    call_id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolOutputPart:
    """What the client's tool answered to `call_id`; `is_error` when it failed."""

    call_id: str
    text: str
    media: tuple[MediaPart, ...] = ()
    is_error: bool = False


Part = TextPart | MediaPart | ReasoningPart | ToolUsePart | ToolOutputPart


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One turn."""

    role: Role
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """A function the client offers.

    Attributes:
        name: unique in its request; calls in the stream carry it.
        parameters: a JSON schema.
        custom: a freeform tool of OpenAI's: its single parameter `input` is the raw text.
        strict: whether the client wants the schema kept to the letter; echoed, not enforced.
        client_name: what the client calls it, when `name` had to differ to be unique.
        namespace: the namespace that it stands in for the client.
    """

    name: str
    description: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    custom: bool = False
    strict: bool | None = None
    client_name: str | None = None
    namespace: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolChoice:
    """The mode, and the tool's name when the mode is `NAMED`."""

    mode: ToolMode = ToolMode.AUTO
    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """Knobs of the sampler; `None` means the engine's own default. Penalties in -2…2."""

    temperature: float | None = None
    top_p: float | None = None
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputFormat:
    """JSON as the answer.

    Attributes:
        schema: the JSON schema it must fit, `None` for any object.
        param: where the schema stands in the client's request, for errors.
    """

    schema: Mapping[str, Any] | None = None
    param: str = "response_format.json_schema.schema"
    name: str = ""
    strict: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Thread:
    """The state that a stateful protocol keeps between requests.

    Attributes:
        previous_id: the stored response that this one follows.
        conversation_id: the stored conversation that this turn belongs to.
        store: whether the answer is to be stored.
        items: this turn's input in the protocol's own JSON, each with an `id`.
    """

    previous_id: str | None = None
    conversation_id: str | None = None
    store: bool = True
    items: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatRequest:
    """One request in the middle of the house.

    Attributes:
        model: the name the client asked for, until the gateway resolves it.
        messages: system, user, assistant and tool turns in the client's order.
        session: the engine's own session in which `messages` go on, as its id; it knows all that
            was said before. `None` opens a new one. Set by the gateway.
        parallel_tool_calls: whether one answer may hold more than one call.
        results_have_ids: whether the client's results name their calls by id; OpenAI's old
            `functions` do not.
        tool_route: how `tools` reach the model; set by the gateway.
        output_format: what the answer's text should be.
        choices: how many answers are wanted.
        include_usage: whether a stream should end with token counts.
        show_reasoning: whether the model's reasoning is wanted in the answer.
        thread: what a stateful protocol wants continued and remembered.
        extras: unknown top-level fields, `{"openai_chat": {...}}`.
        notes: what parsing had to drop or degrade.
    """

    model: str
    messages: tuple[Message, ...]
    session: str | None = None
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice = ToolChoice()
    tool_route: ToolRoute = ToolRoute.NATIVE
    sampling: Sampling = Sampling()
    reasoning_effort: str | None = None
    output_format: OutputFormat | None = None
    parallel_tool_calls: bool = True
    results_have_ids: bool = True
    choices: int = 1
    stream: bool = False
    include_usage: bool = False
    show_reasoning: bool = True
    user: str | None = None
    mode: AskMode = AskMode.CHAT
    extras: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    thread: Thread | None = None
    notes: tuple[Note, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """One entry of an engine's live list.

    Attributes:
        context_tokens: 0 when the engine does not say.
        kind: `llm` or `embedding`: what its engine is for; set by the gateway.
    """

    key: str
    name: str
    context_tokens: int = 0
    is_default: bool = False
    vision: bool = False
    reasoning: bool = False
    kind: str = "llm"
