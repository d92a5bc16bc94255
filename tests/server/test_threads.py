"""Turns of a session: what is read before them, what is kept of them, and when."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import pytest
from starlette.types import Message as AsgiMessage
from starlette.types import Scope

from lingma_cli.core.chat import TextPart
from lingma_cli.core.events import BlockDelta, BlockKind, Failed, Finished, FinishReason
from lingma_cli.core.ids import random_hex
from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.protocols.openai_chat import PROTOCOL
from lingma_cli.server.exchange_response import Envelope, ExchangeResponse, Patience
from lingma_cli.server.threads import Threads
from lingma_cli.sessions.memory import MemoryStore
from lingma_cli.sessions.stored import Json, Limits
from tests.support.house import House
from tests.support.scripted_engine import SILENCE, Script, ScriptedEngine
from tests.support.stores import ROOMY, Clock, conversation
from tests.support.virtual_time import run, settle

STOP = Finished(reason=FinishReason.STOP)
OWNER = "ann"


def _says(text: str) -> Script:
    return [[BlockDelta(kind=BlockKind.TEXT, text=text)], [STOP]]


class GatedStore(MemoryStore):
    """A store that adds when its gate is open."""

    def __init__(self, limits: Limits = ROOMY) -> None:
        super().__init__(limits, Clock())
        self.gate = asyncio.Event()
        self.gate.set()

    async def add_items(self, owner: str, conversation_id: str, items: Sequence[Json]) -> bool:
        """Wait at the gate, then add."""
        await self.gate.wait()
        return await super().add_items(owner, conversation_id, items)


class Scene:
    """A session `c`, and an engine that plays one script after another."""

    def __init__(self, *scripts: Script, limits: Limits = ROOMY) -> None:
        self.engine = ScriptedEngine(scripts=scripts)
        self.house = House(self.engine)
        self.store = GatedStore(limits)
        self.threads = Threads(self.store, new_id=random_hex, wall_clock=Clock())
        self.sent: list[AsgiMessage] = []
        self.leave = asyncio.Event()

    async def begin(self) -> None:
        """Make the session."""
        await self.store.create_conversation(conversation("c"))

    async def ask(self, text: str, **more: Any) -> None:
        """Ask within the session as the server does; what is sent is in `sent`."""
        question = {"role": "user", "content": text}
        body = {"messages": [question], "session_id": "c", "stream": True, **more}
        turn = await self.threads.turn(PROTOCOL.parse(json.dumps(body).encode()), OWNER)
        envelope = Envelope(
            protocol=PROTOCOL,
            request=turn.request,
            response_id=random_hex(),
            created=0,
            remember=turn.remember,
        )
        response = ExchangeResponse(
            lambda: turn.within(
                self.house.gateway.open(
                    turn.request, request_id="r", protocol=PROTOCOL.name, caller=OWNER
                )
            ),
            envelope,
            Patience(),
        )
        scope: Scope = {"type": "http", "path": "/v1/chat/completions", "headers": []}
        await response(scope, self._receive, self._take)

    async def _receive(self) -> AsgiMessage:
        await self.leave.wait()
        return {"type": "http.disconnect"}

    async def _take(self, message: AsgiMessage) -> None:
        self.sent.append(message)

    @property
    def told(self) -> str:
        """All bodies that were sent."""
        return "".join(message.get("body", b"").decode() for message in self.sent)

    async def stored(self) -> list[str]:
        """Return the texts of the session's items."""
        items: Any = await self.store.items(OWNER, "c")
        return [part["text"] for item in items for part in item["content"]]

    @property
    def asked(self) -> list[list[str]]:
        """The texts of each prompt that the engine got."""
        return [
            [part.text for one in each.messages for part in one.parts if isinstance(part, TextPart)]
            for each in self.engine.asked
        ]


@pytest.mark.parametrize("stream", [False, True])
def test_each_turn_goes_on_with_the_last(stream: bool) -> None:
    """The engine is told everything, the client sends what is new."""

    async def main() -> Scene:
        scene = Scene(_says("1"), _says("2"), _says("3"))
        await scene.begin()
        for text in ("one", "two", "three"):
            await scene.ask(text, stream=stream)
        assert await scene.stored() == ["one", "1", "two", "2", "three", "3"]
        return scene

    assert run(main()).asked == [["one"], ["one", "1", "two"], ["one", "1", "two", "2", "three"]]


@pytest.mark.parametrize("stream", [False, True])
def test_a_turn_is_kept_before_its_end_is_told(stream: bool) -> None:
    """Whoever has read the end can go on from it."""

    async def main() -> None:
        scene = Scene(_says("yo"))
        await scene.begin()
        scene.store.gate.clear()
        ask = asyncio.create_task(scene.ask("hi", stream=stream))
        await settle()
        assert ("yo" in scene.told) == stream
        assert "stop" not in scene.told
        assert await scene.stored() == []
        scene.store.gate.set()
        await ask
        assert '"finish_reason":"stop"' in scene.told
        assert await scene.stored() == ["hi", "yo"]

    run(main())


BROKEN = LingmaError(ErrorKind.ENGINE_FAILED, "it broke")


@pytest.mark.parametrize("stream", [False, True])
def test_a_failed_turn_leaves_nothing(stream: bool) -> None:
    """Neither question nor half an answer: the client asks again."""

    async def main() -> None:
        text = BlockDelta(kind=BlockKind.TEXT, text="half")
        scene = Scene([[text], [Failed(error=BROKEN)]], _says("yo"))
        await scene.begin()
        await scene.ask("hi", stream=stream)
        assert "it broke" in scene.told
        assert await scene.stored() == []
        await scene.ask("hi", stream=stream)
        assert await scene.stored() == ["hi", "yo"]

    run(main())


def test_a_client_that_leaves_leaves_nothing() -> None:
    """A cancelled answer was never an answer."""

    async def main() -> None:
        scene = Scene([[BlockDelta(kind=BlockKind.TEXT, text="half")], SILENCE])
        await scene.begin()
        ask = asyncio.create_task(scene.ask("hi"))
        await settle()
        assert "half" in scene.told
        scene.leave.set()
        await ask
        assert await scene.stored() == []
        scene.house.assert_nothing_is_held()

    run(main())


def test_turns_at_the_same_time_are_all_kept() -> None:
    """Neither sees the other, each stays whole, and the one that ends first comes first."""

    async def main() -> Scene:
        scene = Scene(_says("0"), _says("1"), _says("2"), _says("3"))
        await scene.begin()
        await scene.ask("zero")
        scene.store.gate.clear()
        both = [asyncio.create_task(scene.ask(text)) for text in ("one", "two")]
        await settle()
        scene.store.gate.set()
        await asyncio.gather(*both)
        await scene.ask("three")
        assert await scene.stored() == ["zero", "0", "one", "1", "two", "2", "three", "3"]
        return scene

    asked = run(main()).asked
    assert asked[1:3] == [["zero", "0", "one"], ["zero", "0", "two"]]
    assert asked[3] == ["zero", "0", "one", "1", "two", "2", "three"]


def test_a_turn_that_cannot_be_kept_is_answered() -> None:
    """With a note, in the header if there is still one to come; what was kept stays."""

    async def main() -> Scene:
        small = Limits(retention=1000, max_bytes=1000, max_entries=10)
        scene = Scene(_says("1"), _says("x" * 2000), limits=small)
        await scene.begin()
        await scene.ask("one", stream=False)
        await scene.ask("two", stream=False)
        assert await scene.stored() == ["one", "1"]
        return scene

    scene = run(main())
    starts = [message for message in scene.sent if message["type"] == "http.response.start"]
    notes = [dict(message["headers"]).get(b"x-lingma-notes", b"") for message in starts]
    assert [b"not_stored" in one.split(b",") for one in notes] == [False, True]
    assert "x" * 2000 in scene.told


def test_a_session_that_goes_away_meanwhile() -> None:
    """The answer is good; there is nothing left to add it to, and the record says so."""

    async def main() -> Scene:
        scene = Scene(_says("yo"))
        await scene.begin()
        scene.store.gate.clear()
        ask = asyncio.create_task(scene.ask("hi"))
        await settle()
        await scene.store.delete_conversation(OWNER, "c")
        scene.store.gate.set()
        await ask
        assert await scene.store.items(OWNER, "c") is None
        return scene

    scene = run(main())
    assert "[DONE]" in scene.told
    assert [note.code.value for note in scene.house.records[0].notes] == ["not_stored"]


def test_an_unknown_session_is_not_found() -> None:
    """No engine is asked, and another caller's session is as unknown as none."""

    async def main() -> Scene:
        scene = Scene(_says("yo"))
        await scene.begin()
        for session_id, owner in (("nope", OWNER), ("c", "bob")):
            asked = PROTOCOL.parse(
                json.dumps(
                    {"messages": [{"role": "user", "content": "x"}], "session_id": session_id}
                ).encode()
            )
            with pytest.raises(LingmaError) as caught:
                await scene.threads.turn(asked, owner)
            assert caught.value.kind is ErrorKind.NOT_FOUND
            assert caught.value.param == "session_id"
        return scene

    assert run(main()).asked == []


def test_without_a_store_there_are_no_sessions() -> None:
    """To ask for one is an error; to ask without one is none."""
    threads = Threads(None, new_id=random_hex, wall_clock=Clock())
    plain = {"messages": [{"role": "user", "content": "x"}]}

    async def main() -> None:
        request = PROTOCOL.parse(json.dumps(plain).encode())
        turn = await threads.turn(request, OWNER)
        assert (turn.request, turn.remember) == (request, None)
        with pytest.raises(LingmaError) as caught:
            await threads.turn(
                PROTOCOL.parse(json.dumps(plain | {"session_id": "c"}).encode()), OWNER
            )
        assert caught.value.kind is ErrorKind.INVALID_REQUEST
        assert caught.value.hint is not None
        assert "--response-store" in caught.value.hint

    run(main())
