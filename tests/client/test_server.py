"""The client against a real HTTP server that follows a script."""

import socket
from collections.abc import Callable

import pytest

from lingma_cli.client.server import Client, Instance, ListedModel
from lingma_cli.core.chat import Role
from lingma_cli.core.collect import Collector
from lingma_cli.core.events import BlockDelta, FinishReason, Usage
from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.protocols.client.openai_chat import Turn
from lingma_cli.secret import Secret
from tests.support.openai_server import (
    BREAK_OFF,
    UNTIL_CLIENT_LEAVES,
    Reply,
    answer,
    chunk,
    error_reply,
    json_reply,
    openai_server,
)

HI = [Turn(role=Role.USER, text="hi")]


def connect(url: str, key: str = "", token: str = "") -> Client:
    return Client(
        url,
        api_key=Secret(key) if key else None,
        admin_token=Secret(token) if token else None,
    )


def ask(client: Client) -> Collector:
    collector = Collector()
    with client.chat(HI, model="org_auto") as running:
        collector.feed(running.events)
    return collector


def test_an_answer_arrives_with_its_notes_and_usage() -> None:
    """Text in order, token counts, and the short codes of the header."""
    headers = {"x-lingma-notes": "model_replaced, usage_estimated"}
    with (
        openai_server(chat=answer("你", "好", reasoning="hm", headers=headers)) as server,
        connect(server.url, "lgm-key") as client,
        client.chat(HI, model="org_auto") as running,
    ):
        collector = Collector()
        collector.feed(running.events)

    assert running.notes == ("model_replaced", "usage_estimated")
    assert (collector.text(), collector.reason) == ("你好", FinishReason.STOP)
    assert Usage(input_tokens=3, output_tokens=5) == collector.usage
    [asked] = server.asked
    assert asked.headers["authorization"] == "Bearer lgm-key"
    assert asked.json()["messages"] == [{"role": "user", "content": "hi"}]


def test_events_come_while_the_answer_runs_and_leaving_hangs_up() -> None:
    """Pieces are not held back until the end, and whoever leaves early tells the server."""
    reply = Reply(pieces=[chunk("one"), UNTIL_CLIENT_LEAVES])
    with (
        openai_server(chat=reply) as server,
        connect(server.url) as client,
    ):
        with client.chat(HI) as running:
            piece = next(event for event in running.events if isinstance(event, BlockDelta))

        assert piece.text == "one"
        assert server.client_left.wait(10)


@pytest.mark.parametrize(
    "pieces",
    [
        [chunk("half")],
        [chunk("half"), BREAK_OFF],
        [chunk("whole", finish="stop")],
        [chunk("whole", finish="stop"), BREAK_OFF],
        [],
    ],
    ids=["ends", "breaks off", "no DONE", "breaks off before DONE", "empty"],
)
def test_an_answer_without_its_end_is_an_error(pieces: list[bytes]) -> None:
    """Nothing passes for complete that was not."""
    with (
        openai_server(chat=Reply(pieces=pieces)) as server,
        connect(server.url) as client,
        pytest.raises(LingmaError) as raised,
    ):
        ask(client)

    assert ErrorKind.ENGINE_FAILED is raised.value.kind
    assert "broke off" in raised.value.message


def test_an_error_event_is_raised_as_what_it_says() -> None:
    """A failure in mid-stream arrives with the server's own words."""
    event = b'data: {"error": {"message": "quota used up", "code": "insufficient_quota"}}\n\n'
    with (
        openai_server(chat=Reply(pieces=[chunk("half"), event])) as server,
        connect(server.url) as client,
        pytest.raises(LingmaError, match="quota used up") as raised,
    ):
        ask(client)

    assert ErrorKind.QUOTA_EXCEEDED is raised.value.kind


def test_a_refusal_is_raised_as_what_it_says() -> None:
    """A status with an error object keeps the server's message and gets a hint for people."""
    refusal = error_reply(401, "the API key is wrong", "invalid_api_key")
    with (
        openai_server(chat=refusal, models=refusal) as server,
        connect(server.url, "wrong") as client,
    ):
        for call in (ask, Client.models):
            with pytest.raises(LingmaError, match=r"^the API key is wrong$") as raised:
                call(client)
            assert ErrorKind.UNAUTHENTICATED is raised.value.kind
            assert "lingma key show" in (raised.value.hint or "")


@pytest.mark.parametrize("status", [200, 500])
def test_another_program_on_the_port_is_told_apart(status: int) -> None:
    """HTML and foreign JSON are not taken for an answer."""
    for body in (b"<html>", b"{}", b"\xff"):
        reply = Reply(status=status, pieces=[body])
        with (
            openai_server(models=reply, health=reply) as server,
            connect(server.url) as client,
        ):
            for call in (Client.models, Client.health):
                with pytest.raises(LingmaError, match="does not answer like lingma") as raised:
                    call(client)
                assert ErrorKind.ENGINE_FAILED is raised.value.kind


def start_login(client: Client) -> None:
    client.start_login("work")


CALLS = [Client.models, Client.health, Client.stats, Client.logins, start_login, ask]


@pytest.mark.parametrize("call", CALLS)
def test_nobody_listening_is_no_server(call: Callable[[Client], object]) -> None:
    """A refused connection says where and what to run."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with connect(url) as client, pytest.raises(LingmaError) as raised:
            call(client)

    assert (ErrorKind.SERVER_NOT_FOUND, f"no server answers at `{url}`") == (
        raised.value.kind,
        raised.value.message,
    )
    assert "lingma serve" in (raised.value.hint or "")


def test_each_path_gets_its_own_key() -> None:
    """The admin token never goes where the API key belongs, nor the other way round."""
    stats = json_reply(
        {
            "concurrency": {"in_flight": 2, "queued": 1, "rejected_total": 0, "limit": 4},
            "pool": [{"name": "demo-0", "state": "ready", "in_flight": 2, "last_error": None}],
            "stats": {"requests_total": 7},
        }
    )
    models = json_reply({"data": [{"id": "m", "name": "M", "context_window": 8, "new": 1}]})
    with (
        openai_server(models=models, stats=stats) as server,
        connect(server.url, "api", "admin") as client,
    ):
        assert (ListedModel(id="m", name="M", context_window=8),) == client.models()
        assert client.stats().concurrency.in_flight == 2
        assert client.health().instances == (Instance(name="demo-0", state="ready"),)

    sent = {asked.path: asked.headers.get("authorization") for asked in server.asked}
    assert sent == {
        "/v1/models": "Bearer api",
        "/internal/stats": "Bearer admin",
        "/healthz": None,
    }


@pytest.mark.parametrize(("status", "kind"), [(200, None), (404, ErrorKind.NOT_FOUND)])
def test_a_login_is_started(status: int, kind: ErrorKind | None) -> None:
    """By the admin route, with the admin token; a refusal is raised."""
    path = "/internal/auto-login/start?account=work"
    with openai_server() as server, connect(server.url, "api", "admin") as client:
        refused = error_reply(status, "no such engine", "not_found")
        server.replies[path] = [refused if kind else json_reply({}, status)]
        if kind is None:
            client.start_login("work")
        else:
            with pytest.raises(LingmaError, match="no such engine") as raised:
                client.start_login("work")
            assert raised.value.kind is kind

    assert [(asked.path, asked.headers["authorization"]) for asked in server.asked] == [
        (path, "Bearer admin")
    ]


def test_the_logins() -> None:
    """As the admin route tells them to who has the token; a login without an account is one too."""
    path = "/internal/auto-login/status"
    rows = [
        {"instance": "inst-0", "account": "work", "state": "out", "method": "bundle", "tries": 0},
        {"instance": "inst-1", "account": None, "state": "in", "method": "none", "tries": 0},
    ]
    with openai_server() as server, connect(server.url, "api", "admin") as client:
        server.replies[path] = [json_reply({"instances": rows})]
        logins = client.logins()

    assert [(one.account, one.state) for one in logins] == [("work", "out"), (None, "in")]
    assert [(asked.path, asked.headers["authorization"]) for asked in server.asked] == [
        (path, "Bearer admin")
    ]


def test_an_impossible_address_is_a_usage_error() -> None:
    """A URL that cannot be one is said to be none."""
    with pytest.raises(LingmaError) as raised:
        connect("http://[::1")

    assert ErrorKind.USAGE is raised.value.kind
