"""An HTTP engine whose server we start ourselves."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from lingma_cli.core.chat import ChatRequest, Message, Role, Sampling, TextPart
from lingma_cli.core.events import ChatEvent, Finished
from lingma_cli.core.ids import random_hex
from lingma_cli.engines.managed.templates import Launch, Template
from lingma_cli.engines.openai_http.engine import OpenAiHttpOptions
from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.wiring.managed import ManagedEngine, ManagedOptions
from tests.engines.lingma.binary import read_when_written, survivors
from tests.engines.managed.servers import launch_of
from tests.support.llama import write_model

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals and process groups")

HTTP = OpenAiHttpOptions(
    url="", startup_timeout=10, rpc_timeout=10, first_event_timeout=30, idle_timeout=30
)
# A server that is well and lists one model; a POST ends it.
MODELS = """
class Api(Handler):
    def do_GET(self):
        body = json.dumps({"object": "list", "data": [{"id": label, "object": "model"}]}).encode()
        self.send_response(200); self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body))); self.end_headers()
        self.wfile.write(body)
    def do_POST(self): os._exit(9)
write("pids", [os.getpid()])
HTTPServer(("127.0.0.1", port), Api).serve_forever()
"""
# What `llama-server` does, by the library that the wheel brings.
LLAMA = """
import sys, time, xllamacpp
model, alias, port = sys.argv[1:4]
params = xllamacpp.CommonParams()
params.model.path, params.model_alias, params.port = model, {alias}, int(port)
params.n_ctx, params.warmup, params.cpuparams.n_threads = 1024, False, 1
server = xllamacpp.Server(params)
time.sleep(600)
"""


def _engine(folder: Path, launch: Launch, **more: float) -> ManagedEngine:
    options = ManagedOptions(
        launch=launch,
        folder=folder / "engines",
        environ=dict(os.environ),
        startup_timeout=more.get("startup_timeout", 30),
        http=HTTP,
    )
    return ManagedEngine("one", options, random_hex)


@asynccontextmanager
async def _running(engine: ManagedEngine) -> AsyncIterator[asyncio.Task[None]]:
    """Run an engine; it is ready when this yields."""
    ready = asyncio.Event()
    life = asyncio.ensure_future(engine.run(lambda error: ready.set() if not error else None))
    waiting = asyncio.ensure_future(ready.wait())
    await asyncio.wait([life, waiting], return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    try:
        assert ready.is_set(), life
        yield life
    finally:
        life.cancel()
        await asyncio.wait([life])


def test_it_is_ready_with_its_server_and_takes_it_along(tmp_path: Path) -> None:
    """It offers the model under its label; every life has a port of its own."""
    engine = _engine(tmp_path, replace(launch_of(tmp_path, MODELS), label="mine"))

    async def main() -> list[str]:
        urls = []
        for _ in range(2):
            async with _running(engine):
                assert [model.key for model in engine.models] == ["mine"]
                urls.append(engine.address.root)
                shown.append(engine.pid)
            assert engine.pid is None
        return urls

    shown: list[int | None] = []
    first, second = asyncio.run(main())
    pids = read_when_written(tmp_path / "engines" / "pids")

    assert first != second
    assert isinstance(pids, list)
    assert shown[-1] in pids
    assert survivors(pids, within=0) == []


def test_its_life_ends_with_its_server(tmp_path: Path) -> None:
    """A server that dies in an answer ends the life with its status, at once."""
    engine = _engine(tmp_path, launch_of(tmp_path, MODELS))

    async def main() -> LingmaError:
        async with _running(engine) as life:
            with pytest.raises(LingmaError):
                await engine.embed({"input": "x"})
            with pytest.raises(LingmaError) as caught:
                await life
            return caught.value

    error = asyncio.run(main())

    assert error.kind is ErrorKind.ENGINE_UNAVAILABLE
    assert error.message.startswith("the server of `one` exited with status 9")


def test_a_server_that_never_comes_up(tmp_path: Path) -> None:
    """That is how the life ends."""
    engine = _engine(tmp_path, launch_of(tmp_path, "rest()"), startup_timeout=0.3)

    with pytest.raises(LingmaError) as caught:
        asyncio.run(engine.run(lambda _: None))

    assert "did not get ready in 0.3 s" in caught.value.message


def test_its_last_lines(tmp_path: Path) -> None:
    """Also when it is gone."""
    engine = _engine(tmp_path, launch_of(tmp_path, "print('one'); print('two'); sys.exit(3)"))

    with pytest.raises(LingmaError, match="status 3"):
        asyncio.run(engine.run(lambda _: None))

    assert engine.last_lines(1) == ["two"]
    assert engine.last_lines(9) == ["one", "two"]


def test_a_launch_without_sense(tmp_path: Path) -> None:
    """It is refused when the engine is made, not when it starts."""
    with pytest.raises(LingmaError) as caught:
        _engine(tmp_path, replace(launch_of(tmp_path, MODELS), model="--x"))

    assert caught.value.kind is ErrorKind.USAGE


def test_a_real_server(tmp_path: Path) -> None:
    """llama.cpp's server, from a template of the user's own, answers a chat."""
    for name in ("gguf", "numpy", "xllamacpp"):
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"needs a real server: `pip install xllamacpp gguf` ({name} is missing)")
    write_model(tmp_path / "tiny.gguf")
    template = Template(
        name="own", command=(sys.executable, "-c", LLAMA, "{model}", "{label}", "{port}")
    )
    engine = _engine(tmp_path, Launch(template=template, model=str(tmp_path / "tiny.gguf")))
    question = Message(role=Role.USER, parts=(TextPart(text="hello"),))

    async def main() -> list[ChatEvent]:
        events: list[ChatEvent] = []
        async with _running(engine):
            (model,) = engine.models
            request = ChatRequest(
                model=model.key, messages=(question,), sampling=Sampling(max_tokens=8)
            )
            async with engine.ask(request) as ask:
                while batch := await ask.next_batch():
                    events += batch
        assert model.key == "tiny"
        return events

    assert isinstance(asyncio.run(main())[-1], Finished)
