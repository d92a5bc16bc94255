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
    if takes_tools:
        return replace(request, tool_route=ToolRoute.NATIVE)
    if setting == "native" or (setting == "auto" and learnt is ToolRoute.NATIVE):
        # Lingma's own tool events come in agent mode.
        return replace(request, tool_route=ToolRoute.NATIVE, mode=AskMode.AGENT)
    is_known = setting == "prompt" or learnt is ToolRoute.PROMPT
    return replace(
        request,
        tool_route=ToolRoute.PROMPT if is_known else ToolRoute.BOTH,
        notes=(*request.notes, Note.of(NoteCode.TOOLS_EMULATED)),
    )
