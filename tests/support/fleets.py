"""Fleets of scripted engines: their entries on a real disk, their lives under a real supervisor."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lingma_cli.control.fleet import Fleet
from lingma_cli.control.persisted import Entry, PersistedEngines
from lingma_cli.control.registry import Registry, Slot
from lingma_cli.control.supervisor import Supervisor
from lingma_cli.engines.base import Engine
from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.secret import Secret
from tests.support.scripted_engine import ScriptedEngine


def idle_fleet(registry: Registry) -> Fleet:
    """Return a fleet for tests that do not change it: nothing runs, no file is touched."""
    return Fleets(Path("nowhere"), registry=registry).fleet


class Fleets:
    """A fleet with all that it stands on.

    Attributes:
        made: what was built, by id.
        keys: those that are kept for this run.
        unfit: ids that cannot be built.
        engines: takes the place of a scripted engine, by id.
    """

    def __init__(
        self,
        folder: Path,
        *slots: Slot,
        registry: Registry | None = None,
        unfit: Sequence[str] = (),
        remembers: bool = True,
    ) -> None:
        self.path = folder / "state" / "engines.json"
        self.registry = registry or Registry(slots)
        self.supervisor = Supervisor(self.registry, on_trouble=lambda _: None, jitter=lambda: 1.0)
        self.made: dict[str, Slot] = {}
        self.keys: dict[str, Secret] = {}
        self.unfit = set(unfit)
        self.engines: dict[str, Engine] = {}
        self.fleet = Fleet(
            self.supervisor,
            self.kept,
            self._make,
            keep_key=self._keep_key,
            drain_seconds=30.0,
            remembers=remembers,
        )

    @property
    def kept(self) -> PersistedEngines:
        """The file, as a new process would see it."""
        return PersistedEngines(self.path, warn=lambda _: None)

    @property
    def ids(self) -> list[str]:
        """The engines on disk."""
        return [entry.id for entry in self.kept.all()]

    def _make(self, entry: Entry) -> Slot:
        if entry.id in self.unfit:
            raise LingmaError(ErrorKind.USAGE, "it cannot be built")
        engine = self.engines.get(entry.id) or ScriptedEngine(name=entry.id)
        slot = self.made[entry.id] = Slot(
            engine=engine, id=entry.id, kind=entry.kind, limit=entry.limit
        )
        return slot

    def _keep_key(self, id_: str, key: Secret | None) -> None:
        if key is None:
            self.keys.pop(id_, None)
        else:
            self.keys[id_] = key
