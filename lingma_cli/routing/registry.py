"""The policies: one file and one line each."""

from __future__ import annotations

from typing import Final

from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.routing import (
    affinity,
    bucket,
    cache_aware,
    consistent_hashing,
    manual,
    power_of_two,
    prefix_hash,
    random_engine,
    round_robin,
)
from lingma_cli.routing.policy import PolicyKind

POLICIES: Final[tuple[PolicyKind, ...]] = (
    affinity.KIND,
    cache_aware.KIND,
    round_robin.KIND,
    random_engine.KIND,
    power_of_two.KIND,
    bucket.KIND,
    manual.KIND,
    consistent_hashing.KIND,
    prefix_hash.KIND,
)

POLICY_NAMES: Final[tuple[str, ...]] = tuple(kind.name for kind in POLICIES)


def policy_kind(name: str) -> PolicyKind:
    """Return the policy of that name.

    Raises:
        LingmaError: there is none.
    """
    for kind in POLICIES:
        if kind.name == name:
            return kind
    raise LingmaError(
        ErrorKind.USAGE, f"unknown policy: `{name}`", hint=f"use one of {', '.join(POLICY_NAMES)}"
    )
