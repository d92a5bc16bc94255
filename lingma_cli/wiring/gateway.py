"""The gateway from settings: what chooses, what retries, what is remembered."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Sequence
from typing import Final

from lingma_cli.control.breaker import Breaker, BreakerOptions
from lingma_cli.control.checker import CheckOptions
from lingma_cli.control.cooldown import Cooldown, CooldownOptions
from lingma_cli.control.parking import ParkingLimits, ParkingLot
from lingma_cli.control.registry import Registry
from lingma_cli.core.chat import AskMode
from lingma_cli.core.ids import random_hex
from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.gateway.admission import Admission, AdmissionLimits
from lingma_cli.gateway.failover import RetryOptions
from lingma_cli.gateway.gateway import Gateway, GatewayOptions
from lingma_cli.gateway.model_names import ModelRules, Rule
from lingma_cli.gateway.pipeline import ToolOptions
from lingma_cli.gateway.records import log_record
from lingma_cli.gateway.reuse import SessionReuse
from lingma_cli.gateway.router import PolicyRules, Router
from lingma_cli.metrics.tallies import Tallies
from lingma_cli.routing.models import ModelPolicies
from lingma_cli.routing.options import PolicyOptions
from lingma_cli.routing.registry import policy_kind
from lingma_cli.sessions.upstream import SessionLimits
from lingma_cli.settings import AUTO_POLICY, Settings

_MS: Final = 0.001


def build_gateway(settings: Settings, registry: Registry) -> Gateway:
    """Return the gateway over the engines of `registry`.

    Raises:
        LingmaError: a rule about models is none.
    """
    limits = AdmissionLimits(
        max_in_flight=settings.gateway_max_in_flight,
        queue_size=settings.queue_size,
        queue_timeout=settings.gateway_queue_timeout_sec,
    )
    parking = ParkingLimits(capacity=settings.parked_asks, seconds=settings.parked_timeout)
    options = GatewayOptions(
        startup_timeout=settings.startup_timeout,
        tools=ToolOptions(
            route=settings.tools if settings.tool_forward_enabled else "off",
            allowed=settings.tool_allowlist,
        ),
        retry=retry_options(settings),
    )
    return Gateway(
        _router(settings, registry),
        Admission(limits),
        ParkingLot(parking, time.monotonic),
        options,
        reuse=_session_reuse(settings, registry),
        new_id=random_hex,
        clock=time.monotonic,
        on_record=log_record,
    )


def model_rules(settings: Settings) -> ModelRules:
    """Return what is configured about the names of models.

    Raises:
        LingmaError: an alias or a fallback is no `name=model`.
    """
    return ModelRules(
        default=settings.default_model,
        default_mode=AskMode(settings.default_ask_mode),
        aliases=_rules(settings.model_aliases, "model_aliases"),
        fallbacks=_rules(settings.model_fallbacks, "model_fallbacks"),
    )


def policy_rules(settings: Settings) -> PolicyRules:
    """Return which policy chooses.

    Raises:
        LingmaError: a model's policy is no `model=policy`, or there is no such policy.
    """
    models = _rules(settings.model_policies, "model_policies")
    for _, name in models:
        policy_kind(name)
    is_auto = settings.policy == AUTO_POLICY
    return PolicyRules(policy="" if is_auto else settings.policy, models=models)


def policy_options(settings: Settings) -> PolicyOptions:
    """Return the options of all policies."""
    return PolicyOptions(
        cache_threshold=settings.cache_threshold,
        balance_abs_threshold=settings.balance_abs_threshold,
        balance_rel_threshold=settings.balance_rel_threshold,
        max_tree_size=settings.max_tree_size,
        eviction_interval_secs=settings.eviction_interval_secs,
        max_idle_secs=settings.max_idle_secs,
        assignment_mode=settings.assignment_mode,
        bucket_adjust_interval_secs=settings.bucket_adjust_interval_secs,
        prefix_token_count=settings.prefix_token_count,
        load_factor=settings.load_factor,
    )


def retry_options(settings: Settings) -> RetryOptions:
    """Return how often a request is put, and the pauses between."""
    return RetryOptions(
        attempts=1 if settings.disable_retries else settings.retry_max_retries,
        first_pause=settings.retry_initial_backoff_ms * _MS,
        longest_pause=settings.retry_max_backoff_ms * _MS,
        multiplier=settings.retry_backoff_multiplier,
        jitter=settings.retry_jitter_factor,
    )


def breaker_options(settings: Settings) -> BreakerOptions:
    """Return when the circuit breakers open and close."""
    return BreakerOptions(
        failures=0 if settings.disable_circuit_breaker else settings.cb_failure_threshold,
        window=settings.cb_window_duration_secs,
        pause=settings.cb_timeout_duration_secs,
        successes=settings.cb_success_threshold,
    )


def new_breaker(settings: Settings) -> Breaker:
    """Return the circuit breaker of one engine."""
    return Breaker(breaker_options(settings), time.monotonic)


def cooldown_options(settings: Settings) -> CooldownOptions:
    """Return how long engines rest when their quota is used up."""
    return CooldownOptions(first=settings.quota_cooldown, longest=settings.quota_cooldown_max)


def new_cooldown(settings: Settings) -> Cooldown:
    """Return what lets one engine rest when its quota is used up."""
    return Cooldown(cooldown_options(settings), time.monotonic)


def check_options(settings: Settings) -> CheckOptions:
    """Return how engines are checked."""
    return CheckOptions(
        interval=settings.health_check_interval_secs,
        timeout=settings.health_check_timeout_secs,
        strikes=settings.health_failure_threshold,
        successes=settings.health_success_threshold,
    )


def _router(settings: Settings, registry: Registry) -> Router:
    draw = random.SystemRandom().randrange
    policies = ModelPolicies(policy_options(settings), time.monotonic, draw)
    return Router(registry, model_rules(settings), policy_rules(settings), policies, Tallies())


def _session_reuse(settings: Settings, registry: Registry) -> SessionReuse:
    limits = SessionLimits(
        entries=settings.session_cache_max_entries,
        seconds=settings.session_cache_ttl_sec,
        bytes=settings.session_cache_bytes,
    )
    return SessionReuse(
        registry,
        limits if settings.session_reuse_enabled else None,
        secret=os.urandom(32),
        clock=time.monotonic,
    )


def _rules(entries: Sequence[str], key: str) -> tuple[Rule, ...]:
    rules = []
    for entry in entries:
        pattern, equals, target = (word.strip() for word in entry.partition("="))
        if not (pattern and equals and target):
            raise LingmaError(
                ErrorKind.USAGE,
                f"an entry of `{key}` is not of the form `name=value`: `{entry}`",
                hint="write it like `claude-*=org_auto`",
            )
        rules.append((pattern, target))
    return tuple(rules)
