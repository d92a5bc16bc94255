"""The admin's routes around logins, without a server."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from starlette.requests import Request
from starlette.types import ASGIApp

from lingma_cli.auth.bundles.bundle import Bundle, from_text, unpack
from lingma_cli.control.logins import Logins, Post
from lingma_cli.control.registry import EngineState, Slot
from lingma_cli.core.login import LoginState
from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.server.house import House
from lingma_cli.server.login_routes import LoginRoutes
from tests.support import house
from tests.support.fleets import idle_fleet
from tests.support.scripted_engine import ScriptedEngine

ONE = Bundle(files={"id": b"i", "user": b"u"})


def routes(*logins: LoginState, is_guarded: bool = True, is_demo: bool = False) -> LoginRoutes:
    """Return the routes of a pool with these logins."""
    posts = []
    for place, login in enumerate(logins):
        engine = ScriptedEngine(name=f"inst-{place}")
        engine.login = login
        slot = Slot(engine=engine, account=f"a{place}", login_hint=f"do {place}")
        slot.state = EngineState.READY
        posts.append(Post(slot=slot, read=lambda: ONE, method="bundle"))
    gateway = house.House().gateway
    registry = gateway.registry
    for post in posts:
        registry.add(post.slot)

    def recruit(account: str) -> Post | None:
        if account != "late":
            return None
        slot = Slot(engine=ScriptedEngine(name="inst-9"), account=account)
        return Post(slot=slot, read=lambda: ONE, method="bundle")

    known = Logins(registry, posts, max_retry=0, on_trouble=lambda _: None, recruit=recruit)
    return LoginRoutes(
        House(
            gateway=gateway,
            fleet=idle_fleet(registry),
            logins=known,
            body_limit=1000,
            new_id=lambda: "id",
            wall_clock=lambda: 0.0,
            is_guarded=is_guarded,
            is_demo=is_demo,
        )
    )


def request(query: str = "") -> Request:
    return Request({"type": "http", "query_string": query.encode(), "headers": []})


def answer(app: ASGIApp) -> tuple[dict[bytes, bytes], Any]:
    """Return headers and body of a whole answer."""
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        raise AssertionError

    async def main() -> None:
        await app({"type": "http"}, receive, send)

    asyncio.run(main())
    return dict(sent[0]["headers"]), json.loads(sent[1]["body"])


def test_status_lists_every_login() -> None:
    """In the pool's order; what is not known is null."""
    _, body = answer(asyncio.run(routes(LoginState.IN, LoginState.OUT).status(request())))

    assert body["instances"] == [
        {
            "instance": "inst-0",
            "account": "a0",
            "state": "in",
            "method": "bundle",
            "tries": 0,
            "last_error": None,
            "next_step": None,
        },
        {
            "instance": "inst-1",
            "account": "a1",
            "state": "out",
            "method": "bundle",
            "tries": 0,
            "last_error": None,
            "next_step": "do 1",
        },
    ]


def test_start_tells_the_state_of_the_one_that_is_meant() -> None:
    """By account or instance."""
    pool = routes(LoginState.IN, LoginState.OUT)
    for query in ("account=a1", "instance=inst-1"):
        _, body = answer(asyncio.run(pool.start(request(query))))

        assert [row["instance"] for row in body["instances"]] == ["inst-1"]


def test_an_account_that_came_after_the_start_gets_an_engine() -> None:
    """Once; who is no account gets none."""
    pool = routes(LoginState.IN)
    for _ in range(2):
        _, body = answer(asyncio.run(pool.start(request("account=late"))))

        assert [row["instance"] for row in body["instances"]] == ["inst-9"]
    assert [slot.id for slot in pool._house.fleet.registry.slots] == ["inst-0", "inst-9"]
    with pytest.raises(LingmaError) as caught:
        asyncio.run(pool.start(request("account=nobody")))
    assert caught.value.kind is ErrorKind.NOT_FOUND


def test_engines_of_one_account_log_in_together() -> None:
    """They share the login; which of them gives it away is all the same."""
    pool = routes(LoginState.IN, LoginState.IN)
    for slot in pool._house.fleet.registry.slots:
        slot.account = "shared"

    _, body = answer(asyncio.run(pool.start(request("account=shared"))))
    headers, _ = answer(asyncio.run(pool.export(request("account=shared"))))

    assert [row["instance"] for row in body["instances"]] == ["inst-0", "inst-1"]
    assert headers[b"cache-control"] == b"no-store"


def test_an_exported_bundle_is_the_login() -> None:
    """Not for any cache."""
    headers, body = answer(asyncio.run(routes(LoginState.IN).export(request())))

    assert unpack(from_text(body["bundle_b64"])) == ONE
    assert headers[b"cache-control"] == b"no-store"


def test_an_open_server_gives_no_login_away() -> None:
    """Other users of the machine could ask it as well; a simulator's is nobody's."""
    with pytest.raises(LingmaError) as caught:
        asyncio.run(routes(LoginState.IN, is_guarded=False).export(request()))
    demo = routes(LoginState.IN, is_guarded=False, is_demo=True)
    _, body = answer(asyncio.run(demo.export(request())))

    assert caught.value.kind is ErrorKind.FORBIDDEN
    assert "export logins" in caught.value.message
    assert unpack(from_text(body["bundle_b64"])) == ONE


def test_nothing_is_exported_without_a_login() -> None:
    """A conflict, not a missing key."""
    kinds = []
    for query in ("instance=inst-0", "instance=inst-7"):
        try:
            asyncio.run(routes(LoginState.OUT).export(request(query)))
        except LingmaError as error:
            kinds.append(error.kind)

    assert kinds == [ErrorKind.CONFLICT, ErrorKind.NOT_FOUND]
