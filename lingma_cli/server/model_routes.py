"""`/v1/models`: one list in the forms that clients look for.

Source: OpenAI API reference, "Models"; Anthropic API reference, "Models" (asked for by the header
`anthropic-version`); Codex CLI, whose own catalogue stands beside `data` under `models`.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any, Final

from starlette.requests import Request
from starlette.types import ASGIApp

from lingma_cli.core.chat import Model
from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.gateway.gateway import Gateway
from lingma_cli.server.replies import json_app

_CODEX_INSTRUCTIONS: Final = (
    "You are a coding agent in the user's terminal. Work in the current folder with the tools you"
    " are given, and tell shortly what you did."
)


class ModelRoutes:
    """The handlers of `/v1/models`.

    Args:
        gateway: knows the models.
        started: seconds since the epoch, told as the date of every model.
    """

    def __init__(self, gateway: Gateway, *, started: int) -> None:
        self._gateway = gateway
        self._started = started

    async def list(self, request: Request) -> ASGIApp:
        """List what the engines offer now."""
        models = await self._gateway.models()
        writers = [model for model in models if model.kind == "llm"]
        if _is_anthropic(request):
            return json_app(self._anthropic_list(writers))
        data = [self._openai(model) for model in models]
        catalogue = [_codex(model, place) for place, model in enumerate(writers)]
        return json_app({"object": "list", "data": data, "models": catalogue})

    async def one(self, request: Request) -> ASGIApp:
        """Return one model by its key."""
        key, shown = request.path_params["model"], self._openai
        models = await self._gateway.models()
        if _is_anthropic(request):
            shown, models = self._anthropic, [one for one in models if one.kind == "llm"]
        for model in models:
            if model.key == key:
                return json_app(shown(model))
        raise LingmaError(ErrorKind.NOT_FOUND, f"there is no model `{key[:100]}`", param="model")

    def _openai(self, model: Model) -> dict[str, Any]:
        entry: dict[str, Any] = {
            "id": model.key,
            "object": "model",
            "created": self._started,
            "owned_by": "lingma",
            "name": model.name,
            "kind": model.kind,
            "capabilities": {"vision": model.vision, "reasoning": model.reasoning},
            "tools": self._gateway.tool_route(model.key),
        }
        if model.context_tokens:
            # Clients look for one name or the other.
            entry |= {
                "context_length": model.context_tokens,
                "context_window": model.context_tokens,
            }
        return entry

    def _anthropic_list(self, models: Sequence[Model]) -> dict[str, Any]:
        data = [self._anthropic(model) for model in models]
        return {
            "data": data,
            "has_more": False,
            "first_id": data[0]["id"] if data else None,
            "last_id": data[-1]["id"] if data else None,
        }

    def _anthropic(self, model: Model) -> dict[str, Any]:
        created = dt.datetime.fromtimestamp(self._started, dt.UTC)
        return {
            "type": "model",
            "id": model.key,
            "display_name": model.name,
            "created_at": created.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "max_input_tokens": model.context_tokens or None,
        }


def _is_anthropic(request: Request) -> bool:
    return "anthropic-version" in request.headers


def _codex(model: Model, place: int) -> dict[str, Any]:
    levels = [{"effort": "medium", "description": "as the model thinks by itself"}]
    return {
        "slug": model.key,
        "display_name": model.name,
        "description": None,
        "default_reasoning_level": "medium" if model.reasoning else None,
        "supported_reasoning_levels": levels if model.reasoning else [],
        "shell_type": "unified_exec",
        "visibility": "list",
        "supported_in_api": True,
        "priority": place,
        "upgrade": None,
        "base_instructions": _CODEX_INSTRUCTIONS,
        "supports_reasoning_summaries": model.reasoning,
        "support_verbosity": False,
        "default_verbosity": None,
        "apply_patch_tool_type": None,
        "truncation_policy": {"mode": "bytes", "limit": 10_000},
        "supports_parallel_tool_calls": True,
        "context_window": model.context_tokens or None,
        "experimental_supported_tools": [],
        "input_modalities": ["text", "image"] if model.vision else ["text"],
    }
