"""The control plane's client against a real HTTP server that follows a script."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

from lingma_cli.client.engines import ControlPlane, NewServer, NewWorker, answers
from lingma_cli.errors import FACES, ErrorKind, LingmaError
from lingma_cli.secret import Secret
from tests.support.openai_server import (
    UNTIL_CLIENT_LEAVES,
    OpenAiServer,
    Reply,
    error_reply,
    json_reply,
    openai_server,
)

BASE = "/v1/management"
TWO = {
    "engines": [
        {"engine_id": "inst-0", "name": "demo-0", "state": "READY", "cooldown_seconds": 9.5},
        {
            "engine_id": "box",
            "name": "box",
            "state": "ERROR",
            "url": "http://127.0.0.1:9",
            "breaker": "open",
            "last_error": "it died",
            "unknown": 1,
        },
        {"engine_id": "well", "name": "well", "state": "READY"},
    ],
    "count": 3,
}


@contextmanager
def control_plane(**replies: Reply | Sequence[Reply]) -> Iterator[OpenAiServer]:
    """Serve the replies below `/v1/management`, `_` for `/`; `workers…` below `/workers`."""
    with openai_server() as server:
        for name, reply in {"engines": json_reply(TWO), **replies}.items():
            path = name.replace("_", "/")
            path = f"/{path}" if path.startswith("workers") else f"{BASE}/{path}"
            server.replies[path] = [reply] if isinstance(reply, Reply) else list(reply)
        yield server


def plane(server: OpenAiServer) -> ControlPlane:
    return ControlPlane(server.url, admin_token=Secret("lga-token"))


def test_engines_are_listed_with_the_admin_token() -> None:
    """Fields that are not known here are passed over; a rest is told from a failure."""
    with control_plane() as server, plane(server) as client:
        engines = client.all()

    assert [(one.engine_id, one.state, one.rests) for one in engines] == [
        ("inst-0", "READY", True),
        ("box", "ERROR", True),
        ("well", "READY", False),
    ]
    assert engines[1].last_error == "it died"
    assert server.asked[0].headers["authorization"] == "Bearer lga-token"


def test_an_engine_is_found_by_id_or_name() -> None:
    """Anything else is unknown, with the command that lists them."""
    with control_plane() as server, plane(server) as client:
        assert client.find("demo-0").engine_id == "inst-0"
        assert client.find("box").name == "box"
        with pytest.raises(LingmaError, match="there is no engine `other`") as caught:
            client.find("other")
    assert caught.value.kind is ErrorKind.NOT_FOUND
    assert "engine list" in (caught.value.hint or "")


def test_a_worker_is_added_and_shown() -> None:
    """Only what is said is sent."""
    worker = NewWorker(url="http://127.0.0.1:9", engine_id="box", labels={"site": "home"})
    with control_plane(workers=json_reply({}, 202)) as server, plane(server) as client:
        assert client.add(worker).engine_id == "box"

    assert server.asked[0].json() == {
        "url": "http://127.0.0.1:9",
        "engine_id": "box",
        "labels": {"site": "home"},
    }


def test_a_server_is_started() -> None:
    """A port that is not wanted is not sent: 0 is none."""
    wanted = NewServer(model_id="m", engine_id="box", template="vllm", extra_args=("--fast",))
    with control_plane(engines_start=json_reply({})) as server, plane(server) as client:
        assert client.start(wanted).state == "ERROR"

    assert server.asked[0].json() == {
        "model_id": "m",
        "engine_id": "box",
        "template": "vllm",
        "extra_args": ["--fast"],
    }


def test_each_change_goes_to_its_route() -> None:
    """Names are quoted; seconds are sent only if they are given."""
    done = json_reply({"pruned_count": 2})
    replies = {
        f"{BASE}/engines/box/drain": done,
        f"{BASE}/engines/box/drain?timeout=1.5": done,
        f"{BASE}/engines/a%2Fb/restart": done,
        f"{BASE}/engines/prune": done,
        f"{BASE}/thaw": done,
    }
    with openai_server() as server, plane(server) as client:
        server.replies.update({path: [reply] for path, reply in replies.items()})
        client.drain("box")
        client.drain("box", 1.5)
        client.restart("a/b")
        assert client.prune() == 2
        client.thaw("box")

    assert [asked.path for asked in server.asked] == list(replies)
    assert server.asked[4].json() == {"engine": "box"}


@pytest.mark.parametrize(
    ("reply", "code", "words"),
    [
        (json_reply({"error": "it is there", "code": "WORKER_CONFLICT"}, 409), 6, "it is there"),
        (json_reply({"error": "no URL", "code": "BAD_REQUEST"}, 400), 2, "no URL"),
        (error_reply(409, "it is there", "conflict"), 6, "it is there"),
        (Reply(status=500, pieces=[b"<html>"]), 6, "does not answer like lingma"),
    ],
)
def test_refusals_are_read_in_both_forms(reply: Reply, code: int, words: str) -> None:
    """Those of the worker routes, and OpenAI's."""
    worker = NewWorker(url="http://127.0.0.1:9", engine_id="box")
    with (
        control_plane(workers=reply) as server,
        plane(server) as client,
        pytest.raises(LingmaError, match=words) as caught,
    ):
        client.add(worker)

    assert FACES[caught.value.kind].exit_code == code


@pytest.mark.parametrize("body", [{"error": "no", "code": "X"}, {"error": {"message": "no"}}])
def test_without_the_token_its_variable_is_named(body: dict[str, Any]) -> None:
    """Not the one of the API key."""
    with (
        control_plane(engines=json_reply(body, 401)) as server,
        ControlPlane(server.url, admin_token=None) as client,
        pytest.raises(LingmaError) as caught,
    ):
        client.all()

    assert caught.value.kind is ErrorKind.UNAUTHENTICATED
    assert "LINGMA_ADMIN_TOKEN" in (caught.value.hint or "")
    assert "authorization" not in server.asked[0].headers


def test_what_is_forbidden_has_no_hint_of_a_token() -> None:
    """The server has none, or the token is not what is missing."""
    worker = NewWorker(url="http://127.0.0.1:9", engine_id="box")
    with (
        control_plane(workers=json_reply({"error": "not here"}, 403)) as server,
        plane(server) as client,
        pytest.raises(LingmaError, match="not here") as caught,
    ):
        client.add(worker)

    assert (caught.value.kind, caught.value.hint) == (ErrorKind.FORBIDDEN, None)


def test_another_server_is_told_from_ours() -> None:
    """What it answers is no list of engines."""
    with (
        control_plane(engines=json_reply([1])) as server,
        plane(server) as client,
        pytest.raises(LingmaError, match="does not answer like lingma"),
    ):
        client.all()


def test_whether_anything_answers() -> None:
    """A refusal is an answer, and one without an end is; a closed port is none."""
    endless = Reply(pieces=[json.dumps([]).encode(), UNTIL_CLIENT_LEAVES])
    with openai_server(models=[error_reply(401, "no", "no"), endless]) as server:
        assert answers(server.url)
        assert answers(server.url)
        assert "authorization" not in server.asked[0].headers
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    assert not answers(f"http://127.0.0.1:{port}")
