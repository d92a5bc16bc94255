"""`/v1/management`: the engines of the pool, looked at and changed.

Source: SAGE's gateway, "control plane"; what is ours beyond it stands in `docs/control-plane.md`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal, Protocol, runtime_checkable

import msgspec
from starlette.requests import Request
from starlette.types import ASGIApp

from lingma_cli.control.persisted import HttpEntry, Id, Labels, ManagedEntry, Text
from lingma_cli.control.registry import Slot
from lingma_cli.core.address import Address
from lingma_cli.core.loopback import is_loopback
from lingma_cli.engines.gpu import Gpus, find_nvml, gpus_as_json, read_gpus
from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.metrics.page import totals_as_json
from lingma_cli.protocols.fields import convert, invalid
from lingma_cli.server.bodies import read_object
from lingma_cli.server.doors import caller_of
from lingma_cli.server.engine_views import backends, engine_info, started
from lingma_cli.server.house import House
from lingma_cli.server.replies import JSON, body_app, json_app

BASE: Final = "/v1/management"
_LINES: Final = 100
_MOST_LINES: Final = 10_000
_LONGEST_DRAIN: Final = 86_400.0
_GIB: Final = 1024**3
_POLICY: Final = "affinity"
_TRUE: Final = frozenset({"", "1", "true", "yes", "on"})
_audit: Final = logging.getLogger("lingma_cli.audit")

Kind = Literal["llm", "embedding"]
Count = Annotated[int, msgspec.Meta(ge=0, le=1_000_000)]
Word = Annotated[str, msgspec.Meta(min_length=1, max_length=4096)]
# Not `$`, which lets a line end through.
Host = Annotated[
    str, msgspec.Meta(pattern=r"^(\[[0-9A-Fa-f:.]+\]|[0-9A-Za-z._-]+|[0-9A-Fa-f:]+)\Z")
]
Port = Annotated[int, msgspec.Meta(ge=1, le=65_535)]


@runtime_checkable
class Printing(Protocol):
    """An engine whose server's output is kept."""

    def last_lines(self, count: int) -> Sequence[str]:
        """Return the last lines of it without secrets; blocks."""
        ...


@runtime_checkable
class ListsRaw(Protocol):
    """An engine that shows its list of models as it gives it."""

    async def raw_models(self) -> bytes:
        """Ask for the list now, and return it as JSON.

        Raises:
            LingmaError: the engine is away, or does not answer in time.
        """
        ...


class Start(msgspec.Struct, kw_only=True):
    """The body that asks for a managed engine; `template`, `engine_id` are ours.

    `engine_kind` and `instance_type` say the same in two ways; see `_kind`.
    """

    model_id: Word
    host: str = "localhost"
    port: Port | None = None
    engine_kind: Kind | None = None
    engine_label: Text | None = None
    engine_id: Id | None = None
    template: Word = "llama.cpp"
    metadata: dict[str, Any] | None = None
    max_concurrent_requests: Count | None = None
    tensor_parallel_size: int = 1
    pipeline_parallel_size: int = 1
    instance_type: str = "GENERAL"
    required_memory_gb: float | None = None
    extra_args: list[Text] | None = None
    use_gpu: bool | None = None


class Register(msgspec.Struct, kw_only=True):
    """The body that names an engine that runs already; the last two are ours."""

    engine_id: Id
    model_id: Text
    host: Host
    port: Port
    engine_kind: Kind = "llm"
    metadata: dict[str, Any] | None = None
    max_concurrent_requests: Count | None = None
    api_key_ref: Text = ""


class Thaw(msgspec.Struct, kw_only=True):
    """The body that names whose rest is to end; one of both."""

    account: Word | None = None
    engine: Word | None = None


def audit(request: Request, what: str, engine: str) -> None:
    """Log one change: who made it, what it is, of which engine."""
    _audit.info("%s", what, extra={"values": {"by": caller_of(request), "engine": engine}})


def _labels(metadata: dict[str, Any] | None) -> dict[str, str]:
    """Return labels; values that are no text become JSON."""
    texts = {
        key: value if isinstance(value, str) else msgspec.json.encode(value).decode()
        for key, value in (metadata or {}).items()
    }
    return convert(texts, Labels, at="metadata")


def foreign_url(request: Request, url: str, param: str) -> str:
    """Return a worker URL as the fleet keeps it.

    Raises:
        LingmaError: it is none, or this server's own: a request would never end.
    """
    try:
        address = Address.parse(url)
    except LingmaError as error:
        raise LingmaError(
            ErrorKind.INVALID_REQUEST, error.message, hint=error.hint, param=param
        ) from None
    if address.is_at(*own_place(request)):
        raise invalid("an engine cannot be this server itself", param=param)
    return address.root


def own_place(request: Request) -> tuple[str, int]:
    """Return where this server was reached."""
    host, port = request.scope.get("server") or ("127.0.0.1", 0)
    return str(host), int(port or 0)


class ManagementRoutes:
    """The handlers of `/v1/management` and what lies below it.

    Args:
        house: what every handler needs.
    """

    def __init__(self, house: House) -> None:
        self._house = house
        self._fleet = house.fleet

    # looking

    async def map(self, _: Request) -> ASGIApp:
        """Tell what there is."""
        paths = (
            *("engines", "engines/start", "engines/register", "engines/prune"),
            *("backends", "gpu", "status", "thaw"),
        )
        one = ("stop", "drain", "restart", "logs")
        endpoints = {path.replace("/", "_"): f"{BASE}/{path}" for path in paths}
        endpoints |= {f"engine_{path}": f"{BASE}/engines/{{engine_id}}/{path}" for path in one}
        return json_app(
            {"service": "lingma control plane", "status": "available", "endpoints": endpoints}
        )

    async def engines(self, _: Request) -> ASGIApp:
        """List all engines."""
        engines = self._infos()
        return json_app({"engines": engines, "count": len(engines)})

    async def backends(self, request: Request) -> ASGIApp:
        """List all engines as addresses for clients."""
        registry, now = self._fleet.registry, self._house.wall_clock()
        return json_app(backends(registry, own_place(request), now))

    async def gpu(self, _: Request) -> ASGIApp:
        """List the GPUs."""
        return json_app(gpus_as_json(await _gpus()))

    async def status(self, _: Request) -> ASGIApp:
        """Tell everything at once."""
        gateway, engines = self._house.gateway, self._infos()
        slots = self._fleet.registry.slots
        owned = {slot.id for slot in slots if isinstance(slot.entry, ManagedEntry)}
        return json_app(
            {
                "control_plane": {
                    "running": True,
                    "scheduling_policy": "fifo",
                    "routing_strategy": self._policy(),
                    "pending_requests": gateway.admission.queued,
                    "running_requests": gateway.admission.in_flight,
                    "registered_instances": len(slots),
                    "available_instances": sum(slot.is_free for slot in slots),
                    "metrics": totals_as_json(gateway.tallies.totals),
                },
                "gpu": gpus_as_json(await _gpus())["gpus"],
                "engines": engines,
                "managed_instances": [one for one in engines if one["engine_id"] in owned],
                "resource_reservations": [],
            }
        )

    async def logs(self, request: Request) -> ASGIApp:
        """Return the last lines that a managed server has printed."""
        slot, given = self._slot(request), request.query_params.get("lines", str(_LINES))
        if not given.isascii() or not given.isdigit() or not 1 <= int(given[:9]) <= _MOST_LINES:
            raise invalid(f"a number from 1 to {_MOST_LINES} is needed", param="lines")
        engine = slot.engine
        if not isinstance(engine, Printing):
            raise LingmaError(
                ErrorKind.NOT_FOUND, f"the engine `{slot.id}` has no log of its own here"
            )
        lines = await asyncio.to_thread(engine.last_lines, int(given))
        return json_app({"engine_id": slot.id, "lines": list(lines)})

    async def raw_models(self, request: Request) -> ASGIApp:
        """Return the list of models as an engine gives it; `instance` names which."""
        name, slots = request.query_params.get("instance", ""), self._fleet.registry.slots
        if not name and not slots:
            return json_app({})
        if not name and len(slots) > 1:
            raise LingmaError(
                ErrorKind.INVALID_REQUEST,
                "there are several instances",
                hint="name one with `?instance=NAME`",
            )
        engine = (self._fleet.registry.find(name) if name else slots[0]).engine
        if not isinstance(engine, ListsRaw):
            raise LingmaError(ErrorKind.NOT_FOUND, f"the engine `{engine.name}` shows no raw list")
        return body_app(await engine.raw_models(), JSON)

    # changing

    async def start(self, request: Request) -> ASGIApp:
        """Start a server and take it into the pool."""
        self._house.check_trust("start programs")
        asked = convert(await read_object(request, self._house.body_limit), Start)
        _check_honoured(asked)
        if asked.required_memory_gb is not None:
            _check_memory(await _gpus(), asked.required_memory_gb)
        label, kind = asked.engine_label or "", _kind(asked)
        entry = ManagedEntry(
            id=asked.engine_id or self._fleet.new_id(kind, label or asked.model_id),
            template=asked.template,
            model=asked.model_id,
            kind=kind,
            label=label,
            port=asked.port or 0,
            limit=asked.max_concurrent_requests or 0,
            extra=tuple(asked.extra_args or ()),
            labels=_labels(asked.metadata),
        )
        slot = await self._fleet.add(entry)
        audit(request, "engine started", slot.id)
        return json_app(started(slot, self._house.wall_clock()))

    async def register(self, request: Request) -> ASGIApp:
        """Take a server into the pool that somebody else runs."""
        asked = convert(await read_object(request, self._house.body_limit), Register)
        if asked.api_key_ref:
            self._house.check_trust("look for keys")
        host = f"[{asked.host}]" if ":" in asked.host and asked.host[0] != "[" else asked.host
        entry = HttpEntry(
            id=asked.engine_id,
            url=foreign_url(request, f"http://{host}:{asked.port}", "host"),
            model=asked.model_id,
            kind=asked.engine_kind,
            api_key_ref=asked.api_key_ref,
            limit=asked.max_concurrent_requests or 0,
            labels=_labels(asked.metadata),
        )
        slot = await self._fleet.add(entry)
        audit(request, "engine registered", slot.id)
        return json_app(self._info(slot))

    async def stop(self, request: Request) -> ASGIApp:
        """Stop an engine: at once, or with `drain` after its answers under way."""
        drains = request.query_params.get("drain", "false").lower() in _TRUE
        return await self._stopped(request, drains=drains)

    async def drain(self, request: Request) -> ASGIApp:
        """Stop an engine after its answers under way."""
        return await self._stopped(request, drains=True)

    async def restart(self, request: Request) -> ASGIApp:
        """Start an engine again."""
        slot = await self._fleet.restart(self._slot(request).id)
        audit(request, "engine restarted", slot.id)
        return json_app({"engine_id": slot.id, "restarted": True, "status": slot.state.name})

    async def prune(self, request: Request) -> ASGIApp:
        """Forget what has stopped or failed."""
        count = await self._fleet.prune()
        audit(request, f"engines pruned: {count}", "-")
        return json_app({"pruned_count": count, "status": "success"})

    async def thaw(self, request: Request) -> ASGIApp:
        """End the rest of an engine, or of an account's engines."""
        asked = convert(await read_object(request, self._house.body_limit), Thaw)
        if (asked.account is None) == (asked.engine is None):
            raise invalid("either an account or an engine is needed", param="account")
        count = self._fleet.thaw(engine=asked.engine, account=asked.account)
        audit(request, "engine thawed", asked.engine or asked.account or "")
        return json_app({"thawed_count": count, "status": "success"})

    def _policy(self) -> str:
        slots = self._fleet.registry.slots
        return self._house.policy or (slots[0].policy if slots else _POLICY)

    async def _stopped(self, request: Request, *, drains: bool) -> ASGIApp:
        slot = self._slot(request)
        within = _seconds(request.query_params.get("timeout")) if drains else 0.0
        await self._fleet.stop(slot.id, within=within)
        audit(request, "engine drained" if drains else "engine stopped", slot.id)
        told = {"drained": True} if drains else {}
        return json_app({"engine_id": slot.id, "stopped": True, "status": slot.state.name, **told})

    def _slot(self, request: Request) -> Slot:
        return self._fleet.registry.find(request.path_params["engine_id"])

    def _info(self, slot: Slot) -> dict[str, Any]:
        return engine_info(slot, self._house.wall_clock())

    def _infos(self) -> list[dict[str, Any]]:
        return [self._info(slot) for slot in self._fleet.registry.slots]


def _seconds(given: str | None) -> float | None:
    try:
        seconds = None if given is None else float(given)
    except ValueError:
        seconds = -1.0
    # Whatever is compared with a NaN is false.
    if seconds is not None and not 0 <= seconds <= _LONGEST_DRAIN:
        raise invalid(f"seconds from 0 to {_LONGEST_DRAIN:.0f} are needed", param="timeout")
    return seconds


async def _gpus() -> Gpus:
    return await asyncio.to_thread(lambda: read_gpus(find_nvml()))


def _check_honoured(asked: Start) -> None:
    """Refuse what would otherwise be passed over without a word."""
    if not is_loopback(asked.host):
        raise invalid("engines are started on this machine only", param="host")
    usual = {"tensor_parallel_size": 1, "pipeline_parallel_size": 1, "use_gpu": None}
    for name, value in usual.items():
        if getattr(asked, name) != value:
            raise invalid("servers differ in this: say it to yours in `extra_args`", param=name)
    if asked.instance_type not in {"GENERAL", "EMBEDDING"}:
        raise invalid("only GENERAL and EMBEDDING are known", param="instance_type")


def _kind(asked: Start) -> Kind:
    """Return what an engine is to be for."""
    if asked.instance_type != "EMBEDDING":
        return asked.engine_kind or "llm"
    if asked.engine_kind == "llm":
        raise invalid("an `llm` is not for embeddings", param="instance_type")
    return "embedding"


def _check_memory(gpus: Gpus, gib: float) -> None:
    most = max((gpu.memory_free or 0 for gpu in gpus.gpus), default=0)
    if most < gib * _GIB:
        raise LingmaError(
            ErrorKind.CONFLICT,
            f"no GPU has {gib:g} GiB free, but {most / _GIB:.1f}",
            hint=gpus.message or "see `lingma gpu`",
        )
