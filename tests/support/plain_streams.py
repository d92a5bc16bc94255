"""Event streams as engines in the wild might give them, and what was asked; one for each seed.

Made without hypothesis: a hundred thousand of them take seconds, and a number is all that is
needed to see one again. What an engine has to keep to is kept to: a call begins with a
`BlockOpened` that has its name and an id of its own, and no text holds a lone surrogate. The rest
is wild: brackets, empty pieces, counts, beginnings and ends may stand anywhere or be missing, texts
are cut anywhere, and the ask may raise.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final, TypeVar

from lingma_cli.core.chat import (
    ChatRequest,
    Message,
    OutputFormat,
    Role,
    Sampling,
    TextPart,
    Tool,
    ToolChoice,
    ToolMode,
)
from lingma_cli.core.events import (
    BlockClosed,
    BlockDelta,
    BlockKind,
    BlockOpened,
    ChatEvent,
    Failed,
    Finished,
    FinishReason,
    Started,
    Usage,
    UsageReported,
)
from lingma_cli.engines.lingma.markers import MarkerReader
from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.protocols.openai_chat_parse import LEGACY
from tests.support.scripted_engine import Step
from tests.support.tool_turns import BASH, READ

T = TypeVar("T")

TEXT, REASONING, TOOL_CALL = BlockKind.TEXT, BlockKind.REASONING, BlockKind.TOOL_CALL
PATCH: Final = Tool(
    name="patch",
    parameters={"type": "object", "properties": {"input": {"type": "string"}}},
    custom=True,
)
CLOSE: Final = Tool(
    name="agents__close", parameters={"type": "object"}, client_name="close", namespace="agents"
)
_TOOLS: Final = (READ, BASH, PATCH, CLOSE)
_STOPS: Final = ("STOP", "\n\n", "</s>", "好🙂", "e\u0301")
_PARTS: Final = ("text", "thought", "call", "usage", "open", "close")
_ENDS: Final = ("finish", "fail", "raise", "nothing", "silence")

_WORDS: Final = (
    *("a", "hello ", "the end", "\n", "\n\n", "\r\n", " ", "\t", "> ", "`", "``", "#" * 9),
    *(
        "今日は",
        "好🙂",
        "👩\u200d👩\u200d👧",
        "e\u0301",
        "🇨🇳",
        "\u2028",
        "\u0085",
        "\ufeff",
        "\x00",
    ),
    *("\x1b[0m", "\\", '"', "\\u00e9", "</s>", "STOP", "STO", "data: [DONE]\n\n", "event: x"),
)
_MARKERS: Final = (
    *("<think>hm, 好</think>", "<think>", "</think>", "<tool_call>", "</tool_call>"),
    "````think::x\nhm\n````\n",
    "\n```toolCall::Read::t1::INIT\nx\n```\n",
    "```python|CODE_EDIT_BLOCK|a.py\nx = 1\n```\n",
)
_CALLS: Final = (
    '```json action\n{"tool": "Read", "parameters": {"path": "好.txt"}}\n```',
    '\n```json\n{"name": "Bash", "arguments": {"command": "ls"}}\n```\n',
    '<tool_call>{"name": "Bash", "arguments": {"command": "echo \\"🙂\\""}}</tool_call>',
    "<function=Read><parameter=path>\na\n</parameter></function>",
    '```tool_code\nprint(patch(input="+好"))\n```\n',
    '<tool_call>{"name": "agents__close", "arguments": {}}</tool_call>',
    '```json\n{"name": "Nobody", "arguments": {}}\n```',
)
_JSONS: Final = (
    '{"a": [1, 2.5e3, null]}',
    '```json\n{"a": "好"}\n```',
    "[1, 2",
    '{"a": 1} {}',
    "{",
)
_ARGUMENTS: Final = (
    *("", "{}", '{"path": "好🙂"}', '{"input": "+a\\nb"}', '{"input": 1}', '"raw"', "raw text"),
    *('{"a": {"b": [true, "\\ud83d\\ude42"]}}', '{"a": ', "[1]", "0", '{"input": "", "x": 1}'),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Play:
    """A request, and what the engine does with it.

    Attributes:
        request: what was asked.
        scripts: what becomes of each ask.
        native: whether the engine takes tools in the request.
        route: the setting for the way of tools.
        refuses_after: how many asks the engine takes before it refuses.
    """

    request: ChatRequest
    scripts: Sequence[Sequence[Step]]
    native: bool
    route: str
    refuses_after: int


def play(seed: int) -> Play:
    """Return the play of a seed, always the same."""
    wild = _Wild(seed)
    request = wild.request()
    count = request.choices + 1
    return Play(
        request=request,
        scripts=[wild.script(bool(request.tools)) for _ in range(count)],
        native=wild.chance(0.3),
        route=wild.choice(("auto", "auto", "native", "prompt")),
        refuses_after=1 if wild.chance(0.1) else count,
    )


class _Wild:
    """Draws everything from one seed."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)
        self._calls = 0
        self._stops: tuple[str, ...] = ()

    def chance(self, probability: float) -> bool:
        return self._random.random() < probability

    def choice(self, of: Sequence[T]) -> T:
        return self._random.choice(of)

    def request(self) -> ChatRequest:
        """Return a request with any of the wishes that change its answer."""
        pick, chance = self._random, self.chance
        tools = tuple(pick.sample(_TOOLS, pick.randint(1, 4))) if chance(0.5) else ()
        is_legacy = chance(0.1) and bool(tools) and not any(tool.custom for tool in tools)
        mode = ToolMode.AUTO
        if tools and chance(0.2):
            mode = pick.choice((ToolMode.REQUIRED, ToolMode.NAMED))
        self._stops = tuple(pick.sample(_STOPS, 2)) if chance(0.2) else ()
        return ChatRequest(
            model="org_auto",
            messages=(Message(role=Role.USER, parts=(TextPart(text="look"),)),),
            tools=tools,
            tool_choice=ToolChoice(mode=mode, name=tools[0].name if mode is ToolMode.NAMED else ""),
            sampling=Sampling(
                stop=self._stops,
                max_tokens=pick.randint(1, 40) if chance(0.2) else None,
            ),
            output_format=OutputFormat() if chance(0.1) else None,
            parallel_tool_calls=chance(0.8),
            choices=pick.randint(2, 3) if chance(0.15) else 1,
            stream=True,
            include_usage=chance(0.6),
            show_reasoning=chance(0.8),
            extras={LEGACY: {}} if is_legacy else {},
        )

    def script(self, has_tools: bool) -> list[Step]:
        """Return the batches of one answer, and how it ends."""
        self._calls = 0
        events = [event for _ in range(self._few()) for event in self._part(has_tools)]
        end = self._random.choices(_ENDS, (12, 1, 1, 1, 1))[0]
        error = LingmaError(self.choice(tuple(ErrorKind)), self._text())
        if end == "finish":
            events.append(Finished(reason=self._reason()))
        elif end == "fail":
            events.append(Failed(error=error))
        if end in ("finish", "fail") and self.chance(0.1):
            late = [*self._part(has_tools), Finished(reason=self._reason()), Failed(error=error)]
            events += self._random.sample(late, 2)
        if self.chance(0.7):
            place = 0 if self.chance(0.8) else self._random.randint(0, len(events))
            events.insert(place, Started(model=self.choice(("org_auto", "other", "好"))))
        batches: list[Step] = [cut for cut in self._cut(events) if cut]
        if end == "raise":
            batches.append(error)
        elif end == "silence":
            # An empty batch is the end, whatever follows it.
            batches.insert(self._random.randint(0, len(batches)), ())
        return batches

    def _few(self) -> int:
        return self.choice((0, 1, 1, 2, 2, 3, 4, 6))

    def _reason(self) -> FinishReason:
        if self.chance(0.8):
            return FinishReason.TOOL_CALLS if self._calls else FinishReason.STOP
        return self.choice(tuple(FinishReason))

    def _part(self, has_tools: bool) -> Iterator[ChatEvent]:
        """Yield a part of an answer, bracketed or not."""
        weights = (8, 3, 3 if has_tools else 0, 1, 1, 1)
        match self._random.choices(_PARTS, weights)[0]:
            case "text":
                yield from self._said(TEXT)
            case "thought":
                yield from self._said(REASONING)
            case "call":
                yield from self._call()
            case "usage":
                counts = [self._random.randint(0, 99) for _ in range(3)]
                input_, output, thought = counts
                usage = Usage(input_tokens=input_, output_tokens=output, reasoning_tokens=thought)
                yield UsageReported(usage=usage)
            case "open":
                yield BlockOpened(kind=self.choice((TEXT, REASONING)))
            case _:
                yield BlockClosed()

    def _said(self, kind: BlockKind) -> Iterator[ChatEvent]:
        is_opened, is_closed = self.chance(0.3), self.chance(0.3)
        if is_opened:
            yield BlockOpened(kind=kind)
        if kind is TEXT and self.chance(0.3):
            yield from self._read_by_lingma(self._text())
        else:
            yield from self._deltas(kind, self._text())
        if is_closed:
            yield BlockClosed()

    def _call(self) -> Iterator[ChatEvent]:
        self._calls += 1
        name = self.choice(_TOOLS).name
        yield BlockOpened(kind=TOOL_CALL, call_id=f"call_{self._calls:x}", name=name)
        for piece in self._deltas(TOOL_CALL, self.choice(_ARGUMENTS)):
            if self.chance(0.02):
                yield BlockDelta(kind=TEXT, text=self.choice(_WORDS))
            yield piece
        if self.chance(0.7):
            yield BlockClosed()

    def _deltas(self, kind: BlockKind, text: str) -> Iterator[ChatEvent]:
        for piece in self._cut(text):
            yield BlockDelta(kind=kind, text="".join(piece))

    def _read_by_lingma(self, text: str) -> Iterator[ChatEvent]:
        """Yield what becomes of text that a binary of Lingma's writes, markers and all."""
        reader = MarkerReader()
        read = [piece for cut in self._cut(text) for piece in reader.feed("".join(cut))]
        for kind, piece in (*read, *reader.close()):
            yield BlockDelta(kind=kind, text=piece)

    def _text(self) -> str:
        kinds = (_WORDS, _MARKERS, _CALLS, _JSONS)
        weights = (12, 2, 2, 1)
        pools = self._random.choices(kinds, weights, k=self._few() + 1)
        text = "".join(self.choice(pool) for pool in pools)
        if self._stops and self.chance(0.5):
            stop = self.choice(self._stops)
            text += stop[: self._random.randint(1, len(stop))]
        return text

    def _cut(self, whole: Sequence[T]) -> Iterator[Sequence[T]]:
        """Yield pieces of `whole`, cut at any places; some may be empty."""
        at = 0
        longest = self.choice((1, 4, 12, 1000, 1000))
        while at < len(whole):
            size = self._random.randint(0 if self.chance(0.1) else 1, longest)
            yield whole[at : at + size]
            at += size
