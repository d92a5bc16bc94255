"""Tool calls written as text, in the habits of many models. Pure and deterministic.

Source: Lingma local protocol, section 8.1. `quoted`, `blockquote`, `inline` and `example` look
like calls and are none; `unclosed`, `trailing` and `smart` are calls with a flaw.
"""

import json
import re
from collections.abc import Callable, Sequence

from lingma_cli.demo.toolcalls import ToolCall

_BEFORE = "I will use the tools now.\n\n"
_BETWEEN = "\n\nAnd one thing more:\n\n"
_AFTER = "\n\nThat is what I need."
_STRING = re.compile(r'"((?:\\.|[^"\\])*)"|(?<![\[{])([\]}])')

Write = Callable[[ToolCall], str]


def render(calls: Sequence[ToolCall], dialect: str, prose: str = "none") -> str:
    """Write the calls of one step, with the prose that is wished around them."""
    between = _BETWEEN if prose in {"between", "all"} else "\n\n"
    return before(prose) + _calls(calls, dialect, between) + after(prose)


def before(prose: str) -> str:
    """Return the sentence before native calls."""
    return _BEFORE if prose in {"before", "all"} else ""


def after(prose: str) -> str:
    """Return the sentence after native calls."""
    return _AFTER if prose in {"after", "all"} else ""


def _calls(calls: Sequence[ToolCall], dialect: str, between: str) -> str:
    objects = [_action(call) for call in calls]
    match dialect:
        case "array":
            return _fence("json action", _json([json.loads(one) for one in objects]))
        case "pair":
            return _fence("json action", "\n".join(objects))
        case "unclosed":
            return between.join(_fence("json action", one) for one in objects)[: -len("\n```")]
        case "openai":
            return _json({"tool_calls": [_openai(call, n) for n, call in enumerate(calls, 1)]})
        case "invoke":
            return f"<function_calls>\n{between.join(map(_invoke, calls))}\n</function_calls>"
        case "quoted" | "blockquote" | "inline" | "example":
            return _likeness(objects, dialect)
        case _:
            return between.join(map(_WRITERS[dialect], calls))


def _likeness(objects: Sequence[str], dialect: str) -> str:
    """Write what looks like a call and is none."""
    fences = "\n\n".join(_fence("json action", one) for one in objects)
    match dialect:
        case "quoted":
            return f"A call would look like this:\n\n````markdown\n{fences}\n````\n\nI make none."
        case "blockquote":
            lines = "\n".join(f"> {line}".rstrip() for line in fences.splitlines())
            return f"The manual says:\n\n{lines}\n\nI make none."
        case "inline":
            return f"A call is written `{'` or `'.join(objects)}`. I make none."
        case _:
            body = _fence("json", _json({"name": "demo-package", "version": "1.0.0"}))
            return f"A package looks like this:\n\n{body}\n\nI make no call."


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _fence(info: str, body: str) -> str:
    return f"```{info}\n{body}\n```"


def _action(call: ToolCall) -> str:
    return _json({"tool": call.name, "parameters": call.arguments})


def _named(call: ToolCall) -> str:
    return _json({"name": call.name, "arguments": call.arguments})


def _openai(call: ToolCall, number: int) -> dict[str, object]:
    function = {"name": call.name, "arguments": _json(call.arguments)}
    return {"id": f"call_{number}", "type": "function", "function": function}


def _python(call: ToolCall) -> str:
    keywords = ", ".join(f"{name}={value!r}" for name, value in call.arguments.items())
    return _fence("tool_code", f"{call.name}({keywords})")


def _value(value: object) -> str:
    return value if isinstance(value, str) else _json(value)


def _function(call: ToolCall) -> str:
    pairs = call.arguments.items()
    lines = [f"<parameter={name}>\n{_value(value)}\n</parameter>" for name, value in pairs]
    return "\n".join([f"<function={call.name}>", *lines, "</function>"])


def _invoke(call: ToolCall) -> str:
    pairs = call.arguments.items()
    lines = [f'<parameter name="{name}">{_value(value)}</parameter>' for name, value in pairs]
    return "\n".join([f'<invoke name="{call.name}">', *lines, "</invoke>"])


def _flawed(text: str, *, smart: bool) -> str:
    """Put smart quotes around the strings of a JSON text, or a comma before every end."""

    def change(match: re.Match[str]) -> str:
        if match[1] is None:
            return match[0] if smart else f",{match[0]}"
        return f"“{match[1]}”" if smart else match[0]

    return _STRING.sub(change, text)


_WRITERS: dict[str, Write] = {
    "action": lambda call: _fence("json action", _action(call)),
    "json": lambda call: _fence("json", _named(call)),
    "string": lambda call: _fence(
        "json action", _json({"tool": call.name, "input": _json(call.arguments)})
    ),
    "loose": lambda call: _fence("json action", _json({"tool": call.name, **call.arguments})),
    "bare": _named,
    "tool_code": _python,
    "tool_call": lambda call: f"<tool_call>\n{_named(call)}\n</tool_call>",
    "function": _function,
    "trailing": lambda call: _fence("json action", _flawed(_action(call), smart=False)),
    "smart": lambda call: _fence("json action", _flawed(_action(call), smart=True)),
}
