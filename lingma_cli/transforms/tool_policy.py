"""Which of the offered tools may be used, before any engine is asked."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from lingma_cli.core.chat import ChatRequest, ToolChoice, ToolMode
from lingma_cli.core.notes import Note, NoteCode
from lingma_cli.errors import ErrorKind, LingmaError


def permitted(request: ChatRequest, *, off: bool, allowed: Collection[str]) -> ChatRequest:
    """Return `request` with the tools that may be used and a choice that fits them.

    Args:
        request: as the client sent it.
        off: offer no tools at all.
        allowed: the only names to offer; empty for any.

    Raises:
        LingmaError: a tool is demanded that may not be used, or was not offered.
    """
    if not request.tools and request.tool_choice.mode in (ToolMode.AUTO, ToolMode.NONE):
        return request
    if off or request.tool_choice.mode is ToolMode.NONE:
        notes = (Note.of(NoteCode.TOOLS_OFF),) if off else ()
        return _without_tools(request, *notes)
    kept = tuple(tool for tool in request.tools if not allowed or tool.name in allowed)
    left_out = [tool.name for tool in request.tools if tool not in kept]
    choice = request.tool_choice
    if choice.mode is ToolMode.NAMED and choice.name not in {tool.name for tool in kept}:
        why = "is not on the list of allowed tools" if choice.name in left_out else "is not offered"
        raise LingmaError(
            ErrorKind.INVALID_REQUEST, f"the tool `{choice.name}` {why}", param="tool_choice"
        )
    notes = ()
    if left_out:
        sentence = f"not on the list of allowed tools: {', '.join(left_out)[:200]}"
        notes = (Note(code=NoteCode.TOOL_DROPPED, text=sentence),)
    if not kept:
        if choice.mode is ToolMode.REQUIRED:
            notes = (*notes, Note.of(NoteCode.TOOL_CHOICE_IGNORED))
        return _without_tools(request, *notes)
    return replace(request, tools=kept, notes=(*request.notes, *notes))


def _without_tools(request: ChatRequest, *notes: Note) -> ChatRequest:
    return replace(request, tools=(), tool_choice=ToolChoice(), notes=(*request.notes, *notes))
