"""The admin's routes around logins, without a server."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from starlette.requests import Request
from starlette.types import ASGIApp

from lingma_cli.auth.bundles.bundle import Bundle, from_text, unpack
from lingma_cli.control.logins import Logins, Post
from lingma_cli.control.registry import EngineState, Registry, Slot
from lingma_cli.core.login import LoginState
from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.server.login_routes import LoginRoutes
from tests.support.scripted_engine import ScriptedEngine

ONE = Bundle(files={"id": b"i", "user": b"u"})


def routes(*logins: LoginState) -> LoginRoutes:
    """Return the routes of a pool with these logins."""
    posts = []
    for place, login in enumerate(logins):
        engine = ScriptedEngine(name=f"inst-{place}")
        engine.login = login
        slot = Slot(engine=engine, account=f"a{place}", login_hint=f"do {place}")
        slot.state = EngineState.READY
        posts.append(Post(slot=slot, read=lambda: ONE, method="bundle"))
    registry = Registry([post.slot for post in posts])
    return LoginRoutes(Logins(registry, posts, max_retry=0, on_trouble=lambda _: None))


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


def test_an_exported_bundle_is_the_login() -> None:
    """Not for any cache."""
    headers, body = answer(asyncio.run(routes(LoginState.IN).export(request())))

    assert unpack(from_text(body["bundle_b64"])) == ONE
    assert headers[b"cache-control"] == b"no-store"


def test_nothing_is_exported_without_a_login() -> None:
    """A conflict, not a missing key."""
    kinds = []
    for query in ("instance=inst-0", "instance=inst-7"):
        try:
            asyncio.run(routes(LoginState.OUT).export(request(query)))
        except LingmaError as error:
            kinds.append(error.kind)

    assert kinds == [ErrorKind.CONFLICT, ErrorKind.NOT_FOUND]
