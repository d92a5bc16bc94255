"""What a policy is to the rest of the house, and the values that it sees.

A policy is synchronous and total: it returns a choice for whatever it is given, and does no I/O.
It is told all engines that serve the request's model, also those that may not be chosen now, since
their places, keys and prefixes are kept for them; one that is missing has left for good. One
object serves one model.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final, Protocol

from lingma_cli.routing.options import PolicyOptions

Clock = Callable[[], float]
"""Seconds, never going back."""

Draw = Callable[[int], int]
"""Given n > 0, a number of 0…n-1, all equally likely (`random.Random.randrange`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """An engine that serves the model.

    Attributes:
        id: unique among the candidates, and the same for the engine's whole life. Several
            servers that are to agree on a choice must know the engine by the same one.
        load: requests in flight.
        eligible: whether it may be chosen now: ready, admitted by its breaker, with a place free.
        generation: grows with each start; what an older one had cached is lost.
    """

    id: str
    load: int = 0
    eligible: bool = True
    generation: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutingRequest:
    """What policies know of a request.

    Attributes:
        text: the whole prompt as plain text; may be empty when no policy in use needs it.
        user: the end user whom the client names.
        system: the system prompt.
        first_turn: the user's first turn.
        session: the conversation's own key, where the client gives one.
        routing_key: the header `x-smg-routing-key`.
        target: the header `x-smg-target-worker`: a candidate's place in the list, as text.
    """

    text: str = ""
    user: str = ""
    system: str = ""
    first_turn: str = ""
    session: str = ""
    routing_key: str = ""
    target: str | None = None


class Branch(Enum):
    """Why a policy chose as it did; a closed list, so that it can label a metric."""

    NO_ENGINE = "no_healthy_workers"
    NO_TEXT = "no_tokens"
    TARGET_MISS = "target_worker_miss"
    TARGET_HIT = "target_worker_hit"
    STICKY_HIT = "sticky_hit"
    LEAST_LOAD = "least_load"
    UNREADY_TURN = "unready_turn"
    TURN = "turn"
    DRAWN = "drawn"
    LOWER_LOAD = "lower_load"
    IMBALANCED = "imbalanced"
    PREFIX_HIT = "prefix_hit"
    OWNER_AWAY = "owner_away"
    BAND_HIT = "band_hit"
    BAND_MISS = "band_miss"
    NO_KEY = "no_routing_id"
    OCCUPIED_HIT = "occupied_hit"
    OCCUPIED_MISS = "occupied_miss"
    VACANT = "vacant"
    KEY_HIT = "routing_key_hit"
    RANDOM_FALLBACK = "random_fallback"
    RING_HIT = "ring_hit"
    LOAD_WALK = "load_balance_walk"


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The id of the candidate chosen, `None` for none of them, and why."""

    engine: str | None
    branch: Branch


NOBODY: Final = Choice(engine=None, branch=Branch.NO_ENGINE)


class Policy(Protocol):
    """A way of choosing."""

    @property
    def needs_text(self) -> bool:
        """Whether `RoutingRequest.text` must be filled in."""
        ...

    def choose(self, candidates: Sequence[Candidate], request: RoutingRequest) -> Choice:
        """Choose for a request, and remember what later choices depend on.

        Args:
            candidates: all engines that serve the model, always in the same order.
            request: what is known of the request.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyKind:
    """A policy as the registry lists it.

    Attributes:
        name: what users call it.
        help: what it does, one lower-case line.
        rules: its rules in detail, a Markdown list.
        options: the fields of `PolicyOptions` that it obeys.
        build: makes one for a model.
    """

    name: str
    help: str
    rules: str
    options: tuple[str, ...] = ()
    build: Callable[[PolicyOptions, Clock, Draw], Policy]
