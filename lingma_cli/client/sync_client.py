"""The client for programs that wait: one method a question, and a thread for discovery."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Literal, Self, Unpack, overload

import httpx

from lingma_cli.client.calls import (
    Call,
    InferenceResult,
    Messages,
    Options,
    RequestType,
    TextReader,
    read_result,
    read_vectors,
)
from lingma_cli.client.discovery import BACKENDS_PATH, Attempts, Discovery
from lingma_cli.client.state import ClientState
from lingma_cli.client.status import ClientStatus
from lingma_cli.client.transport import (
    CONNECT_TIMEOUT,
    SHORT_TIMEOUT,
    address_checked,
    as_secret,
    bearer,
    errors_mapped,
    refusal,
    time_limits,
    uses_environment,
)
from lingma_cli.errors import LingmaError
from lingma_cli.secret import Secret


class LingmaClient:
    """Talks to a running server; made by `create`, ended by `close` or by its `with`.

    Several threads may use one. Every question raises `LingmaError` when it is not answered:
    `SERVER_NOT_FOUND` when nobody listens, the kind that the server names, or `ENGINE_FAILED` /
    `ENGINE_TIMEOUT` when it breaks off or stays silent.
    """

    def __init__(
        self,
        state: ClientState,
        *,
        timeout: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._state = state
        self._timeout = timeout
        self._clock = clock
        self._looking: threading.Thread | None = None
        self._stop_looking = threading.Event()
        # Two: proxies of the environment count for one of them.
        self._https: dict[bool, httpx.Client] = {}
        self._opening = threading.Lock()

    @classmethod
    def create(
        cls,
        *,
        control_plane_url: str | None = None,
        embedded: bool = False,
        default_llm_model: str | None = None,
        default_embedding_model: str | None = None,
        timeout: float = 60.0,
        api_key: str | Secret | None = None,
        admin_token: str | Secret | None = None,
        environ: Mapping[str, str] = os.environ,
    ) -> Self:
        """Return a client of the server that is named, found, or started.

        Args:
            control_plane_url: with or without `/v1`; without it `LINGMA_URL` counts, else the
                running server of this home, else one at port 8317 of this machine.
            embedded: start a server of this client's own, which `close` ends.
            default_llm_model: for calls that name none; without it the server chooses.
            default_embedding_model: likewise, for vectors.
            timeout: seconds of silence that end a call.
            api_key: without it `LINGMA_API_KEY` counts, or the embedded server's own.
            admin_token: for discovery.
            environ: where all that is read from.

        Raises:
            ValueError: `control_plane_url` and `embedded` at once.
            LingmaError: the address is none, no server is found, it does not start, or a key
                cannot be one.
        """
        state = ClientState.open(
            control_plane_url,
            embedded=embedded,
            llm_model=default_llm_model,
            embedding_model=default_embedding_model,
            api_key=api_key,
            admin_token=admin_token,
            environ=environ,
        )
        return cls(state, timeout=timeout)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop discovery, close all connections, and end the embedded server."""
        self._end_discovery()
        with self._opening:
            while self._https:
                self._https.popitem()[1].close()
        self._state.close()

    @overload
    def chat(
        self,
        messages: Messages,
        *,
        return_result: Literal[False] = False,
        **options: Unpack[Options],
    ) -> str: ...
    @overload
    def chat(
        self, messages: Messages, *, return_result: Literal[True], **options: Unpack[Options]
    ) -> InferenceResult: ...
    def chat(
        self, messages: Messages, *, return_result: bool = False, **options: Unpack[Options]
    ) -> str | InferenceResult:
        """Return the answer's text, or with `return_result` all that is known of it.

        Args:
            messages: the conversation as OpenAI writes it, or a text: one message of the user.
            return_result: whether the result comes as an object.
            options: `model`, `temperature`, `max_tokens` and `top_p`, as OpenAI means them; the
                server chooses what is not given.
        """
        result = self._result(self._state.chat(messages, options), "chat")
        return result if return_result else result.content

    @overload
    def generate(
        self, prompt: str, *, return_result: Literal[False] = False, **options: Unpack[Options]
    ) -> str: ...
    @overload
    def generate(
        self, prompt: str, *, return_result: Literal[True], **options: Unpack[Options]
    ) -> InferenceResult: ...
    def generate(
        self, prompt: str, *, return_result: bool = False, **options: Unpack[Options]
    ) -> str | InferenceResult:
        """Return what comes after `prompt`; needs an engine that completes text. See `chat`."""
        result = self._result(self._state.generate(prompt, options), "generate")
        return result if return_result else result.content

    def stream_chat(self, messages: Messages, **options: Unpack[Options]) -> Generator[str]:
        """Yield the answer's text piece by piece; closing the iterator early cancels it."""
        call = self._state.chat(messages, options, stream=True)
        reader = TextReader()
        with self._answer(call) as response, errors_mapped(str(response.url)):
            for chunk in response.iter_bytes():
                yield from reader.feed(chunk)
                if reader.has_ended:
                    return
        yield from reader.close()

    def embed(self, texts: str | Sequence[str], *, model: str | None = None) -> list[list[float]]:
        """Return one vector per text, also for one text alone; needs an engine that embeds."""
        texts = [texts] if isinstance(texts, str) else list(texts)
        if not texts:
            return []
        with self._answer(self._state.embed(texts, model)) as response:
            return read_vectors(_read(response), len(texts), url=str(response.url))

    def get_status(self) -> ClientStatus:
        """Ask the server what it offers; what goes wrong is told in the status."""
        server = self._state.server
        return self._state.status(self._look(f"{server.url}/models", server.api_key))

    @property
    def is_llm_available(self) -> bool:
        """Whether somebody is there to write text; asks the server."""
        return self.get_status().is_llm_available

    @property
    def is_embedding_available(self) -> bool:
        """Whether somebody is there to make vectors; asks the server."""
        return self.get_status().is_embedding_available

    def enable_backend_discovery(
        self,
        *,
        management_url: str | None = None,
        refresh_interval: float = 30.0,
        backend_api_key: str | Secret | None = None,
    ) -> None:
        """Learn the backends now and from now on, and turn to them when the server is not there.

        A question whose connection fails before its answer begins is put to the first healthy
        backend that it was not put to yet, in three attempts at most.

        Args:
            management_url: who lists them, with or without `/v1`; default: the server.
            refresh_interval: seconds between two looks, at least 5.
            backend_api_key: for the backends; they are never shown the server's own.
        """
        self._end_discovery()
        key = as_secret(backend_api_key)
        discovery = self._state.begin_discovery(management_url, refresh_interval, key)
        self._refresh(discovery)
        self._stop_looking = threading.Event()
        self._looking = threading.Thread(
            name="lingma-discovery",
            target=self._keep_looking,
            args=(discovery, self._stop_looking),
            daemon=True,
        )
        self._looking.start()

    def _keep_looking(self, discovery: Discovery, stop: threading.Event) -> None:
        while not stop.wait(discovery.interval):
            self._refresh(discovery)

    def _end_discovery(self) -> None:
        self._stop_looking.set()
        if self._looking is not None:
            self._looking.join(CONNECT_TIMEOUT + SHORT_TIMEOUT)
        self._looking = self._state.discovery = None

    def _refresh(self, discovery: Discovery) -> None:
        found = self._look(discovery.url + BACKENDS_PATH, self._state.admin_token)
        self._state.learn(found, discovery)

    def _result(self, call: Call, type_: RequestType) -> InferenceResult:
        begun = self._clock()
        with self._answer(call) as response:
            url, body = str(response.url), _read(response)
        return read_result(body, type_, url=url, latency_ms=(self._clock() - begun) * 1000)

    @contextmanager
    def _answer(self, call: Call) -> Iterator[httpx.Response]:
        response = self._reach(call)
        try:
            if not response.is_success:
                raise refusal(str(response.url), response.status_code, _read(response))
            yield response
        finally:
            response.close()

    def _reach(self, call: Call) -> httpx.Response:
        """Return the answer's head from the first destination that gives one."""
        attempts = Attempts(self._state.server)
        while True:
            there = attempts.current
            http = self._http(there.url)
            request = http.build_request(
                "POST",
                there.url + call.path,
                content=call.encode(there.model),
                headers={**bearer(there.api_key), "content-type": "application/json"},
            )
            try:
                return http.send(request, stream=True)
            except httpx.RequestError as error:
                discovery = self._state.goes_on(error, attempts)
            self._refresh(discovery)
            self._state.move_on(attempts, call, discovery)

    def _look(self, url: str, key: Secret | None) -> bytes | LingmaError:
        """Return what `url` answers soon, or why it does not."""
        try:
            with errors_mapped(url):
                http, shown = self._http(url), bearer(key)
                response = http.get(url, headers=shown, timeout=SHORT_TIMEOUT)
        except LingmaError as error:
            return error
        if not response.is_success:
            return refusal(url, response.status_code, response.content)
        return response.content

    def _http(self, url: str) -> httpx.Client:
        with address_checked(url), self._opening:
            is_far = uses_environment(url)
            if is_far not in self._https:
                limits = time_limits(self._timeout)
                self._https[is_far] = httpx.Client(trust_env=is_far, timeout=limits)
            return self._https[is_far]


def _read(response: httpx.Response) -> bytes:
    with errors_mapped(str(response.url)):
        return response.read()
