"""Which way tools take to a model."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lingma_cli.core.chat import AskMode, ChatRequest, ToolRoute
from lingma_cli.core.notes import codes
from lingma_cli.gateway.tool_routes import on_route, route_for
from tests.support.tool_turns import QUESTION

NATIVE, PROMPT, BOTH = ToolRoute.NATIVE, ToolRoute.PROMPT, ToolRoute.BOTH


def _routed(
    request: ChatRequest = QUESTION,
    *,
    setting: str = "auto",
    takes_tools: bool = False,
    learnt: ToolRoute | None = None,
) -> ChatRequest:
    return on_route(request, setting=setting, takes_tools=takes_tools, learnt=learnt)


@pytest.mark.parametrize(
    ("setting", "learnt", "route", "mode"),
    [
        ("auto", None, BOTH, AskMode.CHAT),
        ("auto", NATIVE, NATIVE, AskMode.AGENT),
        ("auto", PROMPT, PROMPT, AskMode.CHAT),
        ("native", None, NATIVE, AskMode.AGENT),
        ("native", PROMPT, NATIVE, AskMode.AGENT),
        ("prompt", None, PROMPT, AskMode.CHAT),
        ("prompt", NATIVE, PROMPT, AskMode.CHAT),
    ],
)
def test_routes(setting: str, learnt: ToolRoute | None, route: ToolRoute, mode: AskMode) -> None:
    """The setting comes first, then what was learnt; described tools are noted as such."""
    routed = _routed(setting=setting, learnt=learnt)

    assert (route, mode) == (routed.tool_route, routed.mode)
    assert (("tools_emulated",) if route is not NATIVE else ()) == codes(routed.notes)


@pytest.mark.parametrize("setting", ["auto", "native"])
def test_an_engine_that_takes_tools_gets_them(setting: str) -> None:
    """And in the mode that was asked for."""
    routed = _routed(setting=setting, takes_tools=True, learnt=PROMPT)

    assert (routed.tool_route, routed.mode, routed.notes) == (NATIVE, AskMode.CHAT, ())


def test_the_prompt_can_be_demanded_of_every_engine() -> None:
    """There are servers that say they take tools, and do not."""
    routed = _routed(setting="prompt", takes_tools=True)

    assert (routed.tool_route, codes(routed.notes)) == (PROMPT, ("tools_emulated",))


@pytest.mark.parametrize(
    ("setting", "takes_tools", "learnt", "route"),
    [
        ("auto", True, None, NATIVE),
        ("auto", False, None, BOTH),
        ("auto", False, PROMPT, PROMPT),
        ("prompt", True, None, PROMPT),
        ("native", False, None, NATIVE),
    ],
)
def test_the_way_is_known_without_a_request(
    setting: str, takes_tools: bool, learnt: ToolRoute | None, route: ToolRoute
) -> None:
    """It is what a request with tools gets."""
    known = route_for(setting=setting, takes_tools=takes_tools, learnt=learnt)

    assert known is route
    assert _routed(setting=setting, takes_tools=takes_tools, learnt=learnt).tool_route is route


@pytest.mark.parametrize("setting", ["auto", "native", "prompt", "off"])
def test_a_request_without_tools_stays_as_it_is(setting: str) -> None:
    """Not even its mode changes."""
    plain = replace(QUESTION, tools=())

    assert _routed(plain, setting=setting, learnt=NATIVE) is plain


def test_agent_mode_is_kept() -> None:
    """Who asks for it gets it on every route."""
    agent = replace(QUESTION, mode=AskMode.AGENT)

    assert {_routed(agent, learnt=learnt).mode for learnt in (None, PROMPT, NATIVE)} == {
        AskMode.AGENT
    }
