"""Engines in a line of text, a clock that is set by hand, and drawn numbers that are known."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from lingma_cli.routing.options import PolicyOptions
from lingma_cli.routing.policy import Candidate, Choice, Draw, Policy, RoutingRequest
from lingma_cli.routing.registry import policy_kind


class Watch:
    """A clock whose hands the test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def engines(line: str) -> list[Candidate]:
    """Read candidates such as `a b:3 c! d@2`: a load of 3, not eligible, generation 2."""
    return [_engine(word) for word in line.split()]


def _engine(word: str) -> Candidate:
    rest, _, generation = word.partition("@")
    eligible = not rest.endswith("!")
    name, _, load = rest.rstrip("!").partition(":")
    return Candidate(
        id=name, load=int(load or 0), eligible=eligible, generation=int(generation or 0)
    )


def drawing(*numbers: int) -> Draw:
    """Return a draw that gives these numbers in turn, and fails when one would be out of range."""
    left = list(numbers)

    def draw(below: int) -> int:
        number = left.pop(0)
        assert 0 <= number < below
        return number

    return draw


def never(below: int) -> int:
    """Draw nothing: the policy must not ask."""
    raise AssertionError(f"a number below {below} was drawn")


def policy(
    name: str,
    *,
    options: PolicyOptions | None = None,
    clock: Callable[[], float] | None = None,
    draw: Draw = never,
) -> Policy:
    """Build the policy `name`, by default with a clock that stands and no randomness."""
    kind = policy_kind(name)
    return kind.build(options or PolicyOptions(), clock or Watch(), draw)


def seeded(seed: int = 7) -> Draw:
    """Return real draws, the same ones for the same seed."""
    return random.Random(seed).randrange


def told(choice: Choice) -> str:
    """Write a choice as `engine branch`, `- branch` when there is none."""
    return f"{choice.engine or '-'} {choice.branch.value}"


def answers(policy: Policy, line: str, requests: Sequence[RoutingRequest]) -> list[str]:
    """Return what is chosen among the engines of `line` for each request."""
    return [told(policy.choose(engines(line), request)) for request in requests]
