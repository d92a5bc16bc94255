"""The one settings table: names, types, defaults, flags, environment, help and provenance.

The fields of `Settings` are the rows. Command-line options, environment names, TOML keys,
`lingma config show --origin`, the reference page and the validation derive from them. Only `cli`
and `wiring` read this module; everybody else receives plain values.

Order of authority: flag, environment, the file named by `--config` or `LINGMA_CONFIG`, the
user's own file, default.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import Field, dataclass, field, fields
from pathlib import Path
from typing import Any, Final

from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.secret import Secret

MIB: Final = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What the table knows about one setting besides its name, type and default.

    Attributes:
        help: one line, lower-case.
        flag: the option of `lingma serve`, empty when there is none.
        secret: kept out of argv and printed as dots.
        choices: the only values allowed, empty for any.
        minimum: the smallest number allowed.
    """

    help: str
    flag: str = ""
    secret: bool = False
    choices: tuple[str, ...] = ()
    minimum: float | None = None


def _row(default: Any, help_: str, flag: str = "", **more: Any) -> Any:
    metadata = {"row": Row(help=help_, flag=flag, **more)}
    if isinstance(default, tuple):
        return field(default_factory=lambda: default, metadata=metadata)
    return field(default=default, metadata=metadata)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Every setting, resolved. Durations are seconds, sizes bytes; an empty text means unset."""

    # listening
    host: str = _row("127.0.0.1", "address to listen on", "--host")
    port: int = _row(8317, "port to listen on; 0 picks a free one", "--port", minimum=0)
    allowed_hosts: tuple[str, ...] = _row(
        (), "further names by which clients may reach the server", "--allow-host"
    )
    no_auth: bool = _row(False, "ask for no key (loopback only)", "--no-auth")  # noqa: FBT003
    api_keys: tuple[Secret, ...] = _row((), "keys that clients may use", secret=True)
    admin_token: Secret | None = _row(None, "token for `/internal/*`", secret=True)
    metrics_token: Secret | None = _row(
        None, "token for `/metrics`; unset means the admin token", secret=True
    )
    body_limit: int = _row(32 * MIB, "largest request body in bytes", "--body-limit", minimum=1024)
    head_timeout: float = _row(
        10.0, "seconds a client may take to send a request head", "--head-timeout", minimum=0.1
    )
    drain_timeout: float = _row(
        20.0, "seconds that running answers get at shutdown", "--drain-timeout", minimum=0
    )
    log_level: str = _row(
        "info",
        "how much to log",
        "--log-level",
        choices=("debug", "info", "warning", "error"),
    )
    log_format: str = _row(
        "auto",
        "text, JSON lines, or text on a terminal only",
        "--log-format",
        choices=("auto", "text", "json"),
    )

    # admission
    gateway_max_in_flight: int = _row(
        4, "requests served at once; 0 or less means no limit", "--max-in-flight"
    )
    gateway_queue_timeout_sec: float = _row(
        30.0, "seconds a request may wait for its turn", "--queue-timeout", minimum=0
    )
    queue_size: int = _row(100, "requests that may wait", "--queue-size", minimum=0)

    # answers
    default_model: str = _row(
        "org_auto", "model for names that the engine does not know", "--default-model"
    )
    default_ask_mode: str = _row(
        "chat", "how Lingma is asked", "--ask-mode", choices=("chat", "agent")
    )
    first_event_timeout: float = _row(
        60.0, "seconds until an answer must begin", "--first-event-timeout", minimum=0.01
    )
    idle_timeout: float = _row(
        60.0, "seconds of silence that end an answer", "--idle-timeout", minimum=0.01
    )

    ping_interval: float = _row(
        8.0,
        "seconds of silence after which a stream is kept alive",
        "--ping-interval",
        minimum=0.05,
    )

    # tools
    tools: str = _row(
        "auto",
        "how tools reach the model",
        "--tools",
        choices=("auto", "native", "prompt", "off"),
    )
    tool_forward_enabled: bool = _row(
        True,  # noqa: FBT003 - a default in a table
        "false is the same as `tools = off`",
    )
    tool_allowlist: tuple[str, ...] = _row((), "the only tools to offer; empty for all")
    parked_asks: int = _row(
        16, "answers that may wait for a client's tool results; 0 for none", minimum=0
    )
    parked_timeout: float = _row(
        600.0, "seconds a client may take to bring a tool's result", minimum=0.1
    )

    # memory
    response_store: str = _row(
        "sqlite",
        "where responses and conversations are kept",
        "--response-store",
        choices=("sqlite", "memory", "none"),
    )
    response_store_days: float = _row(30.0, "days for which they are kept", minimum=0)
    response_store_bytes: int = _row(512 * MIB, "bytes that they may fill", minimum=1024)

    # the Lingma process
    demo: bool = _row(
        False,  # noqa: FBT003 - a default in a table
        "serve the built-in simulator instead of a Lingma binary",
        "--demo",
    )
    bin: str = _row("", "the Lingma executable to run", "--bin")
    work_dir: str = _row("", "the executable's data folder", "--work-dir")
    socket_port: int = _row(
        0, "WebSocket port to ask for; 0 picks a free one", "--socket-port", minimum=0
    )
    startup_timeout: float = _row(
        40.0, "seconds the executable may take to get ready", "--startup-timeout", minimum=0.1
    )
    rpc_timeout: float = _row(
        30.0, "seconds until a call to the executable must answer", "--rpc-timeout", minimum=0.1
    )
    dedicated_domain_url: str = _row(
        "", "https address of a dedicated Lingma service", "--endpoint"
    )

    # how the executable is got
    source_type: str = _row(
        "marketplace", "where the executable is downloaded from", choices=("marketplace", "vsix")
    )
    marketplace_publisher: str = _row("Alibaba-Cloud", "publisher of the extension")
    marketplace_extension: str = _row("tongyi-lingma", "name of the extension")
    vsix_url: str = _row("", "https address of the VSIX; empty for the vendor's own")
    bootstrap_always: bool = _row(
        False,  # noqa: FBT003 - a default in a table
        "look for a newer executable at each start, and take it without asking",
    )
    force_refresh: bool = _row(
        False,  # noqa: FBT003 - a default in a table
        "download the executable at each start, even if its version is there",
    )

    # accounts
    store: str = _row(
        "auto",
        "where logins and generated keys are kept",
        "--store",
        choices=("auto", "keyring", "encrypted", "plain"),
    )
    passphrase_file: str = _row(
        "", "a private file whose first line is the passphrase", "--passphrase-file"
    )
    accounts: Secret | None = _row(
        None,
        "accounts of this run: `user:password` by commas or lines, or a JSON list",
        secret=True,
    )
    username: str = _row("", "account of this run, with `password`")
    password: Secret | None = _row(None, "its password; never stored", secret=True)
    session_bundle: Secret | None = _row(
        None, "login of this run, as `lingma session export` prints it", secret=True
    )
    session_bundle_file: str = _row("", "a private file with such a login")
    auto_login_enabled: bool = _row(
        True,  # noqa: FBT003 - a default in a table
        "log accounts in without a person where that is possible",
    )
    auto_login_headless: bool = _row(
        True,  # noqa: FBT003 - a default in a table
        "without a browser window",
    )
    auto_login_timeout: float = _row(180.0, "seconds that one try may take", minimum=1)
    auto_login_max_retry: int = _row(2, "tries after the first", minimum=0)

    # agent mode
    agent_session_type: str = _row("ask", "`sessionType` of an ask in agent mode")
    agent_chat_task: str = _row("chat", "`chatTask` of an ask in agent mode")
    agent_mode: str = _row("agent", "`mode` of an ask in agent mode")


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """The settings and, for each key, where its value came from (`default`, `flag`, …)."""

    settings: Settings
    origins: Mapping[str, str]


def table() -> tuple[tuple[Field[Any], Row], ...]:
    """Return the rows with their fields, in the order of declaration."""
    return tuple((item, item.metadata["row"]) for item in fields(Settings))


def environment_name(key: str) -> str:
    """Return the environment variable of `key`."""
    return f"LINGMA_{key.upper()}"


def forget_secrets(environ: MutableMapping[str, str]) -> None:
    """Take every secret setting out of the environment, before anything that inherits it starts."""
    for item, row in table():
        if row.secret:
            environ.pop(environment_name(item.name), None)


def resolve(
    flags: Mapping[str, Any],
    environ: Mapping[str, str],
    user_file: Path,
    named_file: Path | None = None,
) -> Resolved:
    """Find each setting's value and origin.

    Args:
        flags: key to value of the options given; `None` means not given.
        environ: the process environment.
        user_file: the user's TOML file; need not exist.
        named_file: the TOML file that the user named; must exist.

    Raises:
        LingmaError: an unknown key, a wrong type, a value out of range or an unreadable file.
    """
    layers: list[tuple[str, Mapping[str, Any]]] = [
        ("flag", {key: value for key, value in flags.items() if value is not None}),
        ("environment", _from_environment(environ)),
    ]
    if named_file is not None:
        layers.append((f"file {named_file}", _from_file(named_file)))
    if user_file.exists():
        layers.append((f"file {user_file}", _from_file(user_file)))
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for item, row in table():
        origins[item.name] = "default"
        for origin, layer in layers:
            if item.name in layer:
                values[item.name] = _checked(item, row, layer[item.name], origin)
                origins[item.name] = origin
                break
    return Resolved(settings=Settings(**values), origins=origins)


def _from_environment(environ: Mapping[str, str]) -> Mapping[str, str]:
    # An empty variable means unset: shells and compose files cannot unset one easily.
    named = {item.name: environ.get(environment_name(item.name), "") for item, _ in table()}
    return {key: value for key, value in named.items() if value}


def _from_file(path: Path) -> Mapping[str, Any]:
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise _usage(f"cannot read `{path}`: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise _usage(f"`{path}` is not valid TOML: {error}") from error
    known = {item.name for item, _ in table()}
    for key in content:
        if key not in known:
            raise _usage(f"unknown setting `{key}` in `{path}`")
    return content


def _checked(item: Field[Any], row: Row, value: Any, origin: str) -> Any:
    try:
        typed = _READERS[str(item.type)](value)
    except (TypeError, ValueError):
        shown = "the value given" if row.secret else f"`{value}`"
        raise _usage(f"`{item.name}` from {origin} is no {item.type}: {shown}") from None
    if row.choices:
        typed = typed.lower()
    if row.choices and typed not in row.choices:
        raise _usage(f"`{item.name}` from {origin} is none of {', '.join(row.choices)}: `{value}`")
    if row.minimum is not None and typed < row.minimum:
        raise _usage(f"`{item.name}` from {origin} is below {row.minimum:g}: `{value}`")
    return typed


def _usage(message: str) -> LingmaError:
    return LingmaError(
        ErrorKind.USAGE, message, hint="run `lingma config show --origin` for all settings"
    )


def _read_bool(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    words = {"1": True, "true": True, "yes": True, "on": True}
    words |= {"0": False, "false": False, "no": False, "off": False}
    try:
        return words[value.strip().lower()]
    except (KeyError, AttributeError):
        raise ValueError(value) from None


def _read_int(value: Any) -> int:
    if isinstance(value, bool | float):
        raise TypeError(value)
    return int(value)


def _read_float(value: Any) -> float:
    number = float(value) if not isinstance(value, bool) else math.nan
    if not math.isfinite(number):
        raise ValueError(value)
    return number


def _read_str(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(value)
    return value


def _read_tuple(value: Any) -> tuple[str, ...]:
    pieces = value.replace("\n", ",").split(",") if isinstance(value, str) else value
    if not isinstance(pieces, list | tuple) or not all(isinstance(piece, str) for piece in pieces):
        raise TypeError(value)
    return tuple(piece.strip() for piece in pieces if piece.strip())


_READERS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "bool": _read_bool,
    "int": _read_int,
    "float": _read_float,
    "str": _read_str,
    "tuple[str, ...]": _read_tuple,
    "Secret | None": lambda value: Secret(value) if _read_str(value) else None,
    "tuple[Secret, ...]": lambda value: tuple(map(Secret, _read_tuple(value))),
}
