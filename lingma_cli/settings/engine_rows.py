"""The rows of the settings table that are about several engines: which, chosen how, watched how."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from lingma_cli.routing.options import option_table
from lingma_cli.routing.registry import POLICY_NAMES
from lingma_cli.settings.row import Table, row

AUTO_POLICY: Final = "auto"

_OPTIONS: Final = {item.name: (item.default, option) for item, option in option_table()}


def _policy_row(name: str) -> Any:
    """Return the row of an option that the policies declare."""
    default, option = _OPTIONS[name]
    return row(
        default,
        option.help,
        f"--{name.replace('_', '-')}",
        choices=option.choices,
        minimum=option.minimum,
        maximum=option.maximum,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineRows:
    """Engines, routing, retries, health; see `Settings`."""

    # which engines
    instance_count: str = row(
        "", "Lingma engines to run, 0 for none; unset, or no number: one per account", "--engines"
    )
    engines: tuple[Table, ...] = row(
        (), "OpenAI-compatible servers: tables with `url`, and as need be `id`, `model`, `kind`, …"
    )
    engine_templates: tuple[Table, ...] = row(
        (), "commands that start servers: tables with `name`, `command`, …"
    )
    engine_max_in_flight: int = row(
        0, "requests that one Lingma engine serves at once; 0 for any number", minimum=0
    )
    engine_startup_timeout: float = row(
        600.0, "seconds that a server started from a template may take to get ready", minimum=0.1
    )
    engine_drain_timeout: float = row(
        30.0, "seconds that an engine's answers get when it is stopped", minimum=0
    )

    # which of them serves
    policy: str = row(
        AUTO_POLICY,
        "how an engine is chosen; auto: affinity for Lingma, else cache_aware",
        "--policy",
        choices=(AUTO_POLICY, *POLICY_NAMES),
    )
    model_policies: tuple[str, ...] = row(
        (), "`model=policy` for models that want another one; `*` stands for anything"
    )
    model_aliases: tuple[str, ...] = row(
        (), "`name=model`: what clients call a model; `*` stands for anything", "--alias"
    )
    model_fallbacks: tuple[str, ...] = row(
        (), "`model=other`: who serves when all engines of a model are out", "--fallback"
    )
    cache_threshold: float = _policy_row("cache_threshold")
    balance_abs_threshold: int = _policy_row("balance_abs_threshold")
    balance_rel_threshold: float = _policy_row("balance_rel_threshold")
    max_tree_size: int = _policy_row("max_tree_size")
    eviction_interval_secs: float = _policy_row("eviction_interval_secs")
    max_idle_secs: float = _policy_row("max_idle_secs")
    assignment_mode: str = _policy_row("assignment_mode")
    bucket_adjust_interval_secs: float = _policy_row("bucket_adjust_interval_secs")
    prefix_token_count: int = _policy_row("prefix_token_count")
    load_factor: float = _policy_row("load_factor")

    # when one fails
    retry_max_retries: int = row(
        5, "engines that a request is tried on, the first one included", minimum=1
    )
    retry_initial_backoff_ms: float = row(50.0, "milliseconds before the second try", minimum=0.001)
    retry_max_backoff_ms: float = row(
        30_000.0, "milliseconds that a pause between tries grows to", minimum=0.001
    )
    retry_backoff_multiplier: float = row(1.5, "how such a pause grows", minimum=1)
    retry_jitter_factor: float = row(
        0.2, "part of a pause by which it is varied", minimum=0, maximum=1
    )
    disable_retries: bool = row(
        False,  # noqa: FBT003 - a default in a table
        "try each request on one engine only",
        "--disable-retries",
    )
    cb_failure_threshold: int = row(
        10, "failures in a row after which an engine is left alone", minimum=1
    )
    cb_success_threshold: int = row(
        3, "successes in a row after which it is trusted again", minimum=1
    )
    cb_timeout_duration_secs: float = row(
        60.0, "seconds that it is left alone before one request tries it", minimum=0.1
    )
    cb_window_duration_secs: float = row(
        120.0, "seconds within which the failures must lie", minimum=0.1
    )
    disable_circuit_breaker: bool = row(
        False,  # noqa: FBT003 - a default in a table
        "trust engines however often they fail",
        "--disable-circuit-breaker",
    )
    quota_cooldown: float = row(
        60.0, "seconds that an engine rests when its quota is used up, at first", minimum=1
    )
    quota_cooldown_max: float = row(3600.0, "seconds that such a rest grows to", minimum=1)
    health_check_interval_secs: float = row(
        10.0, "seconds between checks of all engines", minimum=0.1
    )
    health_check_timeout_secs: float = row(
        5.0, "seconds that an engine has for its answer to a check", minimum=0.1
    )
    health_failure_threshold: int = row(
        3, "failed checks in a row that put an engine out", minimum=1
    )
    health_success_threshold: int = row(2, "good checks in a row after which it is back", minimum=1)
    disable_health_check: bool = row(
        False,  # noqa: FBT003 - a default in a table
        "check no engine",
        "--disable-health-check",
    )

    # connections to OpenAI-compatible servers
    pool_idle_timeout_secs: float = row(
        50.0, "seconds that an idle connection to a server is kept", minimum=0
    )
    connect_timeout_secs: float = row(
        10.0, "seconds that a connection to a server may take", minimum=0.01
    )
    pool_max_idle_per_host: int = row(500, "idle connections kept to one server", minimum=0)
    tcp_keepalive_secs: float = row(
        30.0, "seconds of silence after which such a connection is probed", minimum=1
    )
