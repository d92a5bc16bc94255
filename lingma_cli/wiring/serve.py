"""`lingma serve`: the parts of a server, put together and run until a signal ends it."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import socket
import time
from collections.abc import Callable, Iterable, MutableMapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Final

from lingma_cli.auth.keys import KeyRing, Tier, check_configured
from lingma_cli.auth.keys_file import GeneratedKeys
from lingma_cli.control.checker import Checker
from lingma_cli.control.fleet import url_of
from lingma_cli.core.address import Address
from lingma_cli.core.chat import Model
from lingma_cli.core.ids import random_hex
from lingma_cli.core.loopback import is_loopback
from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.gateway.gateway import Gateway
from lingma_cli.logs import set_up_logs
from lingma_cli.paths import Paths
from lingma_cli.secret import Secret
from lingma_cli.server.app import build_app
from lingma_cli.server.exchange_response import Patience
from lingma_cli.server.exposure import check_bind
from lingma_cli.server.guarded_http import guarded_protocol
from lingma_cli.server.house import House
from lingma_cli.server.life import bind, make_server, serve_until_signal
from lingma_cli.server.presence import ServerFile, announce, only_server
from lingma_cli.sessions.memory import MemoryStore
from lingma_cli.sessions.stored import Limits, ResponseStore
from lingma_cli.settings import Settings, forget_secrets
from lingma_cli.wiring.bootstrap import Talk, bootstrap
from lingma_cli.wiring.gateway import build_gateway, check_options, policy_rules
from lingma_cli.wiring.pool import Pool, build_pool, no_lingma
from lingma_cli.wiring.scratch import clear_leftovers
from lingma_cli.wiring.surroundings import Surroundings
from lingma_cli.wiring.vault import VaultDoor, find_or_make_keys

_MAX_CONNECTIONS: Final = 2048
_MAX_STORED: Final = 100_000
_DAY: Final = 86_400.0

_log: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Listening:
    """What a server can say of itself once it listens.

    Attributes:
        url: its base, without a path.
        demo: whether the simulator answers.
        key_required: whether clients need a key.
        new_key: the API key, if this start has made it.
    """

    url: str
    demo: bool
    key_required: bool
    new_key: Secret | None


def run_server(
    settings: Settings,
    paths: Paths,
    environ: MutableMapping[str, str],
    *,
    talk: Talk,
    on_listening: Callable[[Listening], None],
    on_models: Callable[[Sequence[Model]], None],
    on_trouble: Callable[[LingmaError], None],
) -> None:
    """Serve until a signal ends it.

    Args:
        settings: all of them.
        paths: the home.
        environ: ours; secrets are taken out of it before anything starts.
        talk: for getting the executable, if there is none.
        on_listening: told once requests may come.
        on_models: told the models once an engine is ready.
        on_trouble: told of each failure of an engine, and of logins that need a person.

    Raises:
        LingmaError: the settings make no sense, the port is taken, or a server runs already.
    """
    os.umask(0o077)
    forget_secrets(environ)
    with only_server(paths):
        clear_leftovers(paths)
        # Who wants no Lingma engine needs no executable.
        command = () if no_lingma(settings) else bootstrap(settings, paths, environ, talk)
        warnings: list[str] = []
        door = VaultDoor(settings, paths, warn=warnings.append)
        keys, generated = _keys(settings, paths, door, warnings.append)
        around = Surroundings(
            settings=settings,
            paths=paths,
            environ=dict(environ),
            command=command,
            open_vault=door.open,
            warn=warnings.append,
            is_guarded=not keys.is_open(Tier.ADMIN),
        )
        pool = build_pool(around, on_trouble)
        _start_logs(settings, (*keys.secrets(), *pool.secrets), warnings)
        listener = _bound(settings, pool)
        tell = partial(_tell, paths, _listening(settings, listener, keys, generated), on_listening)
        # What was imported and built so far lives as long as the process.
        gc.freeze()
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(_serve(settings, paths, listener, keys, pool, tell, on_models))


def _bound(settings: Settings, pool: Pool) -> socket.socket:
    """Return the listening socket; no engine may be this server itself: no request would end."""
    listener = bind(settings.host, settings.port)
    own = Address.parse(_url(settings.host, listener.getsockname()[1]))
    for slot in pool.supervisor.registry.slots:
        if (root := url_of(slot)) and Address.parse(root).is_at(own.host, own.port):
            raise LingmaError(
                ErrorKind.USAGE,
                f"the engine `{slot.id}` is this server itself: {root}",
                hint=f"run `lingma engine remove {slot.id}`, or take it out of the settings file",
            )
    return listener


async def _serve(
    settings: Settings,
    paths: Paths,
    listener: socket.socket,
    keys: KeyRing,
    pool: Pool,
    on_listening: Callable[[], None],
    on_models: Callable[[Sequence[Model]], None],
) -> None:
    gateway = build_gateway(settings, pool.supervisor.registry)
    store = _store(settings, paths)
    if store is not None:
        await store.open()
    app = build_app(
        _house(settings, keys, pool, gateway),
        store,
        keys=keys,
        allowed_hosts=settings.allowed_hosts,
        clock=time.monotonic,
    )
    protocol = guarded_protocol(
        head_timeout=settings.head_timeout, max_connections=_MAX_CONNECTIONS
    )
    # In the order in which they end: lot and sessions still have something to tell the engines.
    beside = (
        _announce_models(gateway, on_models),
        _checks(settings, pool),
        gateway.lot.run(),
        gateway.reuse.run(),
        pool.logins.run(),
        pool.supervisor.run(),
    )
    async with asyncio.TaskGroup() as group:
        # The engines first.
        tasks = [group.create_task(work) for work in reversed(beside)]
        await serve_until_signal(
            make_server(app, protocol),
            listener,
            gateway,
            drain_timeout=settings.drain_timeout,
            on_listening=on_listening,
            on_second_signal=lambda number: _leave_now(paths, number),
        )
        for task in reversed(tasks):
            task.cancel()
    if store is not None:
        await store.close()


def _house(settings: Settings, keys: KeyRing, pool: Pool, gateway: Gateway) -> House:
    return House(
        gateway=gateway,
        fleet=pool.fleet,
        logins=pool.logins,
        is_guarded=not keys.is_open(Tier.ADMIN),
        is_demo=settings.demo,
        policy=policy_rules(settings).policy,
        body_limit=settings.body_limit,
        new_id=random_hex,
        wall_clock=time.time,
        patience=Patience(ping_interval=settings.ping_interval),
    )


async def _checks(settings: Settings, pool: Pool) -> None:
    if not settings.disable_health_check:
        await Checker(pool.supervisor.registry, check_options(settings)).run()


def _keys(
    settings: Settings, paths: Paths, door: VaultDoor, warn: Callable[[str], None]
) -> tuple[KeyRing, GeneratedKeys | None]:
    check_configured(settings.api_keys, "api_keys")
    for name in ("admin_token", "metrics_token"):
        check_configured(filter(None, [getattr(settings, name)]), name)
    # The demo stands open on loopback; who configures an API key wants nothing open.
    open_demo = settings.demo and is_loopback(settings.host) and not settings.api_keys
    no_auth = settings.no_auth or open_demo
    check_bind(settings.host, no_auth=settings.no_auth)
    generated: GeneratedKeys | None = None
    api_keys, admin_token = settings.api_keys, settings.admin_token
    if not no_auth and not (api_keys and admin_token):
        generated = find_or_make_keys(settings, paths, door, warn=warn)
        api_keys = api_keys or (generated.api_key,)
        admin_token = admin_token or generated.admin_token
    ring = KeyRing(
        api_keys=api_keys,
        admin_token=admin_token,
        metrics_token=settings.metrics_token,
        metrics_public=settings.metrics_public,
        no_auth=no_auth,
    )
    return ring, None if settings.api_keys else generated


def _start_logs(settings: Settings, secrets: Iterable[Secret], warnings: Sequence[str]) -> None:
    # What there was to say waits until the log knows what it must hide.
    set_up_logs(level=settings.log_level, format_=settings.log_format, secrets=secrets)
    for warning in warnings:
        _log.warning(warning)


def _listening(
    settings: Settings, listener: socket.socket, keys: KeyRing, generated: GeneratedKeys | None
) -> Listening:
    return Listening(
        url=_url(settings.host, listener.getsockname()[1]),
        demo=settings.demo,
        key_required=keys.required,
        new_key=generated.api_key if generated is not None and generated.is_new else None,
    )


def _tell(paths: Paths, listening: Listening, on_listening: Callable[[Listening], None]) -> None:
    announce(paths, ServerFile(url=listening.url, pid=os.getpid(), started=time.time()))
    on_listening(listening)


def _store(settings: Settings, paths: Paths) -> ResponseStore | None:
    limits = Limits(
        retention=settings.response_store_days * _DAY,
        max_bytes=settings.response_store_bytes,
        max_entries=_MAX_STORED,
    )
    match settings.response_store:
        case "sqlite":
            # Imported here: who keeps nothing on disk does not pay for it.
            from lingma_cli.sessions.sql import SqlStore, sqlite_url  # noqa: PLC0415

            return SqlStore(sqlite_url(paths.state / "responses.db"), limits, time.time)
        case "memory":
            return MemoryStore(limits, time.time)
        case _:
            return None


async def _announce_models(gateway: Gateway, on_models: Callable[[Sequence[Model]], None]) -> None:
    # Trouble at the start has been told already, by the supervisor.
    with suppress(LingmaError):
        on_models(await gateway.models())


def _url(host: str, port: int) -> str:
    # Listening on all addresses is no address that a client can use.
    host = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop  # noqa: PLC0415 - not there on every platform
    except ImportError:
        return None
    return uvloop.new_event_loop


def _leave_now(paths: Paths, number: int) -> None:
    """End the process as the signal would; the guardians see to the children."""
    paths.server_file.unlink(missing_ok=True)
    os._exit(128 + number)
