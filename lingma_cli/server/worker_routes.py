"""`/workers`, and the older `/add_worker`, `/list_workers`, `/remove_worker`.

Sources: the SGLang model gateway and the slime router. They are views of the one pool; what differs
from the sources stands in `docs/control-plane.md`.
"""

from __future__ import annotations

from typing import Any, Final, Literal

import msgspec
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from lingma_cli.control.fleet import Fleet, url_of
from lingma_cli.control.lifecycle import LEAVING
from lingma_cli.control.persisted import HttpEntry, Id, Labels, Text
from lingma_cli.control.registry import Slot
from lingma_cli.core.address import Address
from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.protocols.fields import convert
from lingma_cli.secret import Secret
from lingma_cli.server.bodies import read_object
from lingma_cli.server.engine_views import worker, worker_id, worker_url, workers
from lingma_cli.server.house import House
from lingma_cli.server.management_routes import (
    Count,
    Kind,
    Word,
    audit,
    foreign_url,
)
from lingma_cli.server.replies import json_app

_ADDED: Final = "Worker addition queued for background processing"
_KEY_OF_RUN: Final = (
    "; its key is kept in memory until this server ends: for later runs, add the worker with "
    "`api_key_ref` instead"
)
_OF_RUN: Final = "; it is not remembered, because this server asks nobody for an admin token"


class Add(msgspec.Struct, kw_only=True):
    """The body that names a worker; `engine_id` and what follows it are ours."""

    url: Word
    api_key: Word | None = None
    model_id: Text | None = None
    worker_type: Literal["regular"] = "regular"
    priority: int | None = None
    cost: float | None = None
    labels: Labels | None = None
    engine_id: Id | None = None
    kind: Kind = "llm"
    api_key_ref: Text = ""
    max_concurrent_requests: Count | None = None


class Change(msgspec.Struct, kw_only=True):
    """The body that changes a worker; the last one is ours."""

    priority: int | None = None
    cost: float | None = None
    labels: Labels | None = None
    max_concurrent_requests: Count | None = None


class Named(msgspec.Struct, kw_only=True):
    """The body of the older routes."""

    url: Word | None = None
    worker_url: Word | None = None


class WorkerRoutes:
    """The handlers of all of them.

    Args:
        house: what every handler needs.
    """

    def __init__(self, house: House) -> None:
        self._house = house
        self._fleet: Fleet = house.fleet

    # SGLang

    async def list(self, _: Request) -> ASGIApp:
        """List all workers."""
        return json_app(workers(self._fleet.registry, self._house.wall_clock()))

    async def get(self, request: Request) -> ASGIApp:
        """Return one worker."""
        return json_app(self._shown(self._meant(request)))

    async def add(self, request: Request) -> ASGIApp:
        """Take a server into the pool that somebody else runs."""
        asked = convert(await read_object(request, self._house.body_limit), Add)
        if asked.api_key_ref:
            self._house.check_trust("look for keys")
        key = Secret(asked.api_key) if asked.api_key is not None else None
        labels = {**(asked.labels or {}), **_numbers(asked.priority, asked.cost)}
        url = foreign_url(request, asked.url, "url")
        entry = HttpEntry(
            id=asked.engine_id or self._fleet.new_id(asked.kind, url),
            url=url,
            model=asked.model_id or "",
            kind=asked.kind,
            api_key_ref=asked.api_key_ref,
            limit=asked.max_concurrent_requests or 0,
            labels=labels,
        )
        slot = await self._fleet.add(entry, api_key=key)
        audit(request, "worker added", slot.id)
        id_ = worker_id(slot)
        location = f"/workers/{id_}"
        told = {
            "status": "accepted",
            "worker_id": id_,
            "url": url,
            "location": location,
            "message": _ADDED + _caveat(slot, key),
            "remembered": slot.is_remembered,
        }
        return json_app(told, 202, [(b"location", location.encode())])

    async def change(self, request: Request) -> ASGIApp:
        """Change what is kept of a worker."""
        slot = self._meant(request)
        asked = convert(await read_object(request, self._house.body_limit), Change)
        labels = {**(asked.labels or {}), **_numbers(asked.priority, asked.cost)}
        await self._fleet.change(
            slot.id, limit=asked.max_concurrent_requests, labels=labels or None
        )
        audit(request, "worker changed", slot.id)
        told = {"status": "accepted", "worker_id": worker_id(slot), "message": "Worker updated"}
        return json_app(told, 202)

    async def remove(self, request: Request) -> ASGIApp:
        """Forget a worker; its answers under way may end after this one."""
        slot = await self._fleet.forget(self._meant(request).id)
        audit(request, "worker removed", slot.id)
        told = {
            "status": "accepted",
            "worker_id": worker_id(slot),
            "message": "Worker removal queued for background processing",
        }
        return self._and_end(slot, json_app(told, 202))

    # slime

    async def add_by_url(self, request: Request) -> ASGIApp:
        """Take a server into the pool, if it is not there."""
        url = await self._named(request)
        root = foreign_url(request, url, "url")
        if not self._has(root):
            entry = HttpEntry(id=self._fleet.new_id("llm", root), url=root)
            try:
                slot = await self._fleet.add(entry)
            except LingmaError:
                # Somebody else may have added it meanwhile.
                if not self._has(root):
                    raise
            else:
                audit(request, "worker added", slot.id)
        return json_app({"status": "success", "worker_urls": self._loads()})

    async def urls(self, _: Request) -> ASGIApp:
        """List the URLs of all workers that have one."""
        return json_app({"urls": list(self._loads())})

    async def remove_by_url(self, request: Request) -> ASGIApp:
        """Forget a worker; its answers under way may end after this one."""
        url = await self._named(request)
        wanted = {url, _root(url)}
        slots = self._fleet.registry.slots
        found = next((slot for slot in slots if worker_url(slot) in wanted), None)
        if found is None:
            raise _unknown(url)
        slot = await self._fleet.forget(found.id)
        audit(request, "worker removed", slot.id)
        left = {one: load for one, load in self._loads().items() if one != url_of(slot)}
        return self._and_end(slot, json_app({"status": "success", "worker_urls": left}))

    # inside

    def _loads(self) -> dict[str, int]:
        slots = [slot for slot in self._fleet.registry.slots if slot.state not in LEAVING]
        return {url: slot.in_flight for slot in slots if (url := url_of(slot))}

    def _has(self, root: str) -> bool:
        return any(url_of(slot) == root for slot in self._fleet.registry.slots)

    async def _named(self, request: Request) -> str:
        """Return the URL in the query, else in the body."""
        query = request.query_params
        url = query.get("url") or query.get("worker_url")
        if not url:
            body = convert(await read_object(request, self._house.body_limit), Named)
            url = body.url or body.worker_url
        if not url:
            raise LingmaError(
                ErrorKind.INVALID_REQUEST,
                "worker_url is required (use query ?url=... or JSON body)",
            )
        return url

    def _meant(self, request: Request) -> Slot:
        """Return the slot whose UUID, id or name stands in the path."""
        name = request.path_params["worker_id"]
        for slot in self._fleet.registry.slots:
            if name in (worker_id(slot), slot.id, slot.engine.name):
                return slot
        raise _unknown(name)

    def _shown(self, slot: Slot) -> dict[str, Any]:
        return worker(slot, self._house.wall_clock())

    def _and_end(self, slot: Slot, answer: ASGIApp) -> ASGIApp:
        """Return an answer after which a forgotten engine is ended."""

        async def reply(scope: Scope, receive: Receive, send: Send) -> None:
            try:
                await answer(scope, receive, send)
            finally:
                # Whether the client took the answer or not.
                await self._fleet.end(slot)

        return reply


def _numbers(priority: int | None, cost: float | None) -> dict[str, str]:
    given = {"priority": priority, "cost": cost}
    return {name: str(value) for name, value in given.items() if value is not None}


def _caveat(slot: Slot, key: Secret | None) -> str:
    """Return what whoever adds a worker must know of later runs."""
    if not slot.is_remembered:
        return _OF_RUN
    return _KEY_OF_RUN if key is not None else ""


def _root(url: str) -> str:
    try:
        return Address.parse(url).root
    except LingmaError:
        # One without an address of its own has a name that looks like a URL.
        return url


def _unknown(name: str) -> LingmaError:
    return LingmaError(ErrorKind.NOT_FOUND, f"Worker {name[:200]} not found")
