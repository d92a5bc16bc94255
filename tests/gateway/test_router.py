"""Which engines may serve a request, and which of them does."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lingma_cli.control.registry import EngineState, Registry, Slot
from lingma_cli.core.chat import ChatRequest, Message, Model, Role, TextPart, Thread
from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.gateway.model_names import ModelRules
from lingma_cli.gateway.router import PolicyRules, Router
from lingma_cli.metrics.tallies import Tallies
from lingma_cli.routing.registry import POLICY_NAMES
from tests.support.house import router_of
from tests.support.routing import Watch
from tests.support.scripted_engine import ScriptedEngine

READY, STARTING, ERROR = EngineState.READY, EngineState.STARTING, EngineState.ERROR


def _slot(
    name: str,
    *models: str,
    state: EngineState = READY,
    default: str = "",
    kind: str = "llm",
    policy: str = "affinity",
) -> Slot:
    listed = [Model(key=key, name=key.title(), is_default=key == default) for key in models]
    engine = ScriptedEngine(name=name, models=listed)
    return Slot(engine=engine, state=state, kind=kind, policy=policy)


def _router(*slots: Slot, default: str = "auto", rules: PolicyRules | None = None) -> Router:
    names = ModelRules(default=default)
    rules = rules or PolicyRules()
    return router_of(Registry(slots), Tallies(), names=names, rules=rules, clock=Watch())


def _serving(name: str, *slots: Slot, default: str = "auto") -> str:
    router = _router(*slots, default=default)
    return "".join(slot.id for slot in router.serving(router.goals(name)[0])(slots))


def _request(text: str = "hi", *, user: str | None = None, conversation: str = "") -> ChatRequest:
    turn = Message(role=Role.USER, parts=(TextPart(text=text),))
    thread = Thread(conversation_id=conversation) if conversation else None
    return ChatRequest(model="auto", messages=(turn,), user=user, thread=thread)


def _chosen(
    router: Router, request: ChatRequest, headers: dict[str, str] | None = None, free: str = "abcd"
) -> str:
    goal = router.goals(request.model)[0]
    slots = router.serving(goal)(router.registry.slots)
    slot = router.chooser(request, goal, headers or {})(slots, set(free))
    return slot.id if slot is not None else "-"


# which may


def test_those_that_offer_the_model() -> None:
    """By key or display name, in the pool's order, ready or not; never one that embeds."""
    slots = (
        _slot("a", "auto", "x"),
        _slot("b", "x", state=ERROR),
        _slot("c", "auto"),
        _slot("d", "x", kind="embedding"),
    )

    assert _serving("x", *slots) == "ab"
    assert _serving("X", *slots) == "ab"
    assert _serving("auto", *slots) == "ac"


def test_unknown_names_go_where_the_default_is() -> None:
    """Not to an engine that would only put its own model in its place."""
    slots = (_slot("a", "tiny"), _slot("b", "auto"))

    assert _serving("gpt-4o", *slots) == "b"
    assert _serving("", *slots) == "b"


@pytest.mark.parametrize(
    ("state", "error", "serving"),
    [
        (STARTING, None, "b"),
        (READY, None, "b"),
        (STARTING, LingmaError(ErrorKind.ENGINE_FAILED, "died"), "a"),
        (ERROR, None, "a"),
    ],
)
def test_who_has_given_no_list_may_have_the_default(
    state: EngineState, error: LingmaError | None, serving: str
) -> None:
    """One that is about to start is waited for, one that has failed is not."""
    unlisted = _slot("b", state=state)
    unlisted.last_error = error

    assert _serving("gpt-4o", _slot("a", "tiny", default="tiny"), unlisted) == serving


def test_without_the_default_those_with_one_of_their_own() -> None:
    """Else all."""
    slots = (_slot("a", "tiny"), _slot("b", "small", default="small"))

    assert _serving("gpt-4o", *slots) == "b"
    assert _serving("gpt-4o", slots[0]) == "a"


# which does


@pytest.mark.parametrize("name", POLICY_NAMES)
def test_every_policy_can_be_asked_for(name: str) -> None:
    """It chooses among those that may be chosen, and the choice is counted under its name."""
    router = _router(_slot("a", "auto"), _slot("b", "auto"), rules=PolicyRules(policy=name))

    assert _chosen(router, _request(), free="b") == "b"
    assert [policy for policy, _ in router.tallies.choices] == [name]


def test_the_first_engine_s_policy_unless_one_is_configured() -> None:
    """For all models, or for some: the first pattern that fits."""
    slots = (_slot("a", "auto", policy="cache_aware"), _slot("b", "auto"))
    rules = PolicyRules(policy="random", models=[("b*", "manual"), ("au*", "bucket")])
    routers = [_router(*slots, rules=each) for each in (None, replace(rules, models=()), rules)]
    for router in routers:
        _chosen(router, _request())

    used = [next(iter(router.tallies.choices))[0] for router in routers]
    assert used == ["cache_aware", "random", "bucket"]


def test_a_display_name_has_the_policy_of_its_key() -> None:
    """And its object, which knows the requests that named the key."""
    slots = [_slot(name, "qk") for name in "ab"]
    router = _router(*slots, rules=PolicyRules(policy="random", models=[("qk", "round_robin")]))
    named = [replace(_request(), model=name) for name in ("qk", "Qk", "qk", "Qk")]

    assert [_chosen(router, request) for request in named] == ["a", "b", "a", "b"]
    assert [policy for policy, _ in router.tallies.choices] == ["round_robin"]


def test_the_routing_headers_reach_the_policy() -> None:
    """A key sticks, a target is taken at its word."""
    slots = [_slot(name, "auto") for name in "abcd"]
    manual = _router(*slots, rules=PolicyRules(policy="manual"))
    key = {"x-smg-routing-key": "k"}
    first = _chosen(manual, _request(), key)

    assert {_chosen(manual, _request(str(turn)), key) for turn in range(8)} == {first}
    ring = _router(*slots, rules=PolicyRules(policy="consistent_hashing"))
    assert _chosen(ring, _request(), {"x-smg-target-worker": "2"}) == "c"
    assert _chosen(ring, _request(), {"x-smg-target-worker": "9"}) == "-"


def test_a_stored_conversation_is_a_key() -> None:
    """Whatever is said in it, it stays on one engine."""
    slots = [_slot(name, "auto") for name in "abcd"]
    ring = _router(*slots, rules=PolicyRules(policy="consistent_hashing"))

    chosen = {_chosen(ring, _request(str(turn), conversation="conv_1")) for turn in range(8)}
    assert len(chosen) == 1


def test_a_prompt_goes_where_its_beginning_is() -> None:
    """The policy that needs the text gets it."""
    slots = [_slot(name, "auto", policy="cache_aware") for name in "ab"]
    router = _router(*slots)
    long = "the same long beginning of two prompts "
    first = _chosen(router, _request(long + "one"), free="b")

    assert (first, _chosen(router, _request(long + "two"))) == ("b", "b")


def test_the_policy_of_a_model_that_has_left_is_dropped() -> None:
    """With all it remembers: the next one of that name starts afresh."""
    kept, gone = _slot("a", "auto"), _slot("b", "other", state=READY)
    router = _router(kept, gone, rules=PolicyRules(policy="round_robin"))
    other = replace(_request(), model="other")
    assert _chosen(router, other) == "b"
    router.registry.move(gone, EngineState.STOPPED)
    router.registry.remove(gone)
    assert _chosen(router, _request()) == "a"
    for name in "cd":
        router.registry.add(_slot(name, "other"))

    assert [_chosen(router, other) for _ in range(3)] == ["c", "d", "c"]
