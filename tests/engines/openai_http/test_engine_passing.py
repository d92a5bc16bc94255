"""What an HTTP engine passes on as it is."""

from __future__ import annotations

import json

from lingma_cli.errors import ErrorKind
from tests.engines.openai_http.live import MODELS, WELL, living
from tests.support.openai_server import (
    UNTIL_CLIENT_LEAVES,
    Reply,
    error_reply,
    event,
    json_reply,
    openai_server,
)


def test_embeddings_are_passed_on() -> None:
    """Body and answer are the server's own."""
    vectors = {"object": "list", "data": [{"embedding": [0.5]}], "usage": {"prompt_tokens": 1}}
    body = {"model": "m1", "input": ["a", "b"], "dimensions": 7}
    with (
        openai_server(engine_health=WELL, models=MODELS, embeddings=json_reply(vectors)) as server,
        living(server.url) as live,
    ):
        assert json.loads(live.run(live.engine.embed(body))) == vectors
        assert server.asked[-1].json() == body
        server.replies["/v1/embeddings"] = [error_reply(501, "no embeddings", "x")]
        error = live.raised(lambda: live.run(live.engine.embed(body)))
        assert error.kind is ErrorKind.ENGINE_UNSUPPORTED


MEBIBYTE = b"1" * (1 << 20)


def test_many_vectors_are_passed_on() -> None:
    """2048 texts of 1536 numbers each are more than any answer of words."""
    with (
        openai_server(
            engine_health=WELL, models=MODELS, embeddings=Reply(pieces=[MEBIBYTE] * 70)
        ) as server,
        living(server.url) as live,
    ):
        assert len(live.run(live.engine.embed({"input": "a"}))) == 70 << 20


def test_too_many_vectors_are_not_the_servers_fault() -> None:
    """It did as it was told; asking the next one would be no better."""
    with (
        openai_server(
            engine_health=WELL, models=MODELS, embeddings=Reply(pieces=[MEBIBYTE] * 257)
        ) as server,
        living(server.url) as live,
    ):
        error = live.raised(lambda: live.run(live.engine.embed({"input": "a"})))

        assert error.kind is ErrorKind.INVALID_REQUEST
        assert "longer than 268435456 bytes" in error.advice
        assert "fewer" in error.advice


def test_completions_are_passed_on_as_they_come() -> None:
    """Bytes are not touched, streamed or not."""
    pieces = [event({"choices": [{"text": "é"}]}), b": odd\r\n", b"data: [DONE]\n\n"]
    reply = Reply(headers={"content-type": "text/event-stream"}, pieces=pieces)
    with (
        openai_server(engine_health=WELL, models=MODELS, completions=reply) as server,
        living(server.url) as live,
    ):

        async def complete() -> tuple[str, bytes]:
            async with live.engine.complete({"prompt": "a", "stream": True}) as answered:
                said = b""
                while ready := await answered.next_chunk():
                    said += ready
                return answered.content_type, said

        assert live.run(complete()) == ("text/event-stream", b"".join(pieces))
        assert server.asked[-1].json() == {"prompt": "a", "stream": True}


def test_a_completion_that_is_left_is_cancelled() -> None:
    """And one that falls silent is an error."""
    endless = Reply(pieces=[b"a", UNTIL_CLIENT_LEAVES])
    with (
        openai_server(engine_health=WELL, models=MODELS, completions=endless) as server,
        living(server.url, idle_timeout=0.1) as live,
    ):

        async def complete() -> None:
            async with live.engine.complete({"prompt": "a"}) as answered:
                await answered.next_chunk()
                await answered.next_chunk()

        assert live.raised(lambda: live.run(complete())).kind is ErrorKind.ENGINE_TIMEOUT
        assert server.client_left.wait(5)
