"""The loop that every request goes through, whatever its protocol and whichever its engine.

Enter (admission), choose (lease), run (ask), seal, record: each thing that is taken is given back
in reverse by the same `async with`, on finish, failure, disconnect and shutdown alike.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, Final

from lingma_cli.control.registry import Registry, Slot
from lingma_cli.core.chat import AskMode, ChatRequest, Model
from lingma_cli.core.events import Failed, Finished
from lingma_cli.core.notes import Note, NoteCode, codes
from lingma_cli.core.record import Attempt, Record
from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.gateway.admission import Admission
from lingma_cli.gateway.exchange import Clock, Exchange, RecordKeeper
from lingma_cli.gateway.model_names import resolve_model

_log: Final = logging.getLogger(__name__)
_CANCELLED: Final = "cancelled"
_ESTIMATED: Final = Note.of(NoteCode.USAGE_ESTIMATED)


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayOptions:
    """What the gateway is told; durations are seconds."""

    default_model: str
    default_mode: AskMode
    startup_timeout: float


@dataclass(slots=True, kw_only=True)
class Totals:
    """Plain counters of all exchanges since the start."""

    requests: int = 0
    success: int = 0
    error: int = 0
    cancelled: int = 0
    tokens_estimated: int = 0


class Gateway:
    """Takes requests to engines.

    Args:
        registry: the pool.
        admission: the door.
        options: see `GatewayOptions`.
        clock: seconds, monotonic.
        on_record: told of each finished exchange.
    """

    def __init__(
        self,
        registry: Registry,
        admission: Admission,
        options: GatewayOptions,
        *,
        clock: Clock,
        on_record: Callable[[Record], None],
    ) -> None:
        self.registry = registry
        self.admission = admission
        self.totals = Totals()
        self._options = options
        self._clock = clock
        self._on_record = on_record
        self._open: set[Exchange] = set()

    @asynccontextmanager
    async def open(
        self, request: ChatRequest, *, request_id: str, protocol: str, caller: str
    ) -> AsyncIterator[Exchange]:
        """Run `request` for the length of this context.

        Raises:
            LingmaError: nothing was sent yet: the door is closed, no engine is ready, or the
                engine refused. Later failures are events.
        """
        keeper = RecordKeeper(request_id, caller=caller, protocol=protocol, clock=self._clock)
        keeper.model = request.model
        exchange: Exchange | None = None
        end = ErrorKind.INTERNAL.value
        try:
            async with self.admission.ticket():
                keeper.queued = keeper.now()
                await self.registry.wait_ready(self._options.startup_timeout)
                with self.registry.lease() as slot:
                    resolved = self._resolve(request, slot)
                    keeper.leased, keeper.model = keeper.now(), resolved.model
                    keeper.attempts.append(
                        Attempt(engine=slot.engine.name, generation=slot.generation)
                    )
                    async with slot.engine.ask(resolved) as ask:
                        exchange = Exchange(resolved, ask, keeper)
                        self._open.add(exchange)
                        yield exchange
                    slot.answered += isinstance(exchange.end, Finished)
            end = _CANCELLED
        except asyncio.CancelledError:
            end = _CANCELLED
            raise
        except LingmaError as error:
            end = error.kind.value
            self._mark_attempt(keeper, error)
            raise
        finally:
            if exchange is not None:
                self._open.discard(exchange)
                end = self._end_of(exchange, keeper) or end
            self._record(keeper, exchange, request, end)

    async def models(self) -> Sequence[Model]:
        """Return the live list of all engines that are ready, each key once.

        Raises:
            LingmaError: no engine is ready, or none answers.
        """
        await self.registry.wait_ready(self._options.startup_timeout)
        with self.registry.lease() as slot:
            models = await slot.engine.refresh_models()
        return tuple({model.key: model for model in models}.values())

    async def drain(self) -> None:
        """Let no new request in and return when the last one has left."""
        self.admission.close()
        await self.admission.empty()

    def abort(self, error: LingmaError) -> None:
        """End every exchange under way, and every wait for an engine, with `error`."""
        self.registry.close(error)
        for exchange in list(self._open):
            exchange.abort(error)

    def _resolve(self, request: ChatRequest, slot: Slot) -> ChatRequest:
        resolved = resolve_model(
            request,
            slot.engine.models,
            default=self._options.default_model,
            default_mode=self._options.default_mode,
        )
        if slot.engine.reports_usage:
            return resolved
        return replace(resolved, notes=(*resolved.notes, _ESTIMATED))

    def _mark_attempt(self, keeper: RecordKeeper, error: LingmaError) -> None:
        if keeper.attempts:
            keeper.attempts[-1] = replace(keeper.attempts[-1], error=error.kind.value)

    def _end_of(self, exchange: Exchange, keeper: RecordKeeper) -> str | None:
        match exchange.end:
            case Finished(reason=reason):
                return reason.value
            case Failed(error=error):
                self._mark_attempt(keeper, error)
                return error.kind.value
            case None:
                return None

    def _record(
        self, keeper: RecordKeeper, exchange: Exchange | None, request: ChatRequest, end: str
    ) -> None:
        notes = exchange.notes if exchange is not None else request.notes
        usage = exchange.usage if exchange is not None else None
        record = keeper.finish(end, notes, usage)
        self._count(record, exchange)
        self._on_record(record)

    def _count(self, record: Record, exchange: Exchange | None) -> None:
        totals = self.totals
        totals.requests += 1
        if exchange is not None and isinstance(exchange.end, Finished):
            totals.success += 1
        elif record.end == _CANCELLED:
            totals.cancelled += 1
        else:
            totals.error += 1
        if record.usage is not None:
            totals.tokens_estimated += record.usage.input_tokens + record.usage.output_tokens


def log_record(record: Record) -> None:
    """Write one line about a finished exchange."""
    _log.info("%s %s", record.protocol, record.end, extra={"values": _flat(record)})


def _flat(record: Record) -> dict[str, Any]:
    timings, usage = record.timings, record.usage
    seconds = {
        "queued_s": timings.queued,
        "leased_s": timings.leased,
        "first_event_s": timings.first_event,
        "total_s": timings.total,
    }
    return {
        "caller": record.caller,
        "model": record.model,
        "engine": record.engine,
        "end": record.end,
        "notes": ",".join(codes(record.notes)),
        "attempts": len(record.attempts),
        "reuse": record.reuse,
        "input_tokens": usage.input_tokens if usage else None,
        "output_tokens": usage.output_tokens if usage else None,
    } | {name: round(value, 4) for name, value in seconds.items() if value is not None}
