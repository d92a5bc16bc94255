"""The client that waits: over a real server, by many threads, with a thread of its own."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from lingma_cli.client import LingmaClient
from tests.client.both import NOBODY
from tests.client.test_clients import BACKENDS, backend, listed, paths
from tests.support.openai_server import openai_server
from tests.support.serving import program_environment, serving, wait_until


def test_it_finds_and_asks_the_running_server(tmp_path: Path) -> None:
    """By the home alone; whole, in pieces, and from several threads at once."""
    with (
        serving(tmp_path, "--demo"),
        LingmaClient.create(environ=program_environment(tmp_path)) as client,
        ThreadPoolExecutor(4) as threads,
    ):
        answers = list(threads.map(client.chat, [f"question {number}" for number in range(8)]))
        streamed = "".join(client.stream_chat("in pieces"))
        assert client.is_llm_available

    assert all(f"> question {number}\n" in answer for number, answer in enumerate(answers))
    assert "> in pieces\n" in streamed


def test_it_learns_the_backends_of_a_real_control_plane(tmp_path: Path) -> None:
    """The demo's engine has no address of its own: it is listed at the server's."""
    with (
        serving(tmp_path, "--demo") as server,
        LingmaClient.create(control_plane_url=server.url, environ=NOBODY) as client,
    ):
        client.enable_backend_discovery()
        status = client.get_status()

    assert status.discovery_trouble is None
    assert [one.base_url for one in status.llm_backends] == [f"{server.url}/v1"]
    assert all(one.is_healthy for one in status.llm_backends)


def test_an_embedded_server_ends_with_the_client(tmp_path: Path) -> None:
    """It answers, and it is gone after."""
    environ = program_environment(tmp_path, LINGMA_DEMO="true")
    with LingmaClient.create(embedded=True, environ=environ) as client:
        assert "> hello\n" in client.chat("hello")
        assert (tmp_path / "run" / "server.json").exists()

    assert not (tmp_path / "run" / "server.json").exists()


def discoveries() -> list[threading.Thread]:
    """Return the threads that look for backends."""
    return [thread for thread in threading.enumerate() if thread.name == "lingma-discovery"]


def test_discovery_goes_on_in_a_daemon_until_the_client_is_closed() -> None:
    """It looks again by itself, and its thread never keeps a program alive."""
    with openai_server() as server:
        server.replies[BACKENDS] = [listed(), listed(backend(server.url))]
        with LingmaClient.create(control_plane_url=server.url, environ=NOBODY) as client:
            client.enable_backend_discovery(refresh_interval=0)
            [looking] = discoveries()
            assert looking.daemon
            wait_until(lambda: client.get_status().llm_backends, what="a second look")

            client.enable_backend_discovery(refresh_interval=60)
            assert not looking.is_alive()
            assert len(discoveries()) == 1
        assert discoveries() == []

    assert paths(server).count(BACKENDS) == 3
