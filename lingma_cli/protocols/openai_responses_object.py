"""The response object of OpenAI Responses: whole, and item by item for the stream.

Source: OpenAI API reference, "The response object". The stream's items, the body's and the stored
ones are made here, so they are the same, ids included.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import Enum
from http import HTTPStatus
from typing import Any, Final

from lingma_cli.core.chat import ChatRequest, Tool
from lingma_cli.core.collect import Block, Collector
from lingma_cli.core.events import BlockKind, BlockOpened, FinishReason, Usage
from lingma_cli.errors import FACES, ErrorKind, LingmaError
from lingma_cli.protocols.custom_tools import to_text
from lingma_cli.protocols.openai_responses_body import ResponsesThread

# OpenAI's schema takes these when they are there and refuses null.
_ECHOED_IF_SENT: Final = ("prompt_cache_retention", "user")


class Status(Enum):
    """How far a response has come."""

    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    INCOMPLETE = "incomplete"
    FAILED = "failed"
    CANCELLED = "cancelled"


def _unsaid() -> dict[str, Any]:
    """Return the fields that the client may set, as they are when it does not."""
    return {
        "instructions": None,
        "max_output_tokens": None,
        "max_tool_calls": None,
        "metadata": {},
        "parallel_tool_calls": True,
        "prompt_cache_key": None,
        "reasoning": {"effort": None, "summary": None},
        "safety_identifier": None,
        "temperature": None,
        "text": {},
        "tool_choice": "auto",
        "tools": [],
        "top_logprobs": 0,
        "top_p": None,
        "truncation": "disabled",
    }


def echo(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the answer to `body` repeats."""
    names = (*_unsaid(), *_ECHOED_IF_SENT)
    return {name: body[name] for name in names if body.get(name) is not None}


def status_of(answer: Collector) -> Status:
    """Return the status of an answer whose stream has ended."""
    if answer.error is not None:
        is_cancelled = answer.error.kind is ErrorKind.CANCELLED
        return Status.CANCELLED if is_cancelled else Status.FAILED
    is_cut = answer.reason is FinishReason.LENGTH
    return Status.INCOMPLETE if is_cut else Status.COMPLETED


def response_object(
    request: ChatRequest,
    answer: Collector | None,
    *,
    response_id: str,
    created: int,
    status: Status,
) -> dict[str, Any]:
    """Return the whole response object.

    Args:
        request: what was asked.
        answer: what has been answered so far, if anything.
        response_id: without the `resp_` in front.
        created: seconds since the epoch.
        status: see `status_of`; a `FAILED` one tells the answer's error.
    """
    answer = answer or Collector(model=request.model)
    thread = request.thread or ResponsesThread()
    said = thread.echo if isinstance(thread, ResponsesThread) else {}
    is_cut = status is Status.INCOMPLETE
    failed_with = answer.error if status in (Status.FAILED, Status.CANCELLED) else None
    whole = {
        "id": f"resp_{response_id}",
        "object": "response",
        "created_at": created,
        "status": status.value,
        "background": False,
        "error": _error(failed_with) if failed_with is not None else None,
        "incomplete_details": {"reason": "max_output_tokens"} if is_cut else None,
        "model": answer.model,
        "output": list(_output(request, answer, response_id, status)),
        "previous_response_id": thread.previous_id,
        "conversation": {"id": thread.conversation_id} if thread.conversation_id else None,
        "store": thread.store,
        **_unsaid(),
        **said,
    }
    text = {name: value for name, value in whole["text"].items() if value is not None}
    whole["text"] = {"format": {"type": "text"}, **text}
    whole["tools"] = [_tool(tool) for tool in whole["tools"]]
    if answer.usage is not None:
        whole["usage"] = _usage(answer.usage)
    return whole


def _output(
    request: ChatRequest, answer: Collector, response_id: str, status: Status
) -> Iterator[dict[str, Any]]:
    items = Items(request, response_id)
    # A text or a reasoning without a word is not told.
    told = [block for block in answer.blocks if block.text or block.kind is BlockKind.TOOL_CALL]
    for index, block in enumerate(told):
        is_last = index == len(told) - 1
        yield items.done(index, block, last_of=status if is_last else None)


class Items:
    """Makes the output items of one response.

    Args:
        request: what was asked; its tools tell what the client calls them.
        response_id: without the `resp_` in front.
    """

    def __init__(self, request: ChatRequest, response_id: str) -> None:
        self._tools = {tool.name: tool for tool in request.tools}
        self._response_id = response_id

    def added(self, index: int, opened: BlockOpened) -> dict[str, Any]:
        """Return the item number `index` as it stands before its first word."""
        block = Block(kind=opened.kind, text="", call_id=opened.call_id, name=opened.name)
        return self._item(index, block, "in_progress")

    def done(self, index: int, block: Block, *, last_of: Status | None = None) -> dict[str, Any]:
        """Return the item number `index` with its text.

        Args:
            index: its place in the output.
            block: its text.
            last_of: the status of the response, if this is its last item: a response that ended
                early ended in it.
        """
        is_whole = last_of in (None, Status.COMPLETED, Status.IN_PROGRESS)
        return self._item(index, block, "completed" if is_whole else "incomplete")

    def _tool(self, name: str) -> Tool:
        return self._tools.get(name) or Tool(name=name)

    def _item(self, index: int, block: Block, status: str) -> dict[str, Any]:
        is_begun = status == "in_progress"
        match block.kind:
            case BlockKind.TEXT:
                return {
                    "type": "message",
                    "id": self._id("msg", index),
                    "status": status,
                    "role": "assistant",
                    "content": [] if is_begun else [text_part(block.text)],
                }
            case BlockKind.REASONING:
                return {
                    "type": "reasoning",
                    "id": self._id("rs", index),
                    "summary": [] if is_begun else [summary_part(block.text)],
                }
            case BlockKind.TOOL_CALL:
                return self._call(index, block, status)

    def _call(self, index: int, block: Block, status: str) -> dict[str, Any]:
        tool = self._tool(block.name)
        named = {"call_id": block.call_id, "name": tool.client_name or tool.name}
        if tool.namespace is not None:
            named["namespace"] = tool.namespace
        if tool.custom:
            text = to_text(block.text) if block.text else ""
            head = {"type": "custom_tool_call", "id": self._id("ctc", index)}
            return {**head, **named, "input": text}
        head = {"type": "function_call", "id": self._id("fc", index), "status": status}
        return {**head, **named, "arguments": block.text}

    def _id(self, prefix: str, index: int) -> str:
        return f"{prefix}_{self._response_id}_{index}"


def text_part(text: str) -> dict[str, Any]:
    """Return the one part of a message."""
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def summary_part(text: str) -> dict[str, Any]:
    """Return the one part of a reasoning item."""
    return {"type": "summary_text", "text": text}


def _tool(tool: Mapping[str, Any]) -> dict[str, Any]:
    """Return a tool as the client sent it, with what OpenAI adds to a function."""
    unsaid = {"description": None, "parameters": None, "strict": None}
    is_function = tool.get("type", "function") == "function"
    return {**({"type": "function", **unsaid} if is_function else {}), **tool}


def _error(error: LingmaError) -> dict[str, Any]:
    face = FACES[error.kind]
    code = "server_error"
    if face.status == HTTPStatus.TOO_MANY_REQUESTS:
        code = "rate_limit_exceeded"
    elif face.status == HTTPStatus.BAD_REQUEST:
        code = "invalid_prompt"
    return {"code": code, "message": error.advice}


def _usage(usage: Usage) -> dict[str, Any]:
    return {
        "input_tokens": usage.input_tokens,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.input_tokens + usage.output_tokens,
    }


def response_of(item_id: str) -> str | None:
    """Return the id of the response that an output item of ours belongs to, as its own id tells."""
    pieces = item_id.split("_")
    return f"resp_{pieces[1]}" if len(pieces) == 3 else None
