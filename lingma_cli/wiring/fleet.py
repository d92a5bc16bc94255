"""Engines besides those of accounts: from the settings file, and those that come at run time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import msgspec

from lingma_cli.control.fleet import Fleet, derive_id
from lingma_cli.control.persisted import Entry, HttpEntry, ManagedEntry, PersistedEngines
from lingma_cli.control.registry import Slot
from lingma_cli.control.supervisor import Supervisor
from lingma_cli.core.address import Address
from lingma_cli.core.ids import random_hex
from lingma_cli.engines.base import Engine
from lingma_cli.engines.managed.templates import EngineKind, Launch, find_template
from lingma_cli.engines.openai_http.engine import OpenAiHttpEngine, OpenAiHttpOptions
from lingma_cli.engines.openai_http.pool import PoolOptions
from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.paths import private_folder
from lingma_cli.secret import Secret
from lingma_cli.settings import Settings
from lingma_cli.wiring.engine_keys import resolve_key
from lingma_cli.wiring.gateway import new_breaker, new_cooldown
from lingma_cli.wiring.managed import ManagedEngine, ManagedOptions
from lingma_cli.wiring.surroundings import Surroundings

# Whoever is away is asked again by the supervisor, ever more slowly.
_FIRST_ANSWER_SECONDS: Final = 5.0
_POLICY: Final = "cache_aware"


@dataclass(frozen=True, slots=True)
class SlotMaker:
    """Builds the slot of an engine from what is kept of it.

    Attributes:
        around: what engines are built from.
        keys: keys of this run, by id.
    """

    around: Surroundings
    keys: dict[str, Secret] = field(default_factory=dict)

    def keep_key(self, id_: str, key: Secret | None) -> None:
        """Keep an engine's key for this run; forget it if there is none. Its next life uses it."""
        self.keys.pop(id_, None)
        if key is not None:
            self.keys[id_] = key

    def __call__(self, entry: Entry) -> Slot:
        """Return a new slot; nothing is started.

        Raises:
            LingmaError: there is no such template, or the key cannot be found.
        """
        settings = self.around.settings
        return Slot(
            engine=self._http(entry) if isinstance(entry, HttpEntry) else self._managed(entry),
            id=entry.id,
            is_owned=isinstance(entry, ManagedEntry),
            limit=entry.limit,
            kind=entry.kind,
            policy=_POLICY,
            breaker=new_breaker(settings),
            cooldown=new_cooldown(settings),
        )

    def _http(self, entry: HttpEntry) -> Engine:
        options = OpenAiHttpOptions(
            url=entry.url,
            model=entry.model or None,
            find_key=partial(self._find_key, entry),
            environ=self.around.environ,
            startup_timeout=_FIRST_ANSWER_SECONDS,
            **_timeouts(self.around.settings),
        )
        return OpenAiHttpEngine(entry.id, options, random_hex)

    def _find_key(self, entry: HttpEntry) -> Secret | None:
        """Return the key as it is now: it may have been renewed since the last life."""
        key = self.keys.get(entry.id)
        if key is not None:
            return key
        return resolve_key(entry.api_key_ref, self.around.environ, self.around.paths)

    def _managed(self, entry: ManagedEntry) -> Engine:
        settings = self.around.settings
        options = ManagedOptions(
            launch=launch_of(entry, settings),
            folder=private_folder(self.around.paths.engine_folder(entry.id)),
            environ=self.around.environ,
            startup_timeout=settings.engine_startup_timeout,
            http=OpenAiHttpOptions(
                url="",
                environ=self.around.environ,
                startup_timeout=_FIRST_ANSWER_SECONDS,
                **_timeouts(settings),
            ),
        )
        return ManagedEngine(entry.id, options, random_hex)


def build_fleet(supervisor: Supervisor, around: Surroundings) -> Fleet:
    """Return what adds and removes engines, with those in the pool that were added before.

    Raises:
        LingmaError: they cannot be read.
    """
    maker = SlotMaker(around)
    fleet = Fleet(
        supervisor,
        PersistedEngines(around.paths.engines_file, warn=around.warn),
        maker,
        keep_key=maker.keep_key,
        drain_seconds=around.settings.engine_drain_timeout,
        remembers=around.is_guarded,
    )
    if around.serves_named:
        fleet.restore()
    return fleet


def engines_of_file(around: Surroundings) -> Iterator[Slot]:
    """Yield the engines that the settings name.

    Raises:
        LingmaError: one of them cannot be understood.
    """
    maker = SlotMaker(around)
    names: list[str] = []
    for place, table in enumerate(around.settings.engines):
        entry = _read_entry(place, table, names)
        if entry.id in names:
            raise _wrong("engines", f"the id `{entry.id}` is there twice")
        names.append(entry.id)
        yield maker(entry)


def launch_of(entry: ManagedEntry, settings: Settings) -> Launch:
    """Return what to start of what is kept of an engine.

    Raises:
        LingmaError: there is no such template.
    """
    return Launch(
        template=find_template(entry.template, templates_of(settings)),
        model=entry.model,
        kind=EngineKind(entry.kind),
        label=entry.label,
        port=entry.port,
        extra=entry.extra,
    )


def templates_of(settings: Settings) -> Mapping[str, Mapping[str, Any]]:
    """Return the user's own templates, by name.

    Raises:
        LingmaError: one has no name.
    """
    own: dict[str, Mapping[str, Any]] = {}
    for table in settings.engine_templates:
        name = table.get("name")
        if not isinstance(name, str) or not name:
            raise _wrong("engine_templates", "each table needs a `name`")
        own[name] = {key: value for key, value in table.items() if key != "name"}
    return own


def _timeouts(settings: Settings) -> dict[str, Any]:
    return {
        "rpc_timeout": settings.rpc_timeout,
        "first_event_timeout": settings.first_event_timeout,
        "idle_timeout": settings.idle_timeout,
        "pool": PoolOptions(
            idle_timeout=settings.pool_idle_timeout_secs,
            connect_timeout=settings.connect_timeout_secs,
            max_idle=settings.pool_max_idle_per_host,
            tcp_keepalive=settings.tcp_keepalive_secs,
        ),
    }


def _read_entry(place: int, table: Mapping[str, Any], taken: list[str]) -> Entry:
    shape: type[Entry] = HttpEntry if "url" in table else ManagedEntry
    known = set(shape.__struct_fields__) - {"stopped"}
    if unknown := sorted(set(table) - known):
        raise _wrong("engines", f"the table {place + 1} has an unknown key: `{unknown[0]}`")
    values = dict(table)
    if shape is HttpEntry:
        values["url"] = Address.parse(str(table["url"])).root
    source = str(table.get("label") or values.get("url") or table.get("model", ""))
    values.setdefault("id", derive_id(str(table.get("kind", "llm")), source, taken))
    try:
        return msgspec.convert(values, shape)
    except msgspec.ValidationError as error:
        raise _wrong("engines", f"the table {place + 1}: {error}") from None


def _wrong(key: str, what: str) -> LingmaError:
    return LingmaError(
        ErrorKind.USAGE,
        f"`{key}` in the settings: {what}",
        hint="see `docs/engines.md` for the form of these tables",
    )
