"""Fingerprints of conversations: by these a session upstream is found again. Pure.

Each turn's digest covers the turns before it, so two conversations are alike up to a turn if and
only if their digests of that turn are. HMAC-SHA-256 (RFC 2104) under a secret of this run: digests
tell nothing to somebody who has guesses about what was said.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Final

import msgspec

from lingma_cli.core.chat import (
    MediaPart,
    Message,
    OutputFormat,
    Part,
    ReasoningPart,
    Role,
    TextPart,
    Tool,
    ToolOutputPart,
    ToolUsePart,
)

DIGEST_BYTES: Final = 32
_LETTERS: Final = {Role.SYSTEM: b"s", Role.USER: b"u", Role.ASSISTANT: b"a", Role.TOOL: b"t"}
_ASSISTANT: Final = b"a"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What must be the same besides the turns.

    Attributes:
        caller: the label of the caller's key; a key has one tier.
        user: the end user whom the caller names.
    """

    caller: str
    model: str
    user: str | None = None
    tools: tuple[Tool, ...] = ()
    output_format: OutputFormat | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """A conversation as digests of `DIGEST_BYTES` each.

    Consecutive messages of the assistant are one turn, as protocols cut an answer differently.

    Attributes:
        owner: of the caller.
        scope: of everything in `Scope`.
        turns: one digest a turn, in a row, each covering all turns up to it.
        roles: one letter a turn.
    """

    owner: bytes
    scope: bytes
    turns: bytes
    roles: bytes

    def __len__(self) -> int:
        return len(self.roles)

    @property
    def key(self) -> bytes:
        """What a session with exactly these turns is kept under."""
        return self.scope + self.turns[-DIGEST_BYTES:]

    @property
    def answered(self) -> Conversation:
        """The turns up to and with the last one of the assistant; empty when there is none."""
        count = self.roles.rfind(_ASSISTANT) + 1
        return replace(self, turns=self.turns[: count * DIGEST_BYTES], roles=self.roles[:count])

    def shared(self, other: Conversation) -> int:
        """Return how many turns from the first on are the same."""
        low, high = 0, min(len(self), len(other))
        while low < high:
            middle = (low + high + 1) // 2
            end = middle * DIGEST_BYTES
            if self.turns[end - DIGEST_BYTES : end] == other.turns[end - DIGEST_BYTES : end]:
                low = middle
            else:
                high = middle - 1
        return low

    def answer(self, index: int) -> bytes | None:
        """Return the digest of the turn at `index`, if it is there and the assistant's."""
        if self.roles[index : index + 1] != _ASSISTANT:
            return None
        return self.turns[index * DIGEST_BYTES : (index + 1) * DIGEST_BYTES]


class Fingerprints:
    """Makes `Conversation`s.

    Args:
        secret: random bytes of this run.
    """

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def of(self, scope: Scope, messages: Sequence[Message]) -> Conversation:
        """Return the digests of `messages`; media count by their kind only."""
        settings = msgspec.json.encode(
            [scope.caller, scope.model, scope.user, scope.tools, scope.output_format],
            order="deterministic",
        )
        owner = self._digest(b"owner", _framed(scope.caller))
        turns, roles = [owner], bytearray()
        for role, content in _turns(messages):
            letter = _LETTERS[role]
            turns.append(self._digest(turns[-1] + letter, content))
            roles += letter
        return Conversation(
            owner=owner,
            scope=self._digest(b"scope", settings),
            turns=b"".join(turns[1:]),
            roles=bytes(roles),
        )

    def followed(self, conversation: Conversation, answer: str) -> Conversation:
        """Return a conversation, which ends with a question, with its answer."""
        last = conversation.turns[-DIGEST_BYTES:]
        digest = self._digest(last + _ASSISTANT, _spoken([TextPart(text=answer)]))
        return replace(
            conversation,
            turns=conversation.turns + digest,
            roles=conversation.roles + _ASSISTANT,
        )

    def _digest(self, what: bytes, content: bytes) -> bytes:
        return hmac.digest(self._secret, what + content, "sha256")


def turn_starts(messages: Sequence[Message]) -> Sequence[int]:
    """Return the index of the message with which each turn begins."""
    return [
        index
        for index, message in enumerate(messages)
        if message.role is not Role.ASSISTANT
        or index == 0
        or messages[index - 1].role is not Role.ASSISTANT
    ]


def _turns(messages: Sequence[Message]) -> Iterator[tuple[Role, bytes]]:
    for is_answer, group in groupby(messages, lambda one: one.role is Role.ASSISTANT):
        if is_answer:
            yield Role.ASSISTANT, _spoken([part for one in group for part in one.parts])
            continue
        for message in group:
            yield message.role, b"".join(map(_part, message.parts))


def _spoken(parts: Sequence[Part]) -> bytes:
    """Return an answer's text with its white space made even, and its calls."""
    text = "".join(_shown(part) for part in parts)
    calls = (_part(part) for part in parts if isinstance(part, ToolUsePart | ToolOutputPart))
    return _framed(" ".join(text.split())) + b"".join(calls)


def _shown(part: Part) -> str:
    match part:
        case TextPart(text=text):
            return text
        case MediaPart():
            return _placeholder(part)
        case _:
            return ""


def _part(part: Part) -> bytes:
    match part:
        case TextPart(text=text):
            return b"t" + _framed(text)
        case MediaPart():
            return b"m" + _framed(_placeholder(part))
        case ReasoningPart():
            # No engine is told of it.
            return b""
        case ToolUsePart(call_id=call_id, name=name, arguments=arguments):
            return b"c" + _framed(call_id) + _framed(name) + _framed(arguments)
        case ToolOutputPart(call_id=call_id, text=text, media=media, is_error=is_error):
            shown = "".join(map(_placeholder, media))
            failed = b"e" if is_error else b"r"
            return failed + _framed(call_id) + _framed(text) + _framed(shown)


def _placeholder(media: MediaPart) -> str:
    return f"[{media.kind.value}]"


def _framed(text: str) -> bytes:
    """Return `text` after its length, so that no two lists of texts look alike."""
    raw = text.encode("utf-8", "surrogatepass")
    return len(raw).to_bytes(8, "big") + raw
