"""The client with an event loop: over a real server, many at once, with a task of its own."""

from __future__ import annotations

import asyncio
from pathlib import Path

from lingma_cli.client import AsyncLingmaClient
from tests.client.both import NOBODY
from tests.client.test_clients import BACKENDS, backend, listed, paths
from tests.support.openai_server import UNTIL_CLIENT_LEAVES, Reply, openai_server
from tests.support.serving import WAIT_SECONDS, program_environment, serving


def test_it_finds_and_asks_the_running_server(tmp_path: Path) -> None:
    """By the home alone; whole, in pieces, and several at once."""

    async def ask() -> tuple[list[str], str]:
        async with await AsyncLingmaClient.create(environ=program_environment(tmp_path)) as client:
            answers = await asyncio.gather(
                *(client.chat(f"question {number}") for number in range(8))
            )
            assert await client.is_llm_available()
            return answers, "".join([piece async for piece in client.stream_chat("in pieces")])

    with serving(tmp_path, "--demo"):
        answers, streamed = asyncio.run(ask())

    assert all(f"> question {number}\n" in answer for number, answer in enumerate(answers))
    assert "> in pieces\n" in streamed


def test_an_embedded_server_ends_with_the_client(tmp_path: Path) -> None:
    """It answers, and it is gone after."""
    environ = program_environment(tmp_path, LINGMA_DEMO="true")

    async def ask() -> str:
        async with await AsyncLingmaClient.create(embedded=True, environ=environ) as client:
            return await client.chat("hello")

    assert "> hello\n" in asyncio.run(ask())
    assert not (tmp_path / "run" / "server.json").exists()


def test_a_cancelled_question_hangs_up() -> None:
    """The server learns that nobody waits any more."""

    async def ask(url: str) -> None:
        async with await AsyncLingmaClient.create(control_plane_url=url, environ=NOBODY) as client:
            asking = asyncio.create_task(client.chat("hi"))
            await asyncio.to_thread(server.chat_came.wait, WAIT_SECONDS)
            asking.cancel()
            await asyncio.wait([asking])
            assert asking.cancelled()
            assert await asyncio.to_thread(server.client_left.wait, WAIT_SECONDS)

    with openai_server(chat=Reply(before=[UNTIL_CLIENT_LEAVES])) as server:
        asyncio.run(ask(server.url))


def test_discovery_goes_on_in_a_task_until_the_client_is_closed() -> None:
    """It looks again by itself, and leaves nothing running."""

    async def watch(url: str) -> None:
        async with await AsyncLingmaClient.create(control_plane_url=url, environ=NOBODY) as client:
            await client.enable_backend_discovery(refresh_interval=0)
            [looking] = asyncio.all_tasks() - {asyncio.current_task()}
            async with asyncio.timeout(WAIT_SECONDS):
                while not (await client.get_status()).llm_backends:
                    pass

            await client.enable_backend_discovery(refresh_interval=60)
            assert looking.cancelled()
        assert asyncio.all_tasks() == {asyncio.current_task()}

    with openai_server() as server:
        server.replies[BACKENDS] = [listed(), listed(backend(server.url))]
        asyncio.run(watch(server.url))

    assert paths(server).count(BACKENDS) == 3
