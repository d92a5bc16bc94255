"""The one settings table: its rows."""

from __future__ import annotations

from dataclasses import Field, dataclass, fields
from typing import Any, Final

from lingma_cli.secret import Secret
from lingma_cli.settings.engine_rows import EngineRows
from lingma_cli.settings.row import Row, row

MIB: Final = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings(EngineRows):
    """Every setting, resolved. Durations are seconds, sizes bytes; an empty text means unset."""

    # listening
    host: str = row("127.0.0.1", "address to listen on", "--host")
    port: int = row(8317, "port to listen on; 0 picks a free one", "--port", minimum=0)
    allowed_hosts: tuple[str, ...] = row(
        (), "further names by which clients may reach the server", "--allow-host"
    )
    no_auth: bool = row(False, "ask for no key (loopback only)", "--no-auth")  # noqa: FBT003
    api_keys: tuple[Secret, ...] = row((), "keys that clients may use", secret=True)
    admin_token: Secret | None = row(None, "token for `/internal/*`", secret=True)
    metrics_token: Secret | None = row(
        None, "token for `/metrics`; unset means the admin token", secret=True
    )
    metrics_public: bool = row(False, "ask for no key at `/metrics`")  # noqa: FBT003
    body_limit: int = row(32 * MIB, "largest request body in bytes", "--body-limit", minimum=1024)
    head_timeout: float = row(
        10.0, "seconds a client may take to send a request head", "--head-timeout", minimum=0.1
    )
    drain_timeout: float = row(
        20.0, "seconds that running answers get at shutdown", "--drain-timeout", minimum=0
    )
    log_level: str = row(
        "info",
        "how much to log",
        "--log-level",
        choices=("debug", "info", "warning", "error"),
    )
    log_format: str = row(
        "auto",
        "text, JSON lines, or text on a terminal only",
        "--log-format",
        choices=("auto", "text", "json"),
    )

    # admission
    gateway_max_in_flight: int = row(
        4, "requests served at once; 0 or less means no limit", "--max-in-flight"
    )
    gateway_queue_timeout_sec: float = row(
        30.0, "seconds a request may wait for its turn", "--queue-timeout", minimum=0
    )
    queue_size: int = row(100, "requests that may wait", "--queue-size", minimum=0)

    # answers
    default_model: str = row(
        "org_auto", "model for names that the engine does not know", "--default-model"
    )
    default_ask_mode: str = row(
        "chat", "how Lingma is asked", "--ask-mode", choices=("chat", "agent")
    )
    first_event_timeout: float = row(
        60.0, "seconds until an answer must begin", "--first-event-timeout", minimum=0.01
    )
    idle_timeout: float = row(
        60.0, "seconds of silence that end an answer", "--idle-timeout", minimum=0.01
    )

    ping_interval: float = row(
        8.0,
        "seconds of silence after which a stream is kept alive",
        "--ping-interval",
        minimum=0.05,
    )

    # tools
    tools: str = row(
        "auto",
        "how tools reach the model",
        "--tools",
        choices=("auto", "native", "prompt", "off"),
    )
    tool_forward_enabled: bool = row(
        True,  # noqa: FBT003 - a default in a table
        "false is the same as `tools = off`",
    )
    tool_allowlist: tuple[str, ...] = row((), "the only tools to offer; empty for all")
    parked_asks: int = row(
        16, "answers that may wait for a client's tool results; 0 for none", minimum=0
    )
    parked_timeout: float = row(
        600.0, "seconds a client may take to bring a tool's result", minimum=0.1
    )

    # sessions
    session_reuse_enabled: bool = row(
        True,  # noqa: FBT003 - a default in a table
        "send only the new turn of a conversation that the engine still knows",
    )
    session_cache_max_entries: int = row(
        256, "conversations whose session is kept for that", minimum=0
    )
    session_cache_ttl_sec: float = row(
        1800.0, "seconds for which a session is kept after its last turn", minimum=0
    )
    session_cache_bytes: int = row(
        8 * MIB, "bytes that the fingerprints of these conversations may fill", minimum=0
    )

    # memory
    response_store: str = row(
        "sqlite",
        "where responses and conversations are kept",
        "--response-store",
        choices=("sqlite", "memory", "none"),
    )
    response_store_days: float = row(30.0, "days for which they are kept", minimum=0)
    response_store_bytes: int = row(512 * MIB, "bytes that they may fill", minimum=1024)

    # the Lingma process
    demo: bool = row(
        False,  # noqa: FBT003 - a default in a table
        "serve the built-in simulator instead of a Lingma binary",
        "--demo",
    )
    bin: str = row("", "the Lingma executable to run", "--bin")
    work_dir: str = row("", "the executable's data folder", "--work-dir")
    socket_port: int = row(
        0, "WebSocket port to ask for; 0 picks a free one", "--socket-port", minimum=0
    )
    startup_timeout: float = row(
        40.0, "seconds the executable may take to get ready", "--startup-timeout", minimum=0.1
    )
    rpc_timeout: float = row(
        30.0, "seconds until a call to the executable must answer", "--rpc-timeout", minimum=0.1
    )
    dedicated_domain_url: str = row("", "https address of a dedicated Lingma service", "--endpoint")

    # how the executable is got
    source_type: str = row(
        "marketplace", "where the executable is downloaded from", choices=("marketplace", "vsix")
    )
    marketplace_publisher: str = row("Alibaba-Cloud", "publisher of the extension")
    marketplace_extension: str = row("tongyi-lingma", "name of the extension")
    vsix_url: str = row("", "https address of the VSIX; empty for the vendor's own")
    bootstrap_always: bool = row(
        False,  # noqa: FBT003 - a default in a table
        "look for a newer executable at each start, and take it without asking",
    )
    force_refresh: bool = row(
        False,  # noqa: FBT003 - a default in a table
        "download the executable at each start, even if its version is there",
    )

    # accounts
    store: str = row(
        "auto",
        "where logins and generated keys are kept",
        "--store",
        choices=("auto", "keyring", "encrypted", "plain"),
    )
    passphrase_file: str = row(
        "", "a private file whose first line is the passphrase", "--passphrase-file"
    )
    accounts: Secret | None = row(
        None,
        "accounts of this run: `user:password` by commas or lines, or a JSON list",
        secret=True,
    )
    username: str = row("", "account of this run, with `password`")
    password: Secret | None = row(None, "its password; never stored", secret=True)
    session_bundle: Secret | None = row(
        None, "login of this run, as `lingma session export` prints it", secret=True
    )
    session_bundle_file: str = row("", "a private file with such a login")
    auto_login_enabled: bool = row(
        True,  # noqa: FBT003 - a default in a table
        "log accounts in without a person where that is possible",
    )
    auto_login_headless: bool = row(
        True,  # noqa: FBT003 - a default in a table
        "without a browser window",
    )
    auto_login_timeout: float = row(180.0, "seconds that one try may take", minimum=1)
    auto_login_max_retry: int = row(2, "tries after the first", minimum=0)

    # agent mode
    agent_session_type: str = row("ask", "`sessionType` of an ask in agent mode")
    agent_chat_task: str = row("chat", "`chatTask` of an ask in agent mode")
    agent_mode: str = row("agent", "`mode` of an ask in agent mode")


def table() -> tuple[tuple[Field[Any], Row], ...]:
    """Return the rows with their fields, those about several engines last."""
    last = {item.name for item in fields(EngineRows)}
    ordered = sorted(fields(Settings), key=lambda item: item.name in last)
    return tuple((item, item.metadata["row"]) for item in ordered)


def environment_name(key: str) -> str:
    """Return the environment variable of `key`."""
    return f"LINGMA_{key.upper()}"
