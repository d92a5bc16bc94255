"""What was wrong in a storm, and its numbers.

A request is *affected* if the log says that it was tried on a life of an engine that was killed
before the request's end. A life is an engine and its generation, so that no clock decides: once an
end is noticed, nothing is put to that life any more, and until then nobody can know. A server of
somebody else's has no generations; there the time from the kill until its port answers again must
overlap with the client's time of the request.

All others must succeed; each attempt that failed must be explained by a kill; and of those that
were affected, no stream may end as an HTTP error, which is to say unbegun, after a single attempt,
unless its tools may have run: a question that goes on with a parked ask, or in agent mode. A
question may be put twice, since an engine may die of it, and one in agent mode once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from tests.support.kills.plan import Kind
from tests.support.kills.prey import Kill
from tests.support.kills.storm import Asked, Attempt, Exchange, Record, Seen

# What a killed engine may make of a request.
_ENDS = frozenset({"engine_failed", "engine_unavailable"})
# A question that an engine took and died of is put once more, and no third time.
_MOST_ASKED = 2
# Where native tools were seen to work, they are asked for in agent mode from then on.
_NATIVE = frozenset({Kind.NATIVE_TOOLS, Kind.AGENT_TOOLS, Kind.FORGETS})


class Verdict:
    """What was wrong, and how often what happened.

    Attributes:
        wrong: each violation in words.
        counts: by what happened.
    """

    def __init__(self, seen: Seen) -> None:
        self.counts: Counter[str] = Counter()
        self.wrong: list[str] = list(seen.troubles)
        self._seen = seen
        self._kinds = {one.errand.mark: one.errand.kind for one in seen.exchanges}
        self._kills: dict[str, list[Kill]] = {}
        for kill in seen.kills:
            self._kills.setdefault(kill.engine, []).append(kill)
            self.counts[f"kills: {kill.what}"] += 1
        if len(seen.kills) != seen.storm.kills:
            self.wrong.append(f"{len(seen.kills)} kills instead of {seen.storm.kills}")
        for exchange in seen.exchanges:
            self.wrong += [f"{exchange.id}: {words}" for words in self._judged(exchange)]
        self.wrong += self._twice()

    def lines(self) -> Iterator[str]:
        """Yield the summary."""
        yield f"{len(self._seen.exchanges)} requests in {self._seen.seconds:.1f} s"
        yield from (f"{what}: {count}" for what, count in sorted(self.counts.items()))
        yield f"violations: {len(self.wrong)}"
        yield from self.wrong

    def _judged(self, exchange: Exchange) -> Iterator[str]:
        yield from exchange.answer.wrong
        self.counts["requests"] += 1
        self.counts["requests: streaming"] += exchange.errand.stream
        self.counts[f"requests: {exchange.errand.path}"] += 1
        records = self._seen.records.get(exchange.id, [])
        if not exchange.is_whole:
            self.counts["clients that left"] += 1
            # Who leaves at once may never have been heard.
            if any(record.end not in _ENDS | {"cancelled", "stop"} for record in records):
                yield f"its client left, and it ended as {records}"
            return
        if len(records) != 1:
            yield f"it has {len(records)} lines in the log"
            return
        (record,) = records
        for attempt in record.attempts:
            if attempt.error and not self._is_killed(attempt, exchange):
                yield f"`{attempt.engine}` failed without having been killed: {record}"
        affected = any(self._is_killed(attempt, exchange) for attempt in record.attempts)
        self.counts["affected"] += affected
        if exchange.answer.error:
            yield from self._failed(exchange, record, affected=affected)
        else:
            yield from self._succeeded(exchange, record, affected=affected)

    def _is_killed(self, attempt: Attempt, exchange: Exchange) -> bool:
        return any(_ends(kill, attempt, exchange) for kill in self._kills.get(attempt.engine, ()))

    def _failed(self, exchange: Exchange, record: Record, *, affected: bool) -> Iterator[str]:
        if not affected:
            yield f"it failed, and nothing that it needed was killed: {record} {exchange.answer}"
        if record.end not in _ENDS:
            yield f"it failed in another way: {record} {exchange.answer}"
        has_effects = record.is_resumed or exchange.errand.kind in _NATIVE
        is_moved = len(record.attempts) >= _MOST_ASKED
        self.counts["affected: error event"] += exchange.status == 200
        self.counts["affected: HTTP error"] += exchange.status != 200
        self.counts["affected: error, not put again since tools may have run"] += has_effects
        self.counts["affected: error on a second engine"] += is_moved and not has_effects
        if exchange.errand.stream and exchange.status != 200 and not (has_effects or is_moved):
            yield f"it had not begun, and was not put elsewhere: {record} {exchange.answer}"

    def _succeeded(self, exchange: Exchange, record: Record, *, affected: bool) -> Iterator[str]:
        self.counts["answered"] += 1
        self.counts["affected: answered"] += affected
        self.counts["affected: answered by another engine"] += len(record.attempts) > 1
        errand, turn = exchange.errand, exchange.turn
        text, calls = exchange.answer.text, exchange.answer.calls
        if turn < errand.steps:
            marks = [errand.call_mark(turn)]
            is_right = len(calls) == 1 and marks[0] in calls[0].arguments and not text
        else:
            is_talk = errand.kind is Kind.TALK
            is_right = text == errand.answer(turn if is_talk else 0) and not calls
        if not is_right:
            yield f"a wrong answer: {exchange.answer} {record}"

    def _twice(self) -> Iterator[str]:
        """Yield what was delivered or asked more often than it may be."""
        seen = self._seen
        calls = [call for exchange in seen.exchanges for call in exchange.answer.calls]
        self.counts["tool calls delivered"] = len(calls)
        self.counts["questions put"] = len(seen.asked)
        for what, times in (
            ("the call", Counter(call.arguments for call in calls)),
            ("the call id", Counter(call.id for call in calls)),
            ("the result of", seen.results),
        ):
            yield from (f"{what} {one} came {n} times" for one, n in times.items() if n > 1)
        put: dict[tuple[str, int], list[Asked]] = {}
        for asked in sorted(seen.asked, key=lambda one: one.at):
            if asked.mark:
                put.setdefault((asked.mark, asked.done), []).append(asked)
        for (mark, _), all_ in put.items():
            # Both questions of a talk are put with no step done.
            most = _MOST_ASKED * (1 + (self._kinds[mark] is Kind.TALK))
            if len(all_) > most or any(asked.is_agent for asked in all_[:-1]):
                yield f"{self._kinds[mark].name} {mark} was put {len(all_)} times: {all_}"
        if not put:
            yield "no engine has written down what it was asked"


def judge(seen: Seen) -> Verdict:
    """Return what was wrong; the counts are there to be looked at."""
    return Verdict(seen)


def _ends(kill: Kill, attempt: Attempt, exchange: Exchange) -> bool:
    if kill.signalled > exchange.ended:
        return False
    if kill.generation is None:
        return kill.back is None or kill.back >= exchange.began
    return kill.generation == attempt.generation
