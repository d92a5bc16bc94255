"""`/v1/embeddings` and `/v1/completions`: looked at just enough, and passed on.

Source: OpenAI API reference, "Embeddings" and "Completions (legacy)".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.types import ASGIApp, Scope, Send

from lingma_cli.errors import LingmaError
from lingma_cli.gateway.errands import Completions, Embeddings, Errand
from lingma_cli.gateway.forwarding import Forward, Forwarding
from lingma_cli.protocols.fields import convert, invalid
from lingma_cli.protocols.openai_error import encode_error
from lingma_cli.protocols.sse import COMMENT
from lingma_cli.server.bodies import read_object
from lingma_cli.server.doors import caller_of
from lingma_cli.server.exchange_response import Patience
from lingma_cli.server.house import House
from lingma_cli.server.pumped_response import PumpedResponse, notes_header
from lingma_cli.server.replies import send_error, send_json

OpenForward = Callable[[], AbstractAsyncContextManager[Forward]]

Tokens = list[int]
Texts = str | list[str | int | Tokens]


class _EmbeddingsBody(msgspec.Struct):
    input: Texts
    model: str | None = None
    user: str | None = None


class _CompletionsBody(msgspec.Struct):
    prompt: Texts
    model: str | None = None
    user: str | None = None
    stream: bool | None = None


class ForwardRoutes:
    """The handlers of both paths.

    Args:
        house: what every handler needs.
        forwarding: takes bodies to engines.
    """

    def __init__(self, house: House, forwarding: Forwarding) -> None:
        self._house = house
        self._forwarding = forwarding

    async def embeddings(self, request: Request) -> ASGIApp:
        """Turn texts into vectors."""
        body = await read_object(request, self._house.body_limit)
        shape = convert(body, _EmbeddingsBody)
        _check_texts(shape.input, "input")
        return self._forwarded(Embeddings(), body, request, streams=False)

    async def completions(self, request: Request) -> ASGIApp:
        """Go on with a plain text."""
        body = await read_object(request, self._house.body_limit)
        shape = convert(body, _CompletionsBody)
        _check_texts(shape.prompt, "prompt")
        return self._forwarded(Completions(), body, request, streams=bool(shape.stream))

    def _forwarded(
        self, errand: Errand, body: Mapping[str, Any], request: Request, *, streams: bool
    ) -> ASGIApp:
        return ForwardResponse(
            lambda: self._forwarding.open(
                errand,
                body,
                request_id=request.scope["state"]["request_id"],
                caller=caller_of(request),
                headers=request.headers,
            ),
            self._house.patience,
            streams=streams,
        )


class ForwardResponse(PumpedResponse[Forward]):
    """Passes one answer on as it is.

    Args:
        open_forward: called inside the response.
        patience: see `Patience`.
        streams: whether the client waits for events.
    """

    def __init__(self, open_forward: OpenForward, patience: Patience, *, streams: bool) -> None:
        super().__init__(
            stall_timeout=patience.stall_timeout,
            ping_interval=patience.ping_interval,
            ping=COMMENT if streams else None,
        )
        self._open_forward = open_forward

    async def _pump(self, scope: Scope, send: Send) -> None:
        try:
            async with self._open_forward() as forward:
                self._open(forward)
                whole = await self._passed(send, forward)
        except LingmaError as error:
            if not self._begun:
                await send_error(scope, send, error)
                return
            await self._write(send, b"data: %b\n\n" % encode_error(error))
            whole = b""
        finally:
            self._source = None
        if self._begun:
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        else:
            await send_json(send, 200, whole, notes_header(forward.notes))

    async def _passed(self, send: Send, forward: Forward) -> bytes:
        """Pass events on; what is no stream is returned as a whole."""
        chunk = await forward.next_chunk()
        if not forward.is_stream and not self._begun:
            await forward.next_chunk()
            return chunk
        if not forward.is_stream:
            # The client was told of a stream before the engine gave none.
            chunk = b"data: %b\n\ndata: [DONE]\n\n" % msgspec.json.format(chunk, indent=-1)
        while chunk:
            await self._write(send, chunk)
            chunk = await forward.next_chunk()
        return b""


_ONE_KIND: Final = "must be a text, or a list of texts, of tokens or of lists of tokens"


def _check_texts(texts: Texts, param: str) -> None:
    """Refuse what is empty, or of more than one kind."""
    if isinstance(texts, str):
        return
    if not texts:
        raise invalid("must not be empty", param=param)
    kind = type(texts[0])
    for index, text in enumerate(texts):
        if type(text) is not kind:
            raise invalid(_ONE_KIND, param=f"{param}[{index}]")
        if text == []:
            raise invalid("must not be empty", param=f"{param}[{index}]")
