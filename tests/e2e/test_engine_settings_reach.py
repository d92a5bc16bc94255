"""The settings about several engines reach whoever must obey them, each by its value.

`test_settings_reach` has the others, and sees that none is missing. What would take a minute to be
felt is looked up at the very object that obeys it, built as the server builds it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from lingma_cli.control.fleet import Fleet
from lingma_cli.control.registry import Slot
from lingma_cli.gateway.gateway import Gateway
from lingma_cli.paths import find_paths
from lingma_cli.settings import environment_name, resolve
from lingma_cli.wiring.gateway import build_gateway, check_options
from lingma_cli.wiring.pool import build_pool
from lingma_cli.wiring.surroundings import Surroundings
from lingma_cli.wiring.vault import VaultDoor
from tests.support.openai_server import OpenAiServer, json_reply, openai_server
from tests.support.serving import Serving, serving, wait_until

AWAY = '[{"url": "http://127.0.0.1:9", "id": "away", "model": "far"}]'
OWN_SERVER = [{"id": "own", "template": "mine", "model": "thing"}]
OWN_TEMPLATE = [
    {"name": "mine", "command": [sys.executable, "-c", "input('{port}')", "--model", "{model}"]}
]


# what a running server shows


def has_engines(*names: str) -> Callable[[Serving], None]:
    """Check `instance_count` and `engines`."""

    def check(server: Serving) -> None:
        instances = server.get("/healthz").json()["instances"]
        assert [one["name"] for one in instances] == list(names)

    return check


def runs_the_command(server: Serving) -> None:
    """Check `engine_templates`."""

    def runs() -> bool:
        lines = [" ".join(child.cmdline()) for child in server.children()]
        return any("--model thing" in line and "input('" in line for line in lines)

    wait_until(runs, within=10, what="the command of the template")


def chooses_by(model: str, policy: str) -> Callable[[Serving], None]:
    """Check `policy` and `model_policies`."""

    def check(server: Serving) -> None:
        server.post({"model": model, "messages": [{"role": "user", "content": "hi"}]})
        page = server.get("/metrics").text
        assert [line for line in page.splitlines() if f'policy="{policy}"' in line], page

    return check


def serves_as(name: str, key: str, *notes: str) -> Callable[[Serving], None]:
    """Check `model_aliases` and `model_fallbacks`."""

    def check(server: Serving) -> None:
        answer = server.post({"model": name, "messages": [{"role": "user", "content": "hi"}]})
        told = answer.headers.get("x-lingma-notes", "").replace(" ", "").split(",")
        assert answer.json()["model"] == key
        assert [note for note in told if note == "model_fallback"] == list(notes)

    return check


def shows_the_limit(server: Serving) -> None:
    """Check `engine_max_in_flight`."""
    engines = server.get("/v1/management/engines").json()["engines"]
    assert [one["max_concurrent_requests"] for one in engines] == [7]


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A value, what else is set, and what the server shows then."""

    value: str
    check: Callable[[Serving], None]
    environ: dict[str, str] = field(default_factory=dict)


SHOWN: dict[str, Shown] = {
    "instance_count": Shown(value="2", check=has_engines("demo-0", "demo-1")),
    "engines": Shown(value=AWAY, check=has_engines("demo-0", "away")),
    "engine_templates": Shown(
        value=json.dumps(OWN_TEMPLATE),
        check=runs_the_command,
        environ={"LINGMA_ENGINES": json.dumps(OWN_SERVER)},
    ),
    "engine_max_in_flight": Shown(value="7", check=shows_the_limit),
    "policy": Shown(value="round_robin", check=chooses_by("org_auto", "round_robin")),
    "model_policies": Shown(value="km*=manual", check=chooses_by("kmodel", "manual")),
    "model_aliases": Shown(value="claude-*=kmodel", check=serves_as("claude-opus", "kmodel")),
    "model_fallbacks": Shown(
        value="far=kmodel",
        check=serves_as("far", "kmodel", "model_fallback"),
        environ={"LINGMA_ENGINES": AWAY},
    ),
}


@pytest.mark.parametrize("key", SHOWN)
def test_setting_shows(tmp_path: Path, key: str) -> None:
    """The value, given by the environment, changes what it should."""
    shown = SHOWN[key]
    environ = {environment_name(key): shown.value, **shown.environ}

    with serving(tmp_path / "home", "--demo", "--no-auth", environ=environ) as server:
        shown.check(server)


@pytest.mark.parametrize(
    ("said", "told"), [((), "affinity"), (("--policy", "round_robin"), "round_robin")]
)
def test_the_control_plane_names_the_policy(
    tmp_path: Path, said: tuple[str, ...], told: str
) -> None:
    """What really chooses, not the word for "whatever suits"."""
    with serving(tmp_path, "--demo", *said) as server:
        status = server.get("/v1/management/status").json()

    assert status["control_plane"]["routing_strategy"] == told


# what is looked up where it is obeyed


@dataclass(frozen=True, kw_only=True)
class Built:
    """The parts of a server that has not been started."""

    gateway: Gateway
    fleet: Fleet
    lingma: Slot
    http: Slot
    managed: Slot
    checks: Any


def built(folder: Path, environ: dict[str, str]) -> Built:
    """Return them, with a Lingma engine, a registered one, and one from a template."""
    paths = find_paths({"LINGMA_HOME": str(folder)})
    engines = [{"url": "http://127.0.0.1:9", "id": "far"}, *OWN_SERVER]
    given = {
        "LINGMA_DEMO": "true",
        "LINGMA_ENGINES": json.dumps(engines),
        "LINGMA_ENGINE_TEMPLATES": json.dumps(OWN_TEMPLATE),
        **environ,
    }
    settings = resolve({}, given, paths.config_file).settings
    around = Surroundings(
        settings=settings,
        paths=paths,
        environ={},
        command=("lingma",),
        open_vault=VaultDoor(settings, paths, warn=pytest.fail, ask=pytest.fail).open,
        warn=pytest.fail,
    )
    pool = build_pool(around, lambda _: None)
    lingma, http, managed = pool.supervisor.registry.slots
    return Built(
        gateway=build_gateway(settings, pool.supervisor.registry),
        fleet=pool.fleet,
        lingma=lingma,
        http=http,
        managed=managed,
        checks=check_options(settings),
    )


def policy_option(name: str) -> Callable[[Built], object]:
    """Look at what every policy is given."""

    def look(parts: Built) -> object:
        router: Any = parts.gateway._seating._router
        return getattr(router._policies._options, name)

    return look


def retry(name: str) -> Callable[[Built], object]:
    """Look at what failover is given."""
    return lambda parts: getattr(parts.gateway._options.retry, name)


def breaker(name: str) -> Callable[[Built], object]:
    """Look at the breaker of each engine."""

    def look(parts: Built) -> object:
        slots = (parts.lingma, parts.http, parts.managed)
        values = {getattr(slot.breaker._options, name) for slot in slots}
        return values.pop() if len(values) == 1 else values

    return look


def cooldown(name: str) -> Callable[[Built], object]:
    """Look at the cooldown of each engine."""

    def look(parts: Built) -> object:
        slots = (parts.lingma, parts.http, parts.managed)
        values = {getattr(slot.cooldown._options, name) for slot in slots}
        return values.pop() if len(values) == 1 else values

    return look


def connections(name: str) -> Callable[[Built], object]:
    """Look at the connections of each HTTP engine."""

    def look(parts: Built) -> object:
        engines: list[Any] = [parts.http.engine, parts.managed.engine]
        values = {getattr(engine._options.pool, name) for engine in engines}
        return values.pop() if len(values) == 1 else values

    return look


def checks(name: str) -> Callable[[Built], object]:
    """Look at what the checker is given."""
    return lambda parts: getattr(parts.checks, name)


def managed_startup(parts: Built) -> object:
    """Look at the engine from a template."""
    engine: Any = parts.managed.engine
    return engine._managed.startup_timeout


def drain(parts: Built) -> object:
    """Look at who drains."""
    return parts.fleet._drain_seconds


LOOKED_UP: dict[str, tuple[str, object, Callable[[Built], object]]] = {
    "engine_startup_timeout": ("7.5", 7.5, managed_startup),
    "engine_drain_timeout": ("7.5", 7.5, drain),
    "cache_threshold": ("0.5", 0.5, policy_option("cache_threshold")),
    "balance_abs_threshold": ("7", 7, policy_option("balance_abs_threshold")),
    "balance_rel_threshold": ("7.5", 7.5, policy_option("balance_rel_threshold")),
    "max_tree_size": ("7", 7, policy_option("max_tree_size")),
    "eviction_interval_secs": ("7.5", 7.5, policy_option("eviction_interval_secs")),
    "max_idle_secs": ("7.5", 7.5, policy_option("max_idle_secs")),
    "assignment_mode": ("min_load", "min_load", policy_option("assignment_mode")),
    "bucket_adjust_interval_secs": ("7.5", 7.5, policy_option("bucket_adjust_interval_secs")),
    "prefix_token_count": ("7", 7, policy_option("prefix_token_count")),
    "load_factor": ("7.5", 7.5, policy_option("load_factor")),
    "retry_max_retries": ("7", 7, retry("attempts")),
    "retry_initial_backoff_ms": ("75", 0.075, retry("first_pause")),
    "retry_max_backoff_ms": ("75", 0.075, retry("longest_pause")),
    "retry_backoff_multiplier": ("7.5", 7.5, retry("multiplier")),
    "retry_jitter_factor": ("0.5", 0.5, retry("jitter")),
    "disable_retries": ("true", 1, retry("attempts")),
    "cb_failure_threshold": ("7", 7, breaker("failures")),
    "cb_success_threshold": ("7", 7, breaker("successes")),
    "cb_timeout_duration_secs": ("7.5", 7.5, breaker("pause")),
    "cb_window_duration_secs": ("7.5", 7.5, breaker("window")),
    "disable_circuit_breaker": ("true", 0, breaker("failures")),
    "quota_cooldown": ("7.5", 7.5, cooldown("first")),
    "quota_cooldown_max": ("7.5", 7.5, cooldown("longest")),
    "health_check_interval_secs": ("7.5", 7.5, checks("interval")),
    "health_check_timeout_secs": ("7.5", 7.5, checks("timeout")),
    "health_failure_threshold": ("7", 7, checks("strikes")),
    "health_success_threshold": ("7", 7, checks("successes")),
    "pool_idle_timeout_secs": ("7.5", 7.5, connections("idle_timeout")),
    "connect_timeout_secs": ("7.5", 7.5, connections("connect_timeout")),
    "pool_max_idle_per_host": ("7", 7, connections("max_idle")),
    "tcp_keepalive_secs": ("7.5", 7.5, connections("tcp_keepalive")),
}


@pytest.mark.parametrize("key", LOOKED_UP)
def test_setting_arrives(tmp_path: Path, key: str) -> None:
    """Unset it is something else, set it is what was said."""
    text, value, look = LOOKED_UP[key]

    assert look(built(tmp_path / "unset", {})) != value
    assert look(built(tmp_path / "set", {environment_name(key): text})) == value


def test_without_checks_nobody_asks(tmp_path: Path) -> None:
    """`disable_health_check`: the other server is asked again and again meanwhile."""
    quick = {"LINGMA_HEALTH_CHECK_INTERVAL_SECS": "0.1"}
    with listed() as asked, listed() as left_alone:
        checked = quick | {"LINGMA_ENGINES": json.dumps([{"url": asked.url}])}
        unchecked = checked | {
            "LINGMA_ENGINES": json.dumps([{"url": left_alone.url}]),
            "LINGMA_DISABLE_HEALTH_CHECK": "true",
        }
        with (
            serving(tmp_path / "one", "--engines", "0", "--no-auth", environ=unchecked),
            serving(tmp_path / "two", "--engines", "0", "--no-auth", environ=checked),
        ):
            before = len(left_alone.asked)
            wait_until(lambda: len(asked.asked) > 10, what="checks")
            assert len(left_alone.asked) == before


@contextmanager
def listed() -> Iterator[OpenAiServer]:
    """Run a server that is well and lists one model."""
    models = json_reply({"data": [{"id": "m"}]})
    with openai_server(engine_health=json_reply({}), models=models) as server:
        yield server


CHECKED = {*SHOWN, *LOOKED_UP, "disable_health_check"}
