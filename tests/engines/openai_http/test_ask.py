"""Asks under way: silence, leaving, aborting."""

from __future__ import annotations

import asyncio
import threading

import pytest

from lingma_cli.core.events import ChatEvent, Failed
from lingma_cli.engines.openai_http.ask import HttpAsk
from lingma_cli.errors import ErrorKind, LingmaError
from tests.engines.openai_http.live import MODELS, WELL, Live, living, question
from tests.support.openai_server import (
    BREAK_OFF,
    UNTIL_CLIENT_LEAVES,
    OpenAiServer,
    Piece,
    Reply,
    Until,
    answer,
    chunk,
    delta,
    openai_server,
)
from tests.support.playbook import transcript

SILENT = Reply(before=[UNTIL_CLIENT_LEAVES])
ROLE = delta(role="assistant", content="")
STUCK: dict[str, Reply] = {
    "no head": SILENT,
    "no piece": Reply(pieces=[UNTIL_CLIENT_LEAVES]),
    "role only": Reply(pieces=[ROLE, UNTIL_CLIENT_LEAVES]),
    "comments": Reply(pieces=[b": ping\n\n", UNTIL_CLIENT_LEAVES]),
    "in the middle": Reply(pieces=[chunk("a"), UNTIL_CLIENT_LEAVES]),
    "in a chunk": Reply(pieces=[chunk("a"), b'data: {"cho', UNTIL_CLIENT_LEAVES]),
    "refusal without a body": Reply(status=500, pieces=[UNTIL_CLIENT_LEAVES]),
}
EACH_STUCK = pytest.mark.parametrize("reply", STUCK.values(), ids=STUCK)


async def everything(ask: HttpAsk) -> list[ChatEvent]:
    """Return all events of an ask."""
    events: list[ChatEvent] = []
    while batch := await ask.next_batch():
        events += batch
    return events


def asked(live: Live) -> list[ChatEvent]:
    """Ask; a refusal is the one event."""
    try:
        return live.events(question())[0]
    except LingmaError as error:
        return [Failed(error=error)]


@EACH_STUCK
def test_silence_ends_an_answer(reply: Reply) -> None:
    """Wherever a server hangs, the answer ends in time and the server is left."""
    with (
        openai_server(engine_health=WELL, models=MODELS, chat=reply) as server,
        living(server.url, first_event_timeout=0.2, idle_timeout=0.2) as live,
    ):
        lines = transcript(asked(live))

        assert lines[-1] == ("failed", "engine_timeout")
        assert server.client_left.wait(5)


@EACH_STUCK
def test_leaving_hangs_up(reply: Reply) -> None:
    """A client that leaves ends the work upstream, whatever the server is at."""
    with (
        openai_server(engine_health=WELL, models=MODELS, chat=reply) as server,
        living(server.url) as live,
    ):

        async def leave() -> None:
            async def ask_on() -> None:
                async with live.engine.ask(question()) as ask:
                    await everything(ask)

            asking = asyncio.ensure_future(ask_on())
            await asyncio.to_thread(server.chat_came.wait, 5)
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking

        live.run(leave())
        assert server.client_left.wait(1)


@EACH_STUCK
def test_aborting_ends_the_events_with_the_error(reply: Reply) -> None:
    """Whoever waits hears of it at once, and the server is left."""
    with (
        openai_server(engine_health=WELL, models=MODELS, chat=reply) as server,
        living(server.url) as live,
    ):

        async def abort() -> list[ChatEvent]:
            async with live.engine.ask(question()) as ask:
                reading = asyncio.ensure_future(everything(ask))
                await asyncio.sleep(0)
                ask.abort(LingmaError(ErrorKind.SHUTTING_DOWN, "over"))
                ask.abort(LingmaError(ErrorKind.INTERNAL, "too late"))
                return await reading

        lines = transcript(live.run(abort()))
        assert lines[-1] == ("failed", "shutting_down")
        assert server.client_left.wait(5)


@pytest.mark.parametrize("taken", [1, 2], ids=["after the first", "after the second"])
def test_a_slow_client_is_no_silence(taken: int) -> None:
    """Time counts while an answer is waited for, not while its client does something else."""
    gates = [threading.Event(), threading.Event()]
    pieces = [chunk("a"), Until(gates[0]), chunk("b"), Until(gates[1]), *answer("c").pieces]
    with (
        openai_server(engine_health=WELL, models=MODELS, chat=Reply(pieces=pieces)) as server,
        living(server.url, first_event_timeout=0.3, idle_timeout=0.3) as live,
    ):

        async def slowly() -> list[ChatEvent]:
            async with live.engine.ask(question()) as ask:
                events = list(await ask.next_batch())
                for gate in gates[: taken - 1]:
                    gate.set()
                    events += await ask.next_batch()
                # Longer than a silence may last.
                await asyncio.sleep(0.6)
                for gate in gates:
                    gate.set()
                return events + await everything(ask)

        assert transcript(live.run(slowly())) == [("text", "abc"), ("finished", "stop")]


def test_an_answer_that_has_said_all_keeps_its_connection() -> None:
    """The last bytes of the body, which say nothing, are waited for a moment."""
    gate = threading.Event()
    said = Reply(pieces=[*answer("a").pieces, Until(gate)])
    with (
        openai_server(engine_health=WELL, models=MODELS, chat=said) as server,
        living(server.url) as live,
    ):

        async def ask_on() -> None:
            async with live.engine.ask(question()) as ask:
                await everything(ask)
                gate.set()

        live.run(ask_on())
        live.ask()

        assert len({asked.connection for asked in server.asked}) == 1


def test_a_long_prompt_does_not_hold_up_the_ask() -> None:
    """An ask is open before the head has come, so that its client can be kept waiting."""
    gate = threading.Event()
    late = Reply(before=[Until(gate)], pieces=answer("late").pieces)
    with (
        openai_server(engine_health=WELL, models=MODELS, chat=late) as server,
        living(server.url) as live,
    ):

        async def ask_late() -> tuple[bool, list[ChatEvent]]:
            async with live.engine.ask(question()) as ask:
                alive = await ask.is_alive()
                gate.set()
                return alive, await everything(ask)

        alive, events = live.run(ask_late())
        assert alive
        assert transcript(events) == [("text", "late"), ("finished", "stop")]


def test_a_late_refusal_is_an_event() -> None:
    """After the ask has been opened, an error can only be told in its events."""
    gate = threading.Event()
    late = Reply(status=429, before=[Until(gate)])
    with (
        openai_server(engine_health=WELL, models=MODELS, chat=late) as server,
        living(server.url) as live,
    ):

        async def ask_late() -> list[ChatEvent]:
            async with live.engine.ask(question()) as ask:
                gate.set()
                return await everything(ask)

        assert transcript(live.run(ask_late())) == [("failed", "overloaded")]


@pytest.mark.parametrize("end", [BREAK_OFF, UNTIL_CLIENT_LEAVES], ids=["cut", "held open"])
def test_what_follows_the_last_word_does_not_matter(end: Piece) -> None:
    """After the reason of the end an answer is whole, however the server ends it."""
    said = Reply(pieces=[chunk("a"), delta(finish="stop"), end])
    with (
        openai_server(engine_health=WELL, models=MODELS, chat=said) as server,
        living(server.url) as live,
    ):
        assert live.ask() == [("text", "a"), ("finished", "stop")]


def test_an_ask_has_nothing_to_resume() -> None:
    """A server answers each request anew."""
    with (
        openai_server(engine_health=WELL, models=MODELS, chat=answer("a")) as server,
        living(server.url) as live,
    ):
        ask = live.events(question())[1]

        assert ask.pending_calls == frozenset()
        error = live.raised(lambda: ask.resume(question(), {}))
        assert error.kind is ErrorKind.ENGINE_UNSUPPORTED


def test_a_server_that_is_gone_gives_no_sign_of_life() -> None:
    """A stream on a dead server is not kept alive by us."""

    def ask_and_look(server: OpenAiServer, live: Live) -> bool:
        async def look() -> bool:
            async with live.engine.ask(question()) as ask:
                await ask.next_batch()
                server.replies["/health"] = [Reply(status=503)]
                return await ask.is_alive()

        return live.run(look())

    endless = Reply(pieces=[chunk("a"), UNTIL_CLIENT_LEAVES])
    with (
        openai_server(engine_health=WELL, models=MODELS, chat=endless) as server,
        living(server.url) as live,
    ):
        assert not ask_and_look(server, live)
