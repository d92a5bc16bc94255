"""Which way tools take to a model, and in which mode Lingma is asked for it. Pure."""

from __future__ import annotations

from dataclasses import replace

from lingma_cli.core.chat import AskMode, ChatRequest, ToolRoute
from lingma_cli.core.notes import Note, NoteCode


def on_route(
    request: ChatRequest, *, setting: str, takes_tools: bool, learnt: ToolRoute | None
) -> ChatRequest:
    """Return `request` with its route, and in agent mode when the route needs it.

    Args:
        request: with its model and mode resolved.
        setting: `auto`, `native` or `prompt`.
        takes_tools: whether the engine's models are known to take tools in the request.
        learnt: what was seen to work for this engine and model.
    """
    if not request.tools:
        return request
    route = route_for(setting=setting, takes_tools=takes_tools, learnt=learnt)
    if route is ToolRoute.NATIVE:
        # Lingma's own tool events come in agent mode.
        mode = request.mode if takes_tools else AskMode.AGENT
        return replace(request, tool_route=route, mode=mode)
    notes = (*request.notes, Note.of(NoteCode.TOOLS_EMULATED))
    return replace(request, tool_route=route, notes=notes)


def route_for(*, setting: str, takes_tools: bool, learnt: ToolRoute | None) -> ToolRoute:
    """Return the way that tools take now; `BOTH` until one is known to work.

    Args:
        setting: see `on_route`.
        takes_tools: see `on_route`.
        learnt: see `on_route`.
    """
    if setting == "prompt":
        return ToolRoute.PROMPT
    if setting == "native" or takes_tools:
        return ToolRoute.NATIVE
    return learnt or ToolRoute.BOTH
