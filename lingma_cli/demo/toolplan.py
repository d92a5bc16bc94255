"""What an ask is to do about tools: what it offers, which steps are done, by which route. Pure.

Source: Lingma local protocol, sections 4.4 and 8.1. Prompts are flattened transcripts of any
client, so results are recognised loosely.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lingma_cli.demo import directives, outcomes
from lingma_cli.demo.directives import Directives
from lingma_cli.demo.rpc import Params
from lingma_cli.demo.toolcalls import Step

_RESULT = re.compile(
    r"^[ \t>*#\[-]*tool[ _]?result for(?:[ \t]+(?:id|call))?[ \t]*[`\"']?([^\s`\"':\]]*)"
    r"(?:[^\n:]*:)?[ \t]*\n?",
    re.IGNORECASE | re.MULTILINE,
)
_SECTION = re.compile(
    r"^[ \t]*(?:#+[ \t]*(?:last turn:[ \t]*)?tool(?:[ \t]+results?)?[ \t]*$"
    r"|\[tool(?:[ _]results?)?\]|tool(?:[ _]results?)?[ \t]*[:：]"
    r"|<tool_(?:result|response)\b[^\n>]*>)[^\n]*\n?",
    re.IGNORECASE | re.MULTILINE,
)
_TITLE = re.compile(
    r"^[ \t]*(?:#+[ \t]*(?:user|human|assistant|tool|last turn|now answer|instructions)\b"
    r"|\[(?:user|assistant|tool|system)\]|</tool_)",
    re.IGNORECASE | re.MULTILINE,
)
_NEXT = re.compile(
    "|".join(pattern.pattern for pattern in (_RESULT, _SECTION, _TITLE)),
    re.IGNORECASE | re.MULTILINE,
)
_AGENT_MODES = frozenset({"agent", "edit"})
_AGENT_SESSIONS = frozenset({"assistant", "developer", "ask"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """The tools of an ask: their names, where they stood, what was wrong with them."""

    names: tuple[str, ...] = ()
    place: str = "none"
    choice: object = None
    odd: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """`steps` are all wished for, `done` of them have results, `quotes` are the last results."""

    route: str
    offer: Offer
    is_agent: bool
    steps: tuple[Step, ...] = ()
    done: int = 0
    quotes: tuple[str, ...] = ()

    @property
    def left(self) -> tuple[Step, ...]:
        """The steps still to be played."""
        return self.steps[self.done :]


def make(params: Params, prompt: str, wish: Directives, side: str) -> Plan:
    """Plan an ask under the side switch `tools`."""
    offer = offered(params)
    agent = is_agent(params)
    route = _route(wish.via, side, agent=agent, forwarded=bool(offer.names))
    if wish.calls is None:
        return Plan(route=route, offer=offer, is_agent=agent)
    end = directives.end_of_last(prompt)
    results = results_in(prompt[end:])
    done = done_steps(wish.calls, offer, len(results))
    steps = wish.calls
    if wish.known and not _names_any(steps[done:], offer, directives.strip(prompt)):
        steps = steps[:done]
    last = len(steps[done - 1]) if 0 < done <= len(steps) else 0
    quotes = tuple(outcomes.quote(text) for text in results[-last:] if last)
    return Plan(route=route, offer=offer, is_agent=agent, steps=steps, done=done, quotes=quotes)


def offered(params: Params) -> Offer:
    """Find the tools of an ask: OpenAI function tools in `extra`, else at the top."""
    extra = params.get("extra")
    places: tuple[tuple[str, Any], ...] = (("extra", extra), ("top", params))
    for place, holder in places:
        tools = holder.get("tools") if isinstance(holder, dict) else None
        if isinstance(tools, list) and tools:
            names = [_name(tool) for tool in tools]
            known = tuple(name for name in names if name)
            choice = holder.get("toolChoice")
            odd = len(names) - len(known)
            return Offer(names=known, place=place, choice=choice, odd=odd)
    return Offer()


def _name(tool: object) -> str:
    """Return the name of an OpenAI function tool, empty for anything else."""
    function = tool.get("function") if isinstance(tool, dict) else None
    name = function.get("name") if isinstance(function, dict) else None
    return name if isinstance(name, str) else ""


def is_agent(params: Params) -> bool:
    """Whether an ask is of the agent's kind; sources disagree which field tells."""
    return (
        params.get("mode") in _AGENT_MODES
        or params.get("sessionType") in _AGENT_SESSIONS
        or "AGENT" in str(params.get("chatTask", "")).upper()
    )


def _route(via: str, side: str, *, agent: bool, forwarded: bool) -> str:
    if via != "auto":
        return via
    native = agent if side == "native-agent" else (agent or forwarded) and side == "native"
    return "native" if native else "text"


def _names_any(steps: Sequence[Step], offer: Offer, prompt: str) -> bool:
    names = {call.name for step in steps[:1] for call in step}
    return any(
        name in offer.names or re.search(rf"\b{re.escape(name)}\b", prompt) for name in names
    )


def results_in(transcript: str) -> list[str]:
    """Return the tool results of a transcript, in their order, one an id."""
    found: dict[str, str] = {}
    marks = list(_RESULT.finditer(transcript))
    for number, mark in enumerate(marks):
        found[mark[1] or f"#{number}"] = _until_next(transcript, mark.end())
    if found:
        return list(found.values())
    return [_until_next(transcript, mark.end()) for mark in _SECTION.finditer(transcript)]


def _until_next(transcript: str, start: int) -> str:
    following = _NEXT.search(transcript, start)
    return transcript[start : following.start() if following else None].strip()


def done_steps(steps: Sequence[Step], offer: Offer, results: int) -> int:
    """Tell how many steps so many results are of.

    A client merges calls that are the same and passes over those it never offered, so these have
    no results; and a step of which some results are there is done, because clients answer every
    call they have taken.
    """
    done, needed = 0, 0
    while done < len(steps) and needed < results:
        needed += max(1, _taken(steps[done], offer))
        done += 1
    return done


def _taken(step: Step, offer: Offer) -> int:
    distinct: list[tuple[str, object]] = []
    for call in step:
        key = (call.name, call.arguments)
        if key not in distinct and (not offer.names or call.name in offer.names):
            distinct.append(key)
    return len(distinct)
