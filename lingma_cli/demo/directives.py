"""Prompt directives: what one ask should do, as `[[demo: key=value …]]` in the prompt.

Owns the keys, their defaults and where a directive is found. The last block of a prompt wins; its
keys stand over those of the environment default. Pure.
"""

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lingma_cli.demo import toolcalls
from lingma_cli.demo.language import QUOTED, RAW, Key, Value, read
from lingma_cli.demo.toolcalls import Step
from lingma_cli.demo.toolkeys import TOOL_KEYS
from lingma_cli.demo.wire import PLAIN, Wire

GARBAGE = (
    "bytes", "length", "nolength", "huge", "negative", "short", "json", "utf8", "array", "deep",
    "params", "types", "text", "websocket",
)  # fmt: skip
DEMANDS = ("config", "register", "log", "edit", "tool", "tool-async", "sync")

WIRE_KEYS = (
    Key(
        name="cut",
        kind="count",
        meaning="send the byte stream in WebSocket messages of N bytes; in a prompt also deltas"
        " of N characters unless `chunks` or `split` is given",
    ),
    Key(name="coalesce", kind="count", meaning="put N frames into one WebSocket message"),
    Key(
        name="message",
        kind="choice",
        choices=("text", "binary", "mixed"),
        meaning="kind of WebSocket message; a piece that is not UTF-8 is always binary",
    ),
    Key(
        name="header",
        kind="choice",
        choices=("plain", "lower", "upper", "typed"),
        meaning="case of the header name, or an extra Content-Type before it",
    ),
    Key(
        name="separator",
        kind="choice",
        choices=("crlf", "lf"),
        meaning="line ends of the header block",
    ),
)

ANSWER_KEYS = (
    Key(name="help", kind="flag", meaning="answer with this list of keys"),
    Key(name="plain", kind="flag", meaning="forget the defaults of the environment"),
    Key(name="echo", kind="flag", meaning="answer with the last user text"),
    Key(name="say", kind="text", meaning='answer with this text; `say=""` is an empty answer'),
    Key(
        name="quote",
        kind="choice",
        choices=("prompt", "payload", "session"),
        meaning="answer with exactly the prompt, or as JSON with the whole chat/ask params, or with"
        " all that was said in the session",
    ),
    Key(name="repeat", kind="count", meaning="the answer N times over"),
    Key(name="size", kind="count", meaning="an answer of N bytes (`k` and `m` allowed)"),
    Key(
        name="chunks",
        kind="count",
        meaning="stream in N deltas; without a text the answer counts from 1 to N",
    ),
    Key(name="split", kind="count", meaning="deltas of N characters"),
    Key(name="delay", kind="seconds", meaning="pause before every delta"),
    Key(name="first", kind="seconds", meaning="pause before the first delta"),
    Key(name="blanks", kind="flag", meaning="an empty delta after every delta"),
    Key(
        name="field",
        kind="choice",
        choices=("text", "content"),
        meaning="name of the field that carries a delta",
    ),
    Key(
        name="overwrite",
        kind="choice",
        choices=("extend", "contradict", "shrink"),
        meaning="a delta with `overwrite:true` at `after` that extends, contradicts or halves",
    ),
    Key(
        name="full",
        kind="choice",
        choices=("full", "empty", "extended", "other", "only"),
        meaning="`fullAnswer` of the finish: the text, nothing, more, something else,"
        " or the text without any delta before it",
    ),
    Key(
        name="marker",
        kind="choice",
        choices=("tool", "edit"),
        meaning="append a `toolCall::` or a `CODE_EDIT_BLOCK` fence",
    ),
    Key(
        name="think",
        kind="choice",
        choices=("push", "push-end", "tags", "block", "timed", "none"),
        meaning="reasoning as chat/think (ending in done or end), in <think> tags, in a"
        " `think::{THINK_TIME}` block, in one with a number, or none",
    ),
    Key(name="thought", kind="text", meaning="the reasoning's text"),
    Key(name="steps", kind="choice", choices=("on", "off"), meaning="process steps at the start"),
    Key(name="title", kind="text", meaning="push session/title/update with this title"),
    Key(name="noise", kind="flag", meaning="push events that have nothing to do with the ask"),
    Key(name="usage", kind="count", meaning="push context/usage/sync with N used tokens"),
)

ENDING_KEYS = (
    Key(
        name="reply",
        kind="choice",
        choices=(
            "success",
            "result",
            "none",
            "late",
            "failure",
            "result-failure",
            "error",
            "unknown",
        ),
        meaning="how chat/ask answers: `{success}`, `{isSuccess}`, never, after the finish;"
        " refused by either result, by an error, or by -32601",
    ),
    Key(
        name="finish",
        kind="count",
        choices=("absent",),
        meaning="`statusCode` of chat/finish, or none in it",
    ),
    Key(name="reason", kind="text", meaning="`reason` of chat/finish"),
    Key(
        name="end",
        kind="choice",
        choices=("finish", "silence", "filter", "filter-timeout", "limit", "error", "fatal"),
        meaning="how the stream ends: chat/finish, nothing at all, isFiltered and 406,"
        " chat/filterTimeout, a text with code 110, push `error`, push `fatal_error`",
    ),
    Key(name="anonymous", kind="flag", meaning="`error` and `fatal_error` without a requestId"),
    Key(name="duplicate", kind="flag", meaning="chat/finish twice"),
    Key(name="late", kind="count", bare=1, meaning="N deltas after the finish or the cancel"),
    Key(
        name="stop",
        kind="choice",
        choices=("finish", "silent", "deaf"),
        meaning="chat/stop ends with 200 `cancelled`, without a finish, or is ignored",
    ),
)

FAULT_KEYS = (
    Key(
        name="after",
        kind="count",
        choices=("last",),
        meaning="where faults, demands and `overwrite` happen, and where the stream ends if"
        " `finish` or `end` is given: after N deltas or after the last",
    ),
    Key(name="garbage", kind="choice", choices=GARBAGE, meaning="bytes that break the stream"),
    Key(
        name="drop",
        kind="choice",
        choices=("eof", "reset"),
        bare="eof",
        meaning="end the TCP stream without a WebSocket close, after what was sent, or reset the"
        " connection, which may take sent deltas with it",
    ),
    Key(name="close", kind="count", bare=1001, meaning="close the WebSocket with code N"),
    Key(name="crash", kind="count", bare=1, meaning="end the process at once with exit code N"),
    Key(name="hang", kind="flag", meaning="the process lives and says nothing any more"),
    Key(
        name="freeze",
        kind="seconds",
        bare=86_400.0,
        meaning="block the event loop: WebSocket pings and SIGTERM go unanswered",
    ),
    Key(name="strangers", kind="count", bare=3, meaning="N deltas of unknown requests"),
    Key(
        name="demand",
        kind="choices",
        choices=DEMANDS,
        meaning="send these requests to the client and quote its answers",
    ),
    Key(name="wait", kind="seconds", meaning="how long a demand waits for its answer"),
    Key(name="once", kind="flag", meaning="only the first time in this work directory"),
)

KEYS = (*ANSWER_KEYS, *TOOL_KEYS, *ENDING_KEYS, *FAULT_KEYS, *WIRE_KEYS)

_OPENING = "[[demo:"
# Atomic, so that an unclosed block in front of a long prompt costs one pass over it.
_BLOCK = re.compile(rf'\[\[demo:((?>={RAW}|{QUOTED}|(?!\]\])[^"])*+)\]\]', re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Directives:
    """What one ask should do; the fields are the keys of `KEYS`, `given` those that were set."""

    help: bool = False
    plain: bool = False
    echo: bool = False
    say: str | None = None
    quote: str | None = None
    repeat: int = 1
    size: int | None = None
    chunks: int | None = None
    split: int | None = None
    delay: float = 0.0
    first: float = 0.0
    blanks: bool = False
    field: str | None = None
    overwrite: str | None = None
    full: str = "full"
    marker: str | None = None
    think: str | None = None
    thought: str | None = None
    steps: str = "on"
    title: str | None = None
    noise: bool = False
    usage: int | None = None
    calls: tuple[Step, ...] | None = None
    via: str = "auto"
    known: bool = False
    dialect: str = "action"
    prose: str = "none"
    order: str = "sync-first"
    named: str = "top"
    invoke: str = "async"
    states: str = "usual"
    tool_acks: str = "now"
    gap: float = 0.0
    tool_wait: float = 600.0
    at: str = "answer"
    reply: str | None = None
    finish: int | str | None = None
    reason: str | None = None
    end: str = "finish"
    anonymous: bool = False
    duplicate: bool = False
    late: int = 0
    stop: str = "finish"
    after: int | str | None = None
    garbage: str | None = None
    drop: str | None = None
    close: int | None = None
    crash: int | None = None
    hang: bool = False
    freeze: float | None = None
    strangers: int = 0
    demand: tuple[str, ...] = ()
    wait: float = 2.0
    once: bool = False
    cut: int = 0
    coalesce: int = 1
    message: str = "text"
    header: str = "plain"
    separator: str = "crlf"
    given: Mapping[str, Value] = dataclasses.field(default_factory=dict)

    @property
    def ends_early(self) -> bool:
        """Whether the stream is cut short at `after` or `at` by its own ending."""
        placed = self.after is not None or self.at == "waiting"
        return placed and (self.finish is not None or self.end != "finish")

    @property
    def has_text(self) -> bool:
        """Whether it says what the answer is."""
        wished = (self.say, self.quote, self.size, self.chunks)
        return self.help or self.echo or any(one is not None for one in wished)


def parse(text: str, defaults: Mapping[str, Value] | None = None) -> Directives:
    """Read the inside of a block over the defaults of the environment.

    Raises:
        LanguageError: for unknown keys and bad values.
    """
    own = read(text, KEYS)
    values: dict[str, Any] = dict(own) if own.get("plain") else {**(defaults or {}), **own}
    given = dict(values)
    if "calls" in values:
        values["calls"] = toolcalls.read(values["calls"])
    return Directives(**values, given=given)


def find(prompt: str) -> str | None:
    """Return the inside of the last readable block of a prompt, or None."""
    match = _last(prompt)
    return None if match is None else match[1]


def end_of_last(prompt: str) -> int:
    """Return where the last readable block of a prompt ends, 0 if there is none."""
    match = _last(prompt)
    return 0 if match is None else match.end()


def _last(prompt: str) -> re.Match[str] | None:
    end = len(prompt)
    while (start := prompt.rfind(_OPENING, 0, end)) >= 0:
        match = _BLOCK.match(prompt, start)
        if match is not None:
            return match
        end = start
    return None


def strip(prompt: str) -> str:
    """Remove every block, so that quoting a prompt does not repeat its directives."""
    return _BLOCK.sub("", prompt).strip() if _OPENING in prompt else prompt.strip()


def wire_of(values: Mapping[str, Value], base: Wire = PLAIN) -> Wire:
    """Build the wire settings of the values that speak of it, over a base."""
    names = {key.name for key in WIRE_KEYS}
    chosen: dict[str, Any] = {name: value for name, value in values.items() if name in names}
    if not chosen:
        return base
    settings: dict[str, Any] = {name: getattr(base, name) for name in names}
    return Wire(**{**settings, **chosen})
