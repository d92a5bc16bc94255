"""How a client's server and backends are, in one value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lingma_cli.client.calls import Kind
from lingma_cli.client.discovery import Backend, Backends
from lingma_cli.errors import LingmaError


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientStatus:
    """What is known now.

    Attributes:
        url: the server's address, ends in `/v1`.
        models: what it offers.
        trouble: why it did not tell its models, `None` if it did.
        is_llm_available: whether somebody is there to write text.
        is_embedding_available: the same for vectors.
        llm_backends: what discovery found last; none while it is off.
        embedding_backends: likewise.
        discovery_trouble: why they could not be learnt anew, `None` if they could.
    """

    url: str
    models: tuple[str, ...]
    trouble: str | None
    is_llm_available: bool
    is_embedding_available: bool
    llm_backends: tuple[Backend, ...]
    embedding_backends: tuple[Backend, ...]
    discovery_trouble: str | None


def status_of(
    url: str,
    models: Mapping[str, Kind] | LingmaError,
    backends: Backends,
    *,
    default_embedding_model: str | None,
    discovery_trouble: str | None,
) -> ClientStatus:
    """Return what follows from the server's models, or its error, and the backends found last.

    A model that the program embeds with by default counts as one for vectors, whatever the server
    calls it.
    """
    known = {} if isinstance(models, LingmaError) else dict(models)
    if default_embedding_model in known:
        known[default_embedding_model] = "embedding"
    return ClientStatus(
        url=url,
        models=tuple(known),
        trouble=models.message if isinstance(models, LingmaError) else None,
        is_llm_available=_is_there("llm", known, backends),
        is_embedding_available=_is_there("embedding", known, backends),
        llm_backends=backends.llm_backends,
        embedding_backends=backends.embedding_backends,
        discovery_trouble=discovery_trouble,
    )


def _is_there(kind: Kind, known: Mapping[str, Kind], backends: Backends) -> bool:
    usable = any(backend.is_usable for backend in backends.of_kind(kind))
    return usable or kind in known.values()
