"""From the name a client sends to a model of the engine. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from lingma_cli.core.chat import AskMode, ChatRequest, Model
from lingma_cli.core.notes import Note, NoteCode

AGENT_NAMES: Final = frozenset({"agent", "lingma-agent"})


def resolve_model(
    request: ChatRequest, models: Sequence[Model], *, default: str, default_mode: AskMode
) -> ChatRequest:
    """Return `request` with a key the engine knows and its ask mode.

    The name is matched by key, then by display name; `agent` and `lingma-agent` mean agent mode
    with the default model; anything else falls back to the default model with a note.
    """
    if request.model in AGENT_NAMES:
        key = _default_key(models, default)
        return replace(request, model=key, mode=AskMode.AGENT)
    by_name = {model.name: model.key for model in models} | {
        model.key: model.key for model in models
    }
    known = by_name.get(request.model)
    if known is not None:
        return replace(request, model=known, mode=default_mode)
    key = _default_key(models, default)
    notes = request.notes
    if request.model:
        sentence = f"{request.model!r} is not known, {key} serves"
        fallback = Note(code=NoteCode.MODEL_FALLBACK, text=sentence)
        notes = (*notes, fallback)
    return replace(request, model=key, mode=default_mode, notes=notes)


def _default_key(models: Sequence[Model], default: str) -> str:
    """Return the configured default, else the engine's own, else its first model."""
    keys = [model.key for model in models]
    if default in keys or not models:
        return default
    return next((model.key for model in models if model.is_default), keys[0])
