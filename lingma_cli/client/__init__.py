"""The caller's side over HTTP: for our own commands (`server`), and for programs.

What programs need is found here by name and loaded when it is asked for: commands need not pay.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lingma_cli.client.async_client import AsyncLingmaClient
    from lingma_cli.client.calls import InferenceResult
    from lingma_cli.client.discovery import Backend
    from lingma_cli.client.status import ClientStatus
    from lingma_cli.client.sync_client import LingmaClient

__all__ = ["AsyncLingmaClient", "Backend", "ClientStatus", "InferenceResult", "LingmaClient"]


def __getattr__(name: str) -> object:
    places = {
        "AsyncLingmaClient": "async_client",
        "Backend": "discovery",
        "ClientStatus": "status",
        "InferenceResult": "calls",
        "LingmaClient": "sync_client",
    }
    if name not in places:
        raise AttributeError(f"module `{__name__}` has no `{name}`")
    found: object = getattr(import_module(f"{__name__}.{places[name]}"), name)
    return found
