"""Engines that come and go while the server runs, in the pool and on disk in one step.

What was added at run time is written down before it is started, and forgotten before it is ended,
so that the disk never promises less or more than was asked for. Must not know what kinds of
engines there are: callables of the composition root make them.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import Any, Final, Protocol, runtime_checkable
from urllib.parse import urlsplit

import msgspec

from lingma_cli.control.lifecycle import ENDED
from lingma_cli.control.persisted import Entry, HttpEntry, ManagedEntry, PersistedEngines
from lingma_cli.control.registry import EngineState, Registry, Slot
from lingma_cli.control.supervisor import Supervisor
from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.secret import Secret

_log: Final = logging.getLogger(__name__)
_BY_HAND: Final = "it was stopped by hand"
_NOT_IN_ID: Final = re.compile(r"[^0-9A-Za-z._-]+")
_LONGEST_ID: Final = 56

KeepKey = Callable[[str, Secret | None], None]
"""Keeps the key of an engine, by its id, for this run; forgets it if there is none."""


class Root(Protocol):
    """An address; `root` is a URL without `/v1` and without a slash at the end."""

    @property
    def root(self) -> str:
        """See above."""
        ...


@runtime_checkable
class Located(Protocol):
    """An engine that others could reach too."""

    @property
    def address(self) -> Root:
        """Where."""
        ...


def url_of(slot: Slot) -> str:
    """Return where an engine is, without `/v1`; empty if it has no address, or none yet."""
    # One of ours may have no port before its first life.
    if isinstance(slot.engine, Located) and (slot.generation or not slot.is_owned):
        return slot.engine.address.root
    return slot.entry.url if isinstance(slot.entry, HttpEntry) else ""


def derive_id(kind: str, source: str, taken: Collection[str]) -> str:
    """Return an id that is stable, readable and free: `llm-127.0.0.1-8080`, `llm-tiny.gguf-2`.

    Args:
        kind: `llm` or `embedding`.
        source: a URL, a label, or a model's name or file.
        taken: ids that others have.
    """
    if "://" in source:
        # Everybody may see ids; a path can tell more than where an engine is.
        source = urlsplit(source).netloc.rpartition("@")[2]
    else:
        source = re.split(r"[/\\]", source.rstrip("/\\"))[-1]
    words = f"{kind}-{_NOT_IN_ID.sub('-', source).strip('-')}"[:_LONGEST_ID].rstrip("-")
    wanted, number = words, 1
    while wanted in taken:
        number += 1
        wanted = f"{words}-{number}"
    return wanted


class Fleet:
    """The engines of a pool, for those who change which there are.

    Args:
        supervisor: keeps them running.
        persisted: those that were added at run time; read and written in threads.
        make: builds one from what is kept of it; nothing is started by that.
        keep_key: see `KeepKey`; told before `make` is called.
        drain_seconds: for the last answers of an engine that is to stop.
        remembers: whether what is added is written down; else it counts for this run only.
    """

    def __init__(
        self,
        supervisor: Supervisor,
        persisted: PersistedEngines,
        make: Callable[[Entry], Slot],
        *,
        keep_key: KeepKey,
        drain_seconds: float,
        remembers: bool = True,
    ) -> None:
        self._supervisor = supervisor
        self._persisted = persisted
        self._make = make
        self._keep_key = keep_key
        self._drain_seconds = drain_seconds
        self._remembers = remembers
        # One change at a time: what is checked must hold until it is written.
        self._lock = asyncio.Lock()
        self._leaving: set[Slot] = set()

    @property
    def registry(self) -> Registry:
        """The pool."""
        return self._supervisor.registry

    def restore(self) -> None:
        """Take in all engines that are kept on disk; blocks, so before the server starts.

        One that cannot be built any more, or whose place is taken by now, is passed over with a
        warning, and stays on disk.

        Raises:
            LingmaError: the file cannot be read.
        """
        for entry in self._persisted.all():
            try:
                slot = self._made(entry, is_remembered=True)
                self._check_place(slot, entry)
                self.registry.add(slot)
            except LingmaError as error:
                _log.warning("engine %s is left out: %s", entry.id, error)

    def new_id(self, kind: str, source: str) -> str:
        """Return a free id; see `derive_id`."""
        return derive_id(kind, source, self._names())

    # coming

    async def add(self, entry: Entry, *, api_key: Secret | None = None) -> Slot:
        """Write an engine down, if that is done here, and start it.

        Args:
            entry: what is kept of it.
            api_key: its key, for this run only: the disk gets none.

        Raises:
            LingmaError: its id, URL or port is taken, it cannot be built, or not be written down;
                nothing runs then.
        """
        async with self._lock:
            if entry.id in self._names():
                raise _taken("of this name", entry.id)
            self._keep_key(entry.id, api_key)
            try:
                # What names its key may be a file.
                make = partial(self._made, entry, is_remembered=self._remembers)
                slot = await asyncio.to_thread(make)
                self._check_place(slot, entry)
                if self._remembers:
                    await asyncio.to_thread(self._persisted.put, entry)
            except BaseException:
                self._keep_key(entry.id, None)
                raise
            self._supervisor.add(slot)
            return slot

    def join(self, slot: Slot) -> None:
        """Start an engine of an account; nothing is written down.

        Raises:
            LingmaError: its name is taken.
        """
        self._supervisor.add(slot)

    def _made(self, entry: Entry, *, is_remembered: bool) -> Slot:
        slot = self._make(entry)
        slot.entry, slot.is_remembered = entry, is_remembered
        if entry.stopped:
            slot.state, slot.reason = EngineState.STOPPED, _BY_HAND
        return slot

    def _check_place(self, slot: Slot, entry: Entry) -> None:
        if slot.engine.name in self._names():
            raise _taken("of this name", slot.engine.name)
        for known in self.registry.slots:
            if isinstance(entry, HttpEntry) and url_of(known) == entry.url:
                raise _taken(f"at {entry.url}", known.id)
            if _port(entry) and _port(entry) == _port(known.entry):
                raise _taken(f"for port {_port(entry)}", known.id)

    def _names(self) -> set[str]:
        return {name for slot in self.registry.slots for name in (slot.id, slot.engine.name)}

    # going

    async def stop(self, name: str, *, within: float | None = None) -> Slot:
        """Drain an engine and stop it; it stays listed, and comes back stopped.

        Args:
            name: its id or name.
            within: seconds for its answers under way; what is usual unless given.

        Raises:
            LingmaError: there is none, or it cannot be written down.
        """
        slot = self.registry.find(name)
        async with self._lock:
            await self._write(slot, stopped=True)
            stopped = self._supervisor.drain(slot, self._seconds(within))
        await stopped
        return slot

    async def restart(self, name: str) -> Slot:
        """Start an engine again, be it one that runs, fails or was stopped.

        Raises:
            LingmaError: there is none, it is about to stop, or it cannot be written down.
        """
        slot = self.registry.find(name)
        async with self._lock:
            if slot.state is not EngineState.DRAINING:
                await self._write(slot, stopped=False)
            self._supervisor.restart(slot)
            if slot.state is EngineState.STOPPED:
                # Its task has not had its turn yet, and whoever looks should see what was done.
                self.registry.move(slot, EngineState.STARTING)
        return slot

    async def forget(self, name: str) -> Slot:
        """Take an engine off the disk; `end` does the rest.

        Raises:
            LingmaError: there is none, it did not come at run time, or the disk refuses.
        """
        slot = self.registry.find(name)
        if slot.entry is None:
            raise _not_ours(slot)
        async with self._lock:
            await self._erase(slot.entry.id, slot)
        return slot

    async def end(self, slot: Slot, *, within: float | None = None) -> None:
        """Drain an engine that is forgotten on disk, and take it out of the pool."""
        try:
            await self._supervisor.remove(slot, self._seconds(within))
        finally:
            self._leaving.discard(slot)
            self._keep_key(slot.id, None)

    async def remove(self, name: str, *, within: float | None = None) -> None:
        """Drain an engine and forget it, on disk too; see `forget` and `stop`."""
        await self.end(await self.forget(name), within=within)

    async def prune(self) -> int:
        """Forget the engines that came at run time and have stopped or failed; return how many."""
        pruned = 0
        for slot in self.registry.slots:
            async with self._lock:
                is_there = slot in self.registry.slots and slot not in self._leaving
                if slot.entry is None or not _is_over(slot) or not is_there:
                    continue
                await self._erase(slot.entry.id, slot)
            await self.end(slot, within=0.0)
            pruned += 1
        return pruned

    # what is told them

    async def change(
        self, name: str, *, limit: int | None = None, labels: Mapping[str, str] | None = None
    ) -> Slot:
        """Change what is kept of an engine; `None` leaves it as it is.

        Args:
            name: its id or name.
            limit: requests at a time, 0 for any number.
            labels: those that are to be set; others stay.

        Raises:
            LingmaError: there is none, it did not come at run time, or the disk refuses.
        """
        slot = self.registry.find(name)
        changes: dict[str, Any] = {} if limit is None else {"limit": limit}
        async with self._lock:
            if slot.entry is None:
                raise _not_ours(slot)
            if labels is not None:
                changes["labels"] = {**slot.entry.labels, **labels}
            await self._write(slot, **changes)
        if limit is not None:
            slot.limit = limit
            self.registry.wake()
        return slot

    def thaw(self, *, engine: str | None = None, account: str | None = None) -> int:
        """End the rest after a used-up quota or failures, and return for how many engines.

        Args:
            engine: the id or name of one.
            account: whose engines are meant, if none is named.

        Raises:
            LingmaError: there is none.
        """
        if engine is not None:
            meant = [self.registry.find(engine)]
        else:
            meant = [slot for slot in self.registry.slots if account and slot.account == account]
        if not meant:
            raise LingmaError(
                ErrorKind.NOT_FOUND,
                f"there is no engine of an account `{account or ''}`",
                hint="run `lingma engine list` for those that are there",
            )
        for slot in meant:
            slot.cooldown.thaw()
            slot.breaker.reset()
        self.registry.wake()
        return len(meant)

    # on disk, under the lock

    async def _write(self, slot: Slot, **changes: Any) -> None:
        """Change what is kept of an engine, if something is."""
        if slot in self._leaving:
            raise LingmaError(ErrorKind.CONFLICT, f"the engine `{slot.id}` is being removed")
        if slot.entry is None:
            return
        entry = msgspec.structs.replace(slot.entry, **changes)
        if entry != slot.entry and slot.is_remembered:
            await asyncio.to_thread(self._persisted.put, entry)
        slot.entry = entry

    async def _erase(self, id_: str, slot: Slot) -> None:
        """Forget an engine; from now on it cannot be changed."""
        if slot.is_remembered:
            await asyncio.to_thread(self._persisted.remove, id_)
        self._leaving.add(slot)

    def _seconds(self, within: float | None) -> float:
        return self._drain_seconds if within is None else within


def _is_over(slot: Slot) -> bool:
    """Tell whether an engine has stopped or failed, be it that it is just tried again."""
    has_failed = slot.generation == 0 and slot.last_error is not None
    return slot.state in ENDED or has_failed


def _port(entry: Entry | None) -> int:
    return entry.port if isinstance(entry, ManagedEntry) else 0


def _taken(what: str, by: str) -> LingmaError:
    return LingmaError(
        ErrorKind.CONFLICT,
        f"there is an engine {what} already: `{by}`",
        hint="see `lingma engine list`",
    )


def _not_ours(slot: Slot) -> LingmaError:
    return LingmaError(
        ErrorKind.CONFLICT,
        f"the engine `{slot.id}` was not added at run time",
        hint="it comes from an account or the settings file and goes with it; "
        "it can be stopped, drained and restarted",
    )
