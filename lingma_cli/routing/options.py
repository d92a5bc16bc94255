"""What can be set about policies: one table for settings, help, validation and reference."""

from __future__ import annotations

from dataclasses import Field, dataclass, field, fields
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """What the table knows about an option besides its name, type and default.

    Attributes:
        help: one line, lower-case.
        choices: the only values allowed, empty for any.
        minimum: the smallest number allowed.
        maximum: the largest number allowed.
    """

    help: str
    choices: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None


def _option(default: Any, help_: str, **more: Any) -> Any:
    return field(default=default, metadata={"option": Option(help=help_, **more)})


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyOptions:
    """Every option of every policy, within its bounds."""

    cache_threshold: float = _option(
        0.3,
        "share of a prompt that an engine must have seen to be chosen for it",
        minimum=0,
        maximum=1,
    )
    balance_abs_threshold: int = _option(
        64, "difference between the highest and the lowest load that is still even", minimum=0
    )
    balance_rel_threshold: float = _option(
        1.5, "ratio of the highest to the lowest load that is still even", minimum=1
    )
    max_tree_size: int = _option(
        67_108_864, "characters of prompts remembered for each engine", minimum=1
    )
    eviction_interval_secs: float = _option(
        60.0, "seconds between clean-ups of remembered prompts and keys; 0 for none", minimum=0
    )
    max_idle_secs: float = _option(
        14_400.0, "seconds after which an unused routing key is forgotten", minimum=1
    )
    assignment_mode: str = _option(
        "random",
        "how a new routing key gets its engine",
        choices=("random", "min_load", "min_group"),
    )
    bucket_adjust_interval_secs: float = _option(
        5.0, "seconds between adjustments of the length bands", minimum=1, maximum=2**32 - 1
    )
    prefix_token_count: int = _option(
        256, "tokens of a prompt that choose its engine, at four characters each", minimum=1
    )
    load_factor: float = _option(
        1.25, "load, in averages, up to which an engine keeps its prefixes", minimum=1
    )


def option_table() -> tuple[tuple[Field[Any], Option], ...]:
    """Return the options with their fields, in the order of declaration."""
    return tuple((item, item.metadata["option"]) for item in fields(PolicyOptions))
