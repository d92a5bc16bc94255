"""What both clients for programs must do, against real servers that follow a script."""

from __future__ import annotations

import contextlib
import json
import re
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from lingma_cli.client import InferenceResult
from lingma_cli.core.events import Usage
from lingma_cli.errors import ErrorKind, LingmaError
from tests.client.both import BOTH, NOBODY, AnyClient, Opener
from tests.support.openai_server import (
    BREAK_OFF,
    RESET,
    UNTIL_CLIENT_LEAVES,
    OpenAiServer,
    Reply,
    answer,
    chunk,
    error_reply,
    json_reply,
    openai_server,
)

BACKENDS = "/v1/management/backends"
EMBEDDINGS = "/v1/embeddings"

pytestmark = pytest.mark.parametrize("opened", BOTH, ids=["sync", "async"])


def said(text: str, **more: Any) -> Reply:
    """Return a chat's answer."""
    choice = {"index": 0, "message": {"role": "assistant", "content": text}}
    usage = {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8}
    return json_reply({"id": "c-1", "model": "m", "choices": [choice], "usage": usage, **more})


def backend(url: str, **more: Any) -> dict[str, Any]:
    """Return a healthy backend as the control plane lists it."""
    own = {"instance_id": url, "host": "127.0.0.1", "port": 1, "model_name": "", "metadata": {}}
    load = {"active_requests": 0, "max_concurrent_requests": None, "is_available": True}
    return {**own, **load, "base_url": f"{url}/v1", "is_healthy": True, **more}


def listed(*llms: dict[str, Any], embedding: tuple[dict[str, Any], ...] = ()) -> Reply:
    """Return the control plane's list."""
    return json_reply({"llm_backends": llms, "embedding_backends": embedding, "timestamp": "now"})


@contextlib.contextmanager
def nobody() -> Iterator[str]:
    """Give an address at which nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


def paths(server: OpenAiServer) -> list[str]:
    """Return what was asked of it, in order."""
    return [asked.path for asked in server.asked]


def test_a_chat_returns_the_text(opened: Opener) -> None:
    """A text is a message of the user; what is not given is not sent."""
    with (
        openai_server(chat=said("你好")) as server,
        opened(control_plane_url=server.url, api_key="lgm-1") as client,
    ):
        assert client.chat("hi") == "你好"

    [asked] = server.asked
    assert asked.json() == {"messages": [{"role": "user", "content": "hi"}]}
    assert asked.headers["authorization"] == "Bearer lgm-1"


def test_a_chat_returns_its_result(opened: Opener) -> None:
    """With `return_result` the answer comes with its name, model, counts and time."""
    messages = [{"role": "system", "content": "be brief"}, {"role": "user", "content": "hi"}]
    sampling = {"temperature": 0.0, "max_tokens": 7, "top_p": 0.5}
    with (
        openai_server(chat=said("yes")) as server,
        opened(control_plane_url=f"{server.url}/v1/", default_llm_model="one") as client,
    ):
        result = client.chat(messages, model="two", return_result=True, **sampling)
        client.chat(messages)

    assert result == InferenceResult(
        request_id="c-1",
        request_type="chat",
        content="yes",
        model="m",
        usage=Usage(input_tokens=3, output_tokens=5),
        latency_ms=result.latency_ms,
    )
    assert result.latency_ms > 0
    first, second = (asked.json() for asked in server.asked)
    assert first == {"messages": messages, "model": "two", **sampling}
    assert second["model"] == "one"


def test_generate(opened: Opener) -> None:
    """A prompt is completed, by the route for completions."""
    reply = json_reply({"id": "cmpl-1", "model": "m", "choices": [{"index": 0, "text": " upon"}]})
    with (
        openai_server(completions=reply) as server,
        opened(control_plane_url=server.url) as client,
    ):
        assert client.generate("once", max_tokens=2) == " upon"
        result = client.generate("once", return_result=True)

    assert (result.request_type, result.content, result.usage) == ("generate", " upon", None)
    assert server.asked[0].json() == {"prompt": "once", "max_tokens": 2}


def test_vectors_come_in_the_order_of_the_texts(opened: Opener) -> None:
    """One text or many: always a list of vectors; no text asks nobody."""
    data = [{"index": 1, "embedding": [3, 4.5]}, {"index": 0, "embedding": [1, 2]}]
    replies = [json_reply({"data": data}), json_reply({"data": data[1:]})]
    with (
        openai_server(embeddings=replies) as server,
        opened(control_plane_url=server.url, default_embedding_model="e") as client,
    ):
        assert client.embed(["a", "b"]) == [[1, 2], [3, 4.5]]
        assert client.embed("a", model="f") == [[1, 2]]
        assert client.embed([]) == []

    bodies = [asked.json() for asked in server.asked]
    assert [(body["input"], body["model"]) for body in bodies] == [(["a", "b"], "e"), (["a"], "f")]


def test_a_stream_yields_its_pieces(opened: Opener) -> None:
    """Text only, as it comes; reasoning is not text."""
    with (
        openai_server(chat=answer("a", "b", reasoning="hm")) as server,
        opened(control_plane_url=server.url) as client,
    ):
        assert list(client.stream_chat("hi", temperature=1.0)) == ["a", "b"]

    body = server.asked[0].json()
    assert (body["stream"], body["temperature"]) == (True, 1.0)


def test_leaving_a_stream_hangs_up(opened: Opener) -> None:
    """A piece is there before the end, and closing the iterator tells the server."""
    reply = Reply(pieces=[chunk("one"), UNTIL_CLIENT_LEAVES])
    with openai_server(chat=reply) as server, opened(control_plane_url=server.url) as client:
        with contextlib.closing(client.stream_chat("hi")) as pieces:
            assert next(pieces) == "one"

        assert server.client_left.wait(10)


@pytest.mark.parametrize("tail", [[], [BREAK_OFF]], ids=["ends", "breaks off"])
def test_a_stream_without_its_end_is_an_error(opened: Opener, tail: list[Any]) -> None:
    """What came is kept by who took it; nothing passes for complete, and nothing is repeated."""
    with (
        openai_server(chat=Reply(pieces=[chunk("half"), *tail])) as server,
        openai_server(chat=answer("other")) as other,
    ):
        server.replies[BACKENDS] = [listed(backend(other.url))]
        with opened(control_plane_url=server.url) as client:
            client.enable_backend_discovery()
            pieces = client.stream_chat("hi")
            assert next(pieces) == "half"
            with pytest.raises(LingmaError, match="broke off") as raised:
                next(pieces)

    assert raised.value.kind is ErrorKind.ENGINE_FAILED
    assert other.asked == []


@pytest.mark.parametrize("method", ["chat", "generate", "embed", "stream_chat"])
def test_a_refusal_is_raised_as_what_it_says(opened: Opener, method: str) -> None:
    """The server's kind and words, with a hint for people; never a second address."""
    refused = error_reply(401, "the API key is wrong", "invalid_api_key")
    with (
        openai_server(chat=refused, completions=refused, embeddings=refused) as server,
        openai_server() as other,
    ):
        server.replies[BACKENDS] = [listed(backend(other.url), embedding=(backend(other.url),))]
        with opened(control_plane_url=server.url) as client:
            client.enable_backend_discovery()
            with pytest.raises(LingmaError, match=r"^the API key is wrong$") as raised:
                list(getattr(client, method)("hi"))

    assert raised.value.kind is ErrorKind.UNAUTHENTICATED
    assert "lingma key show" in (raised.value.hint or "")
    assert other.asked == []


@pytest.mark.parametrize("status", [200, 302, 500])
def test_another_program_on_the_port_is_told_apart(opened: Opener, status: int) -> None:
    """HTML, foreign JSON and redirects are no answers."""
    for body in (b"<html>", b"{}", b'{"choices": [], "data": [{}]}', b"\xff"):
        reply = Reply(status=status, headers={"location": "/v1/models"}, pieces=[body])
        with (
            openai_server(chat=reply, embeddings=reply) as server,
            opened(control_plane_url=server.url) as client,
        ):
            for ask in (client.chat, client.embed):
                with pytest.raises(LingmaError, match="does not answer like lingma"):
                    ask("hi")


def test_missing_vectors_are_an_error(opened: Opener) -> None:
    """Each text has one vector, or the answer does not count."""
    reply = json_reply({"data": [{"index": 0, "embedding": [1.0]}]})
    with (
        openai_server(embeddings=reply) as server,
        opened(control_plane_url=server.url) as client,
        pytest.raises(LingmaError, match="one vector per text"),
    ):
        client.embed(["a", "b"])


def test_what_is_no_json_is_an_error(opened: Opener) -> None:
    """Before anything is sent."""
    with (
        openai_server() as server,
        opened(control_plane_url=server.url) as client,
        pytest.raises(LingmaError) as raised,
    ):
        client.chat([{"role": "user", "content": object()}])

    assert raised.value.kind is ErrorKind.INVALID_REQUEST
    assert server.asked == []


def test_silence_ends_a_call(opened: Opener) -> None:
    """After the time-out, and it is no reason to ask somebody else."""
    silent = Reply(before=[UNTIL_CLIENT_LEAVES])
    with openai_server(chat=silent) as server, openai_server(chat=said("other")) as other:
        server.replies[BACKENDS] = [listed(backend(other.url))]
        with opened(control_plane_url=server.url, timeout=0.2) as client:
            client.enable_backend_discovery()
            with pytest.raises(LingmaError) as raised:
                client.chat("hi")

    assert raised.value.kind is ErrorKind.ENGINE_TIMEOUT
    assert other.asked == []


def test_nobody_listening_is_no_server(opened: Opener) -> None:
    """Without discovery there is nobody else to ask."""
    with (
        nobody() as url,
        opened(control_plane_url=url) as client,
        pytest.raises(LingmaError, match=f"no server answers at `{url}/v1`") as raised,
    ):
        client.chat("hi")

    assert raised.value.kind is ErrorKind.SERVER_NOT_FOUND


@pytest.mark.parametrize("trouble", ["refused", "reset", "hangs up"])
def test_a_dead_server_is_passed_over(opened: Opener, trouble: str) -> None:
    """No connection, or one that ends before the answer begins: the first healthy backend."""
    with contextlib.ExitStack() as stack:
        other = stack.enter_context(openai_server(chat=said("from the other")))
        manager = stack.enter_context(openai_server())
        dead = {
            "reset": lambda: openai_server(chat=Reply(before=[RESET])),
            "hangs up": lambda: openai_server(chat=Reply(raw=b"")),
        }
        url = (
            stack.enter_context(nobody())
            if trouble == "refused"
            else stack.enter_context(dead[trouble]()).url
        )
        sick = backend("http://127.0.0.1:9", is_healthy=False)
        named = backend(other.url, model_name="its-own", is_available=False)
        manager.replies[BACKENDS] = [listed(sick, backend(url), named)]
        client = stack.enter_context(opened(control_plane_url=url, api_key="for-the-server-only"))
        client.enable_backend_discovery(management_url=manager.url, backend_api_key="theirs")

        assert client.chat("hi") == "from the other"
        assert client.chat("hi", model="mine") == "from the other"

    first, second = other.asked
    assert (first.json()["model"], second.json()["model"]) == ("its-own", "mine")
    assert first.headers["authorization"] == "Bearer theirs"
    # One look at the beginning and one a failed attempt.
    assert paths(manager) == [BACKENDS] * 3


def test_a_stream_and_vectors_are_passed_on_too(opened: Opener) -> None:
    """Each kind of call to its own kind of backend; without a key of theirs they are shown none."""
    vectors = json_reply({"data": [{"index": 0, "embedding": [1.0]}]})
    with (
        nobody() as url,
        openai_server(chat=answer("a", "b")) as writer,
        openai_server(embeddings=vectors) as embedder,
        openai_server() as manager,
        opened(control_plane_url=url, api_key="secret", admin_token="admin") as client,
    ):
        manager.replies[BACKENDS] = [
            listed(backend(writer.url), embedding=(backend(embedder.url),))
        ]
        client.enable_backend_discovery(management_url=f"{manager.url}/v1")
        assert list(client.stream_chat("hi")) == ["a", "b"]
        assert client.embed("x") == [[1.0]]

    assert (paths(writer), paths(embedder)) == (["/v1/chat/completions"], [EMBEDDINGS])
    assert {asked.headers.get("authorization") for asked in writer.asked + embedder.asked} == {None}
    assert {asked.headers.get("authorization") for asked in manager.asked} == {"Bearer admin"}


def test_three_attempts_are_enough(opened: Opener) -> None:
    """Each at another address; the error names them."""
    with contextlib.ExitStack() as stack:
        urls = [stack.enter_context(nobody()) for _ in range(3)]
        fourth = stack.enter_context(openai_server(chat=said("never")))
        manager = stack.enter_context(openai_server())
        manager.replies[BACKENDS] = [listed(*map(backend, [*urls, fourth.url]))]
        client = stack.enter_context(opened(control_plane_url=urls[0]))
        client.enable_backend_discovery(management_url=manager.url)
        with pytest.raises(LingmaError) as raised:
            client.chat("hi")

    assert raised.value.kind is ErrorKind.ENGINE_UNAVAILABLE
    assert re.findall(r"`(http[^`]+)/v1`", raised.value.message) == urls
    assert fourth.asked == []


def test_nobody_else_is_a_clear_error(opened: Opener) -> None:
    """Backends that are ill, of another kind, or unreadable addresses are nobody."""
    with openai_server() as manager, nobody() as url, opened(control_plane_url=url) as client:
        odd = [backend("", base_url=address) for address in (None, "ftp://x", "http://u:p@x")]
        sick = backend("http://127.0.0.1:9", is_healthy=False)
        writers = (backend("http://127.0.0.1:9"),)
        manager.replies[BACKENDS] = [listed(sick, *odd, embedding=writers)]
        client.enable_backend_discovery(management_url=manager.url)
        with pytest.raises(LingmaError, match="no other healthy backend") as raised:
            client.chat("hi")

    assert raised.value.kind is ErrorKind.ENGINE_UNAVAILABLE


def test_a_list_that_cannot_be_read_leaves_the_old_one(opened: Opener) -> None:
    """The control plane may fail after the first look; the status says why."""
    with (
        nobody() as url,
        openai_server(chat=said("still there")) as other,
        openai_server() as manager,
        opened(control_plane_url=url) as client,
    ):
        good, bad = listed(backend(other.url)), error_reply(403, "not for you", "forbidden")
        manager.replies[BACKENDS] = [good, bad, json_reply({"error": {}}), Reply(before=[RESET])]
        client.enable_backend_discovery(management_url=manager.url)
        assert client.get_status().discovery_trouble is None
        for trouble in ("not for you", "does not answer like lingma", "broke off"):
            assert client.chat("hi") == "still there"
            assert trouble in (client.get_status().discovery_trouble or "")
        assert [one.base_url for one in client.get_status().llm_backends] == [f"{other.url}/v1"]


def test_the_status_of_a_server(opened: Opener) -> None:
    """Its models by kind; one that the program embeds with counts as such."""
    models = json_reply({"data": [{"id": "a"}, {"id": "b", "kind": "embedding"}]})
    with openai_server(models=models) as server:
        with opened(control_plane_url=server.url, api_key="key") as client:
            status = client.get_status()
            assert (status.url, status.models) == (f"{server.url}/v1", ("a", "b"))
            assert status.trouble is None
            assert (client.is_llm_available, client.is_embedding_available) == (True, True)
        with opened(control_plane_url=server.url, default_embedding_model="a") as client:
            assert (client.is_llm_available, client.is_embedding_available) == (False, True)
        server.replies["/v1/models"] = [json_reply({"data": [{"id": "a"}]})]
        with opened(control_plane_url=server.url) as client:
            assert (client.is_llm_available, client.is_embedding_available) == (True, False)

    assert server.asked[0].headers["authorization"] == "Bearer key"


def test_the_status_of_nobody(opened: Opener) -> None:
    """No error: trouble; backends that were found count."""
    with (
        nobody() as url,
        openai_server() as manager,
        opened(control_plane_url=url) as client,
    ):
        assert (client.is_llm_available, client.is_embedding_available) == (False, False)
        assert "no server answers" in (client.get_status().trouble or "")

        manager.replies[BACKENDS] = [listed(embedding=(backend(manager.url),))]
        client.enable_backend_discovery(management_url=manager.url)
        assert (client.is_llm_available, client.is_embedding_available) == (False, True)


def test_both_an_address_and_a_server_of_its_own(opened: Opener) -> None:
    """Is one too many."""
    with (
        pytest.raises(ValueError, match="not both"),
        opened(control_plane_url="http://127.0.0.1:9", embedded=True),
    ):
        pass


def test_the_environment_names_server_and_key(opened: Opener) -> None:
    """`LINGMA_URL` and `LINGMA_API_KEY`, unless the program says otherwise."""
    with openai_server(chat=said("hi")) as server:
        environ = {**NOBODY, "LINGMA_URL": server.url, "LINGMA_API_KEY": "of-the-environment"}
        client: AnyClient
        for options in ({}, {"api_key": "of-the-program"}):
            with opened(environ=environ, **options) as client:
                client.chat("hi")

    keys = [asked.headers["authorization"] for asked in server.asked]
    assert keys == ["Bearer of-the-environment", "Bearer of-the-program"]


def test_secrets_are_not_shown(opened: Opener) -> None:
    """Neither in errors nor in a status."""
    with (
        nobody() as url,
        opened(control_plane_url=url, api_key="lgm-1234567", admin_token="lga-1234567") as client,
    ):
        client.enable_backend_discovery(backend_api_key="sk-1234567")
        with pytest.raises(LingmaError) as raised:
            client.chat("hi")

        shown = json.dumps([repr(raised.value), raised.value.advice, repr(client.get_status())])
    assert "1234567" not in shown
