"""Both clients for programs behind one face, so that one test says what both must do."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

from lingma_cli.client import AsyncLingmaClient, ClientStatus, LingmaClient

T = TypeVar("T")

NOBODY: Mapping[str, str] = {"LINGMA_HOME": "/nowhere"}


class Driven:
    """The asynchronous client, driven from outside its loop as if it were the other one."""

    def __init__(self, runner: asyncio.Runner, client: AsyncLingmaClient) -> None:
        self._run: Callable[[Coroutine[Any, Any, Any]], Any] = runner.run
        self._client = client

    def chat(self, *args: Any, **options: Any) -> Any:
        return self._run(self._client.chat(*args, **options))

    def generate(self, *args: Any, **options: Any) -> Any:
        return self._run(self._client.generate(*args, **options))

    def embed(self, *args: Any, **options: Any) -> Any:
        return self._run(self._client.embed(*args, **options))

    def stream_chat(self, *args: Any, **options: Any) -> Iterator[str]:
        pieces = self._client.stream_chat(*args, **options)

        async def following() -> str | None:
            return await anext(pieces, None)

        try:
            while (piece := self._run(following())) is not None:
                yield piece
        finally:
            self._run(pieces.aclose())

    def get_status(self) -> ClientStatus:
        status: ClientStatus = self._run(self._client.get_status())
        return status

    @property
    def is_llm_available(self) -> bool:
        return bool(self._run(self._client.is_llm_available()))

    @property
    def is_embedding_available(self) -> bool:
        return bool(self._run(self._client.is_embedding_available()))

    def enable_backend_discovery(self, **options: Any) -> None:
        self._run(self._client.enable_backend_discovery(**options))


AnyClient = LingmaClient | Driven
Opener = Callable[..., Any]


@contextmanager
def waiting(**options: Any) -> Iterator[AnyClient]:
    """Open the client that waits."""
    with LingmaClient.create(**{"environ": NOBODY, **options}) as client:
        yield client


@contextmanager
def driven(**options: Any) -> Iterator[AnyClient]:
    """Open the client with an event loop."""
    with asyncio.Runner() as runner:
        client = runner.run(AsyncLingmaClient.create(**{"environ": NOBODY, **options}))
        try:
            yield Driven(runner, client)
        finally:
            runner.run(client.close())


BOTH: tuple[Opener, ...] = (waiting, driven)
