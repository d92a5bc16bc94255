"""What both clients for programs know and decide; each of them does the I/O in its own way.

Owns the defaults, the backends that were found, and whether a failed attempt is followed by
another. Must not know: threads, tasks, connections.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Self

import httpx

from lingma_cli.client.calls import (
    Call,
    Kind,
    Messages,
    Options,
    chat_call,
    embed_call,
    generate_call,
    read_models,
)
from lingma_cli.client.discovery import (
    NO_BACKENDS,
    Attempts,
    Destination,
    Discovery,
    read_backends,
)
from lingma_cli.client.embedded import EmbeddedServer
from lingma_cli.client.finding import api_base, find_address
from lingma_cli.client.status import ClientStatus, status_of
from lingma_cli.client.transport import CONNECTION_ERRORS, as_secret, mapped
from lingma_cli.errors import LingmaError
from lingma_cli.secret import Secret


class ClientState:
    """One client's knowledge.

    Args:
        server: where calls go first.
        llm_model: for calls that name none.
        embedding_model: likewise, for vectors.
        admin_token: for discovery.
        embedded: the server, if it is the program's own.

    Attributes:
        discovery: `None` while it is off.
    """

    def __init__(
        self,
        server: Destination,
        *,
        llm_model: str | None,
        embedding_model: str | None,
        admin_token: Secret | None,
        embedded: EmbeddedServer | None = None,
    ) -> None:
        self.server = server
        self.admin_token = admin_token
        self.discovery: Discovery | None = None
        self._llm_model = llm_model
        self._embedding_model = embedding_model
        self._embedded = embedded
        self._backends = NO_BACKENDS
        self._discovery_trouble: str | None = None

    @classmethod
    def open(
        cls,
        control_plane_url: str | None,
        *,
        embedded: bool,
        llm_model: str | None,
        embedding_model: str | None,
        api_key: str | Secret | None,
        admin_token: str | Secret | None,
        environ: Mapping[str, str],
    ) -> Self:
        """Return the state of a new client; blocks while it looks around or starts a server.

        Raises:
            ValueError: an address and a server of its own at once.
            LingmaError: the address is none, no server is found, it does not start, or a key
                cannot be one.
        """
        if embedded and control_plane_url is not None:
            raise ValueError("give either `control_plane_url` or `embedded`, not both")
        key, token = as_secret(api_key), as_secret(admin_token)
        child: EmbeddedServer | None = None
        if embedded:
            child = EmbeddedServer.start(environ)
            server = Destination(url=api_base(child.url), api_key=key or child.api_key)
        else:
            key = key or as_secret(environ.get("LINGMA_API_KEY", "").strip())
            named = find_address(environ) if control_plane_url is None else control_plane_url
            server = Destination(url=api_base(named), api_key=key)
        return cls(
            server,
            llm_model=llm_model,
            embedding_model=embedding_model,
            admin_token=token,
            embedded=child,
        )

    def close(self) -> None:
        """End the server, if it is the program's own; blocks."""
        if self._embedded is not None:
            self._embedded.stop()

    def chat(self, messages: Messages, options: Options, *, stream: bool = False) -> Call:
        """Return the request for a chat's answer."""
        return chat_call(messages, options, self._llm_model, stream=stream)

    def generate(self, prompt: str, options: Options) -> Call:
        """Return the request for what comes after a prompt."""
        return generate_call(prompt, options, self._llm_model)

    def embed(self, texts: Sequence[str], model: str | None) -> Call:
        """Return the request for vectors."""
        return embed_call(texts, model or self._embedding_model)

    def begin_discovery(
        self, management_url: str | None, interval: float, backend_api_key: Secret | None
    ) -> Discovery:
        """Let backends count from now on; they are still to be asked for."""
        url = management_url or self.server.url
        self.discovery = Discovery.at(url, interval, backend_api_key)
        return self.discovery

    def learn(self, found: bytes | LingmaError, discovery: Discovery) -> None:
        """Take in what the control plane answered; if that is no list, the old one stays."""
        try:
            self._backends = read_backends(_checked(found), url=discovery.url)
            self._discovery_trouble = None
        except LingmaError as error:
            self._discovery_trouble = error.message

    def status(self, listed: bytes | LingmaError) -> ClientStatus:
        """Return how things are, given what the server answered about its models."""
        models: Mapping[str, Kind] | LingmaError
        try:
            models = read_models(_checked(listed), url=self.server.url)
        except LingmaError as error:
            models = error
        return status_of(
            self.server.url,
            models,
            self._backends,
            default_embedding_model=self._embedding_model,
            discovery_trouble=self._discovery_trouble,
        )

    def goes_on(self, error: httpx.RequestError, attempts: Attempts) -> Discovery:
        """Return whom to ask for backends after a failed attempt.

        Raises:
            LingmaError: what failed, if it is no matter of connections or discovery is off.
        """
        if self.discovery is None or not isinstance(error, CONNECTION_ERRORS):
            raise mapped(error, attempts.current.url) from error
        return self.discovery

    def move_on(self, attempts: Attempts, call: Call, discovery: Discovery) -> None:
        """Choose where the next attempt goes; raises as `Attempts.move_on`."""
        attempts.move_on(self._backends.of_kind(call.kind), discovery.backend_api_key)


def _checked(answer: bytes | LingmaError) -> bytes:
    if isinstance(answer, LingmaError):
        raise answer
    return answer
