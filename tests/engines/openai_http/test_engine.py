"""An HTTP engine over a scripted server, and over a real one."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lingma_cli.core.chat import (
    Message,
    Role,
    Sampling,
    Tool,
    ToolOutputPart,
    ToolUsePart,
)
from lingma_cli.core.events import Finished, FinishReason, Usage, UsageReported
from lingma_cli.core.login import LoginState
from lingma_cli.core.notes import codes
from lingma_cli.errors import ErrorKind
from tests.engines.openai_http.live import MODELS, WELL, living, question, texts
from tests.support.llama import MODEL, llama_server
from tests.support.openai_server import (
    BREAK_OFF,
    UNTIL_CLIENT_LEAVES,
    Piece,
    Reply,
    answer,
    chunk,
    delta,
    error_reply,
    json_reply,
    openai_server,
)

FINISHED = ("finished", "stop")


# life


@pytest.mark.parametrize("suffix", ["", "/", "/v1", "/v1/"])
def test_a_server_is_found_with_or_without_v1(suffix: str) -> None:
    """Both spellings of its URL lead to the same paths."""
    with (
        openai_server(engine_health=WELL, models=MODELS, chat=answer("a")) as server,
        living(server.url + suffix) as live,
    ):
        assert live.ask() == [("text", "a"), FINISHED]
        assert [model.key for model in live.engine.models] == ["m1", "m2"]
        paths = ["/health", "/v1/models", "/v1/chat/completions"]
        assert [asked.path for asked in server.asked] == paths
        assert live.changes == [None]
        assert live.engine.login is LoginState.IN


def test_a_server_without_a_health_path_is_known_by_its_models() -> None:
    """Ollama has none."""
    with openai_server(models=MODELS) as server, living(server.url) as live:
        live.run(live.engine.check())
        server.replies["/v1/models"] = [error_reply(500, "broken", "x")]

        assert live.raised(lambda: live.run(live.engine.check())).kind is ErrorKind.ENGINE_FAILED


def test_a_server_that_loads_its_model_is_waited_for() -> None:
    """Not ready is not dead."""
    loading = json_reply({"error": {"code": 503, "message": "Loading model"}}, 503)
    with (
        openai_server(engine_health=[loading, loading, WELL], models=MODELS) as server,
        living(server.url) as live,
    ):
        assert live.changes == [None]
        assert [asked.path for asked in server.asked].count("/health") == 3


def test_a_server_that_stays_away_is_an_error() -> None:
    """The life of an engine without a server ends, with where it was looked for."""
    with living("http://127.0.0.1:9", ready=False, startup_timeout=0.3) as live:
        error = live.death()

        assert error.kind is ErrorKind.ENGINE_UNAVAILABLE
        assert "127.0.0.1:9" in error.message
        refusal = live.raised(lambda: live.run(live.engine.refresh_models()))
        assert refusal.kind is ErrorKind.ENGINE_UNAVAILABLE


def test_a_hanging_server_does_not_hold_up_a_check() -> None:
    """A check has a time-out of its own."""
    hanging = Reply(before=[UNTIL_CLIENT_LEAVES])
    with (
        openai_server(engine_health=[WELL, hanging], models=MODELS) as server,
        living(server.url) as live,
    ):
        error = live.raised(lambda: live.run(live.engine.check(0.1)))

        assert error.kind is ErrorKind.ENGINE_TIMEOUT


def test_one_model_alone_is_offered() -> None:
    """`--model` counts whenever the list is asked for."""
    with (
        openai_server(engine_health=WELL, models=MODELS) as server,
        living(server.url, model="m2") as live,
    ):
        assert [model.key for model in live.run(live.engine.refresh_models())] == ["m2"]


def test_the_end_of_the_engine_ends_its_asks() -> None:
    """None is left hanging."""
    endless = Reply(pieces=[chunk("a"), UNTIL_CLIENT_LEAVES])
    with (
        openai_server(engine_health=WELL, models=MODELS, chat=endless) as server,
        living(server.url) as live,
    ):

        async def ask_on() -> list[Any]:
            async with live.engine.ask(question()) as ask:
                await ask.next_batch()
                reading = asyncio.ensure_future(ask.next_batch())
                await asyncio.sleep(0)
                live.end()
                return list(await reading)

        events = live.run(ask_on())
        assert events[0].error.kind is ErrorKind.ENGINE_FAILED
        assert server.client_left.wait(5)


# answers


@pytest.mark.parametrize("cut", [1, 2, 3, 5, 7, 1000])
def test_bytes_may_come_in_any_pieces(cut: int) -> None:
    """Characters, lines and chunks may be torn on the wire."""
    whole = b"".join(piece for piece in answer("你好", "🙂").pieces if isinstance(piece, bytes))
    pieces = [whole[at : at + cut] for at in range(0, len(whole), cut)]
    with (
        openai_server(engine_health=WELL, models=MODELS, chat=Reply(pieces=pieces)) as server,
        living(server.url) as live,
    ):
        assert live.ask() == [("text", "你好🙂"), FINISHED]


def test_connections_are_used_again() -> None:
    """Answers that have been read to their end cost one connection."""
    with (
        openai_server(engine_health=WELL, models=MODELS, chat=answer("a")) as server,
        living(server.url) as live,
    ):
        for _ in range(5):
            live.ask()

        assert len({asked.connection for asked in server.asked}) == 1


def test_a_question_that_kills_its_server_is_asked_once() -> None:
    """Over a kept connection it may not have come: what is next is not for the engine to decide."""
    with (
        openai_server(
            engine_health=WELL,
            models=MODELS,
            chat=[answer("a"), Reply(before=[BREAK_OFF]), answer("b")],
        ) as server,
        living(server.url) as live,
    ):
        assert texts(live.ask()) == "a"
        assert live.refusal().kind is ErrorKind.ENGINE_UNAVAILABLE
        paths = [asked.path for asked in server.asked]
        assert paths.count("/v1/chat/completions") == 2


@pytest.mark.parametrize("pieces", [[], [chunk("a")]], ids=["before", "after"])
def test_a_server_that_breaks_off_is_a_failure(pieces: list[Piece]) -> None:
    """Never a fake end; the error names the engine."""
    with (
        openai_server(
            engine_health=WELL, models=MODELS, chat=Reply(pieces=[*pieces, BREAK_OFF])
        ) as server,
        living(server.url) as live,
    ):
        events = live.events(question())[0]

        assert events[-1].error.message.startswith("engine `local`")  # type: ignore[union-attr]
        assert live.ask()[-1] == ("failed", "engine_failed")


def test_refusals_are_raised_on_entering() -> None:
    """So that another engine can be asked before anything was sent."""
    refused = Reply(status=429, headers={"retry-after": "3"})
    with (
        openai_server(engine_health=WELL, models=MODELS, chat=refused) as server,
        living(server.url) as live,
    ):
        error = live.refusal()

        assert (error.kind, error.retry_after) == (ErrorKind.OVERLOADED, 3.0)


def test_redirects_are_refused() -> None:
    """The key does not travel."""
    moved = Reply(status=307, headers={"location": "http://127.0.0.1:9/"})
    with (
        openai_server(engine_health=WELL, models=MODELS, chat=moved) as server,
        living(server.url) as live,
    ):
        assert "redirect" in live.refusal().message


def test_usage_is_known_by_whether_it_comes() -> None:
    """A server that tells no counts is believed to tell none the next time."""
    silent = Reply(pieces=[chunk("a"), delta(finish="stop"), b"data: [DONE]\n\n"])
    failing = Reply(pieces=[chunk("a"), BREAK_OFF])
    with (
        openai_server(
            engine_health=WELL,
            models=MODELS,
            chat=[answer("a"), silent, failing, answer("a")],
        ) as server,
        living(server.url) as live,
    ):
        known = []
        for _ in range(4):
            live.ask()
            known.append(live.engine.reports_usage)

        assert known == [True, False, False, True]


def test_what_is_lost_is_noted() -> None:
    """The notes of the request are the ask's."""
    with (
        openai_server(engine_health=WELL, models=MODELS, chat=answer("a")) as server,
        living(server.url) as live,
    ):
        ask = live.events(question(reasoning_effort="max"))[1]

        assert codes(ask.notes) == ("reasoning_effort_ignored",)


def test_a_server_that_does_not_stream_is_understood() -> None:
    """With tools, some give one JSON body."""
    choice = {"message": {"content": "whole"}, "finish_reason": "stop"}
    headers = {"content-type": "application/json; charset=utf-8"}
    body = json.dumps({"choices": [choice]}).encode()
    with (
        openai_server(
            engine_health=WELL,
            models=MODELS,
            chat=Reply(headers=headers, pieces=[body[:20], body[20:]]),
        ) as server,
        living(server.url) as live,
    ):
        assert live.ask() == [("text", "whole"), FINISHED]


# a real server


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A llama.cpp server for chat."""
    with llama_server(tmp_path_factory.mktemp("llama")) as url:
        yield url


def test_llama_answers(llama: str) -> None:
    """Text, counts and the end of a real server's answer arrive, time after time."""
    with living(f"{llama}/v1") as live:
        assert [model.key for model in live.engine.models] == [MODEL]
        assert live.engine.models[0].context_tokens > 0
        for _ in range(3):
            events, ask = live.events(
                question(extras={"openai_chat": {"ignore_eos": True}}, **limit(8))
            )

            assert events[-1] == Finished(reason=FinishReason.LENGTH)
            counts = [each.usage for each in events if isinstance(each, UsageReported)]
            assert [type(count) for count in counts] == [Usage]
            assert counts[0].output_tokens == 8
            assert ask.notes == ()
        assert live.engine.reports_usage


def test_llama_takes_tools(llama: str) -> None:
    """Tools, earlier calls and results are what a real server reads without complaint."""
    tool = Tool(name="switch")
    use = ToolUsePart(call_id="c1", name="switch", arguments="{torn")
    history = (
        *question().messages,
        Message(role=Role.ASSISTANT, parts=(use,)),
        Message(role=Role.TOOL, parts=(ToolOutputPart(call_id="c1", text="on"),)),
    )
    with living(llama) as live:
        asked = replace(question(tools=(tool,), **limit(4)), messages=history)

        assert isinstance(live.events(asked)[0][-1], Finished)


def test_llama_refuses(llama: str) -> None:
    """A real server's refusals are the request's fault, or that of what it cannot do."""
    with living(llama) as live:
        too_long = live.refusal(question("a" * 9000))
        no_vectors = live.raised(lambda: live.run(live.engine.embed({"input": "a"})))

        assert too_long.kind is ErrorKind.INVALID_REQUEST
        assert "context size" in too_long.message
        assert no_vectors.kind is ErrorKind.ENGINE_UNSUPPORTED


def test_llama_embeds(tmp_path: Path) -> None:
    """A server of embeddings gives a vector for each text."""
    with llama_server(tmp_path, embeddings=True) as url, living(url) as live:
        body = {"model": MODEL, "input": ["a", "b"]}

        answered = json.loads(live.run(live.engine.embed(body)))

        assert [len(each["embedding"]) for each in answered["data"]] == [64, 64]


def limit(tokens: int) -> dict[str, Any]:
    """Return the field of a request that bounds its answer."""
    return {"sampling": Sampling(max_tokens=tokens)}
