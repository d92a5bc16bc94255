"""The composition root: settings in, a running program out. The only place that knows everybody.

Settings end here: what is built below receives plain values.
"""

from __future__ import annotations

import asyncio
import gc
import os
import secrets
import socket
import sys
import time
from collections.abc import Callable, MutableMapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lingma_cli.auth.keys import KeyRing, check_configured
from lingma_cli.auth.keys_file import GeneratedKeys, load_or_create
from lingma_cli.control.parking import ParkingLimits, ParkingLot
from lingma_cli.control.registry import Registry
from lingma_cli.control.supervisor import Supervisor
from lingma_cli.core.chat import AskMode, Model
from lingma_cli.core.ids import random_hex
from lingma_cli.core.loopback import is_loopback
from lingma_cli.engines.lingma.engine import LingmaEngine, LingmaOptions
from lingma_cli.engines.lingma.prompt import AgentWords
from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.gateway.admission import Admission, AdmissionLimits
from lingma_cli.gateway.gateway import Gateway, GatewayOptions
from lingma_cli.gateway.pipeline import ToolOptions
from lingma_cli.gateway.records import log_record
from lingma_cli.logs import set_up_logs
from lingma_cli.paths import Paths, private_folder
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
from lingma_cli.settings import Settings, environment_name, table

_MAX_CONNECTIONS: Final = 2048
_MAX_STORED: Final = 100_000
_DAY: Final = 86_400.0


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
    on_listening: Callable[[Listening], None],
    on_models: Callable[[Sequence[Model]], None],
    on_trouble: Callable[[LingmaError], None],
) -> None:
    """Serve until a signal ends it.

    Args:
        settings: all of them.
        paths: the home.
        environ: the process environment; secrets are taken out of it before anything starts.
        on_listening: told once requests may come.
        on_models: told the models once an engine is ready.
        on_trouble: told of each failure of an engine.

    Raises:
        LingmaError: the settings do not fit together, the port is taken, or a server already
            runs for this home.
    """
    os.umask(0o077)
    _forget_secrets(environ)
    engine_options = _engine_options(settings, paths, environ)
    with only_server(paths):
        keys, generated = _keys(settings, paths)
        set_up_logs(level=settings.log_level, format_=settings.log_format, secrets=keys.secrets())
        listener = bind(settings.host, settings.port)
        url = _url(settings.host, listener.getsockname()[1])
        listening = Listening(
            url=url,
            demo=settings.demo,
            key_required=keys.required,
            new_key=generated.api_key if generated is not None and generated.is_new else None,
        )

        def tell() -> None:
            announce(paths, ServerFile(url=url, pid=os.getpid(), started=time.time()))
            on_listening(listening)

        name = "demo-0" if settings.demo else "inst-0"
        registry = Registry([LingmaEngine(name, engine_options, random_hex)])
        supervisor = Supervisor(registry, on_trouble=on_trouble)
        # What was imported and built so far lives as long as the process.
        gc.freeze()
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(_serve(settings, paths, listener, keys, supervisor, tell, on_models))


async def _serve(
    settings: Settings,
    paths: Paths,
    listener: socket.socket,
    keys: KeyRing,
    supervisor: Supervisor,
    on_listening: Callable[[], None],
    on_models: Callable[[Sequence[Model]], None],
) -> None:
    gateway = _gateway(settings, supervisor.registry)
    store = _store(settings, paths)
    if store is not None:
        await store.open()
    house = House(
        gateway=gateway,
        body_limit=settings.body_limit,
        new_id=random_hex,
        wall_clock=time.time,
        patience=Patience(ping_interval=settings.ping_interval),
    )
    app = build_app(
        house,
        store,
        keys=keys,
        allowed_hosts=settings.allowed_hosts,
        clock=time.monotonic,
    )
    protocol = guarded_protocol(
        head_timeout=settings.head_timeout, max_connections=_MAX_CONNECTIONS
    )
    async with asyncio.TaskGroup() as group:
        engines = group.create_task(supervisor.run())
        lot = group.create_task(gateway.lot.run())
        greeting = group.create_task(_announce_models(gateway, on_models))
        await serve_until_signal(
            make_server(app, protocol),
            listener,
            gateway,
            drain_timeout=settings.drain_timeout,
            on_listening=on_listening,
            on_second_signal=lambda number: _leave_now(paths, number),
        )
        greeting.cancel()
        lot.cancel()
        engines.cancel()
    if store is not None:
        await store.close()


def _engine_options(
    settings: Settings, paths: Paths, environ: MutableMapping[str, str]
) -> LingmaOptions:
    if settings.demo:
        command: tuple[str, ...] = (sys.executable, "-P", "-m", "lingma_cli.demo")
        work_dir = paths.data / "demo"
    elif settings.bin:
        command = (_executable(settings.bin),)
        work_dir = paths.data / "lingma" / "inst-0"
    else:
        raise LingmaError(
            ErrorKind.USAGE,
            "no Lingma to serve",
            hint="run `lingma serve --demo` to try it out, or `lingma serve --bin PATH`",
        )
    if settings.work_dir:
        work_dir = Path(settings.work_dir).expanduser().absolute()
    private_folder(work_dir)
    return LingmaOptions(
        command=command,
        work_dir=work_dir,
        socket_port=settings.socket_port,
        environ=dict(environ),
        startup_timeout=settings.startup_timeout,
        rpc_timeout=settings.rpc_timeout,
        first_event_timeout=settings.first_event_timeout,
        idle_timeout=settings.idle_timeout,
        agent=AgentWords(
            session_type=settings.agent_session_type,
            chat_task=settings.agent_chat_task,
            mode=settings.agent_mode,
        ),
    )


def _executable(name: str) -> str:
    path = Path(name).expanduser().absolute()
    if not path.is_file():
        raise LingmaError(ErrorKind.USAGE, f"there is no file `{path}`")
    if not os.access(path, os.X_OK):
        raise LingmaError(
            ErrorKind.USAGE, f"`{path}` is not executable", hint=f"run `chmod +x {path}`"
        )
    return str(path)


def _keys(settings: Settings, paths: Paths) -> tuple[KeyRing, GeneratedKeys | None]:
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
        generated = load_or_create(paths.keys_file, lambda: secrets.token_urlsafe(32))
        api_keys = api_keys or (generated.api_key,)
        admin_token = admin_token or generated.admin_token
    ring = KeyRing(
        api_keys=api_keys,
        admin_token=admin_token,
        metrics_token=settings.metrics_token,
        no_auth=no_auth,
    )
    return ring, None if settings.api_keys else generated


def _gateway(settings: Settings, registry: Registry) -> Gateway:
    limits = AdmissionLimits(
        max_in_flight=settings.gateway_max_in_flight,
        queue_size=settings.queue_size,
        queue_timeout=settings.gateway_queue_timeout_sec,
    )
    options = GatewayOptions(
        default_model=settings.default_model,
        default_mode=AskMode(settings.default_ask_mode),
        startup_timeout=settings.startup_timeout,
        tools=ToolOptions(
            route=settings.tools if settings.tool_forward_enabled else "off",
            allowed=settings.tool_allowlist,
        ),
    )
    parking = ParkingLimits(capacity=settings.parked_asks, seconds=settings.parked_timeout)
    return Gateway(
        registry,
        Admission(limits),
        ParkingLot(parking, time.monotonic),
        options,
        new_id=random_hex,
        clock=time.monotonic,
        on_record=log_record,
    )


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


def _forget_secrets(environ: MutableMapping[str, str]) -> None:
    for item, row in table():
        if row.secret:
            environ.pop(environment_name(item.name), None)


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
