"""From an ask and its directives to the steps of its stream. Pure and deterministic.

Source: Lingma local protocol, sections 4.4, 4.5 and 5. Owns the order of pushes, where faults
happen and how streams end; knows nothing of sockets or time.
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from lingma_cli.demo import answers, dialects, outcomes
from lingma_cli.demo.answers import Ask
from lingma_cli.demo.directives import Directives
from lingma_cli.demo.outcomes import Outcome
from lingma_cli.demo.toolcalls import ToolCall

REASONS = {
    0: "unknown",
    200: "success",
    401: "not logged in",
    403: "no permission or quota exceeded",
    406: "content filtered",
    408: "request timeout",
    409: "conflict",
    429: "too many requests",
    500: "internal server error",
    601: "blocked by content filter",
    31404: "model not found",
    80408: "model response timeout",
}
NOISE = ("telemetry/event", "config/refreshModels", "update/ready", "snapshot/syncAll")


@dataclass(frozen=True, slots=True, kw_only=True)
class Push:
    """Send a push."""

    method: str
    params: Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """Wait some seconds."""

    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """Send a request of the binary to the client and quote its answer in a delta."""

    name: str
    wait: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Break something: `kind` names a directive, `argument` is its value."""

    kind: str
    argument: int | float | str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Invoke:
    """Announce and invoke the native calls of a step."""

    calls: Sequence[ToolCall]


@dataclass(frozen=True, slots=True, kw_only=True)
class Await:
    """Wait for what comes of them; the script is told by `settle`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """The stream is over; pushes after it are late ones."""

    status: int | str


Step = Push | Pause | Demand | Fault | Invoke | Await | Ended


class Script:
    """The steps of one ask; calls that are wished for are native ones and come first."""

    def __init__(self, ask: Ask, wish: Directives) -> None:
        self._ask = ask
        self._wish = wish
        self._outcomes: Sequence[Outcome] = ()
        self._is_cut = False
        self._field = wish.field or "text"
        self._form, self._thought = answers.reasoning_of(ask, wish)
        self._visible: list[str] = []

    def steps(self) -> Iterator[Step]:
        """Yield the whole stream."""
        yield from self._opening()
        yield from self._body()
        yield from self._ending()

    def late_deltas(self) -> Iterator[Push]:
        """Yield the deltas that come after the end."""
        for number in range(1, self._wish.late + 1):
            yield self._push("chat/answer", self._delta(f" late {number}"))

    def finish(self, status: int | str, reason: str) -> Push:
        """Build chat/finish with what is visible so far."""
        params = self._ids() | {"reason": reason, "fullAnswer": self._full(), "extra": {}}
        if status != "absent":
            params["statusCode"] = status
        return Push(method="chat/finish", params=params)

    def settle(self, ends: Sequence[Outcome]) -> None:
        """Take what came of the calls of the last step."""
        self._outcomes = ends

    @property
    def visible(self) -> str:
        """What a client that follows the rules has put together so far."""
        return "".join(self._visible)

    @property
    def thought(self) -> str:
        """The reasoning, empty for none."""
        return "" if self._form == "none" else self._thought

    def _ids(self) -> dict[str, object]:
        return {"requestId": self._ask.request_id, "sessionId": self._ask.session_id}

    def _push(self, method: str, params: Mapping[str, object]) -> Push:
        return Push(method=method, params={**self._ids(), **params})

    def _delta(
        self, text: str, *, overwrite: bool = False, filtered: bool = False
    ) -> dict[str, object]:
        extra = {"sessionType": self._ask.params.get("sessionType"), "intentionType": "chat"}
        return {
            self._field: text,
            "overwrite": overwrite,
            "isFiltered": filtered,
            "timestamp": self._ask.received_ms,
            "extra": extra,
        }

    def answer(self, text: str, *, filtered: bool = False) -> Push:
        """Build one delta and remember it as visible."""
        self._visible.append(text)
        return self._push("chat/answer", self._delta(text, filtered=filtered))

    def _opening(self) -> Iterator[Step]:
        if self._wish.steps == "on":
            # quirk: step_end comes before the answer, so it is no sign of an end
            for step, status in (("step_start", "doing"), ("step_end", "done")):
                params = {"step": step, "description": "", "status": status}
                yield self._push(
                    "chat/process_step_callback", params | {"result": "", "message": ""}
                )
        if self._wish.title is not None:
            title = {"sessionId": self._ask.session_id, "sessionTitle": self._wish.title}
            yield Push(method="session/title/update", params=title)
        if self._wish.noise:
            for method in NOISE:
                yield Push(method=method, params={})
        if self._wish.usage is not None:
            limit = self._ask.model.max_input_tokens
            usage = {"usedTokens": self._wish.usage, "limitTokens": limit}
            yield self._push("context/usage/sync", usage)
        if self._form.startswith("push"):
            yield from self._thinking()

    def _thinking(self) -> Iterator[Step]:
        for piece in answers.deltas(self._thought, self._wish):
            yield self._push(
                "chat/think", {"text": piece, "step": "start", "timestamp": self._ask.received_ms}
            )
        last = "end" if self._form == "push-end" else "done"
        yield self._push(
            "chat/think", {"text": "", "step": last, "timestamp": self._ask.received_ms}
        )

    def _body(self) -> Iterator[Step]:
        position, sent = self._position(), 0
        if self._wish.first:
            yield Pause(seconds=self._wish.first)
        yield from self._rounds()
        if self._is_cut:
            return
        for text in self._deltas():
            if sent == position:
                yield from self._interlude()
                if self._wish.ends_early:
                    return
            yield from self._paced(text)
            sent += 1
        if sent <= position:
            yield from self._interlude()

    def _rounds(self) -> Iterator[Step]:
        """Yield the native calls, each step after the results of the last."""
        wish = self._wish
        place = (wish.after if isinstance(wish.after, int) else 0) if wish.at == "waiting" else -1
        for number, calls in enumerate(wish.calls or ()):
            yield from self._said(dialects.before(wish.prose))
            yield Invoke(calls=calls)
            if number == place:
                yield from self._interlude()
                self._is_cut = wish.ends_early
                if self._is_cut:
                    return
            yield Await()
            bad = [end.sentence + "\n" for end in self._outcomes if not end.is_good]
            yield from self._said("".join(bad))
            self._is_cut = any(end.ending == "overdue" for end in self._outcomes)
            if self._is_cut:
                return
            yield from self._said(dialects.after(wish.prose))

    def _said(self, text: str) -> Iterator[Step]:
        for piece in answers.deltas(text, self._wish) if text else ():
            yield from self._paced(piece)

    def _paced(self, text: str) -> Iterator[Step]:
        if self._wish.delay:
            yield Pause(seconds=self._wish.delay)
        yield self.answer(text)
        if self._wish.blanks:
            yield self.answer("")

    def _position(self) -> int:
        """Return after how many deltas the interlude comes: -1 for never, the largest for last."""
        after = self._wish.after
        if self._wish.at == "waiting":
            return -1
        if isinstance(after, int):
            return after
        return 0 if after is None and self._wish.overwrite is None else sys.maxsize

    def _deltas(self) -> Iterator[str]:
        return iter(()) if self._wish.full == "only" else answers.deltas(self._text(), self._wish)

    def _text(self) -> str:
        inline = answers.inline_reasoning(self._form, self._thought)
        if self._wish.calls and not self._wish.has_text:
            good = [end.sentence for end in self._outcomes if end.is_good]
            return inline + outcomes.summary(good)
        return inline + answers.text_of(self._ask, self._wish)

    def _interlude(self) -> Iterator[Step]:
        wish = self._wish
        for number in range(wish.strangers):
            stranger = {"requestId": f"stranger-{number}", "sessionId": "stranger"}
            params = stranger | self._delta("not for you")
            yield Push(method="chat/answer", params=params)
        for name in wish.demand:
            yield Demand(name=name, wait=wish.wait)
        if wish.overwrite is not None:
            yield self._overwrite(wish.overwrite)
        yield from self._faults()

    def _faults(self) -> Iterator[Step]:
        wish = self._wish
        chosen: tuple[tuple[str, int | float | str | None], ...] = (
            ("garbage", wish.garbage),
            ("drop", wish.drop),
            ("close", wish.close),
            ("crash", wish.crash),
            ("hang", "" if wish.hang else None),
            ("freeze", wish.freeze),
        )
        for kind, argument in chosen:
            if argument is not None:
                yield Fault(kind=kind, argument=argument)

    def _overwrite(self, kind: str) -> Push:
        sofar = self.visible
        text = {
            "extend": sofar + " [extended]",
            "contradict": "This replaces everything before it.",
            "shrink": sofar[: len(sofar) // 2],
        }[kind]
        self._visible[:] = [text]
        return self._push("chat/answer", self._delta(text, overwrite=True))

    def _ending(self) -> Iterator[Step]:
        match self._wish.end:
            case "silence":
                yield Fault(kind="silence")
            case "error" | "fatal":
                yield self._error_push()
                yield Ended(status="none")
            case "filter-timeout":
                yield self._push("chat/filterTimeout", {})
                yield Ended(status="none")
            case "filter":
                yield self.answer("", filtered=True)
                yield from self._finishes(406)
            case "limit":
                yield self.answer('{"code":110,"message":"daily usage limit reached"}')
                yield from self._finishes(200)
            case _:
                yield from self._finishes(200)
        yield from self.late_deltas()

    def _finishes(self, default: int) -> Iterator[Step]:
        status = default if self._wish.finish is None else self._wish.finish
        reason = self._wish.reason
        if reason is None:
            reason = "success" if status == "absent" else REASONS.get(int(status), "failed")
        finish = self.finish(status, reason)
        yield finish
        yield Ended(status=status)
        if self._wish.duplicate:
            yield finish

    def _error_push(self) -> Push:
        ids = {} if self._wish.anonymous else self._ids()
        reason = self._wish.reason or "the simulated upstream failed"
        if self._wish.end == "fatal":
            return Push(method="fatal_error", params=ids | {"error": reason})
        return Push(method="error", params=ids | {"message": reason})

    def _full(self) -> str:
        match self._wish.full:
            case "empty":
                return ""
            case "extended":
                return self.visible + " This stands in fullAnswer only."
            case "other":
                return "Something else entirely."
            case "only":
                return self._text()
            case _:
                return self.visible
