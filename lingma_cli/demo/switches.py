"""Environment switches: how the process starts, which sides it plays, what its login is.

Owns the variables and their keys; reads a mapping, never the process environment. Pure.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lingma_cli.demo import directives
from lingma_cli.demo.accounts import Account
from lingma_cli.demo.language import Key, LanguageError, Value, read
from lingma_cli.demo.wire import PLAIN, Wire

START_KEYS = (
    Key(name="exit", kind="count", bare=1, meaning="exit at once with code N"),
    Key(name="flood", kind="count", meaning="print N bytes to stdout and to stderr first"),
    Key(name="delay", kind="seconds", meaning="wait before listening"),
    Key(
        name="info",
        kind="choice",
        choices=(
            "both",
            "json",
            "text",
            "text-noipc",
            "none",
            "stale",
            "garbage",
            "wrong-pid",
            "dead-pid",
        ),
        meaning="which info files are written; `stale` leaves those of a dead process first, the"
        " wrong pid is 1, alive and nobody's child",
    ),
    Key(name="info_delay", kind="seconds", meaning="wait before the info files are written"),
    Key(name="info_port", kind="count", meaning="write this port instead of the real one"),
    Key(name="initialize_delay", kind="seconds", meaning="wait before initialize answers"),
    Key(
        name="port",
        kind="choice",
        choices=("wanted", "other"),
        meaning="listen on the wanted port if it is free, or never",
    ),
    Key(name="stubborn", kind="flag", meaning="ignore SIGTERM and SIGINT"),
    Key(name="wrapper", kind="flag", meaning="the listener is a child of the started process"),
    Key(name="once", kind="flag", meaning="only the first start in this work directory"),
)
SIDE_KEYS = (
    Key(
        name="command",
        kind="choice",
        choices=("start", "bare"),
        meaning="`start --workDir …`, or only flags without a subcommand",
    ),
    Key(
        name="path",
        kind="choice",
        choices=("root", "ws"),
        meaning="WebSocket path `/`, or `/ws` with the machine token (Qoder CN)",
    ),
    Key(
        name="origin",
        kind="choice",
        choices=("allow", "refuse"),
        meaning="handshakes with an Origin header pass or get 403",
    ),
    Key(
        name="pushes",
        kind="choice",
        choices=("requests", "notifications"),
        meaning="pushes carry an id of the binary's own space, or none",
    ),
    Key(
        name="acks",
        kind="choice",
        choices=("lenient", "strict"),
        meaning="strict: no further push of a stream before the last one is acknowledged, and"
        " finish 500 after `ack_wait`",
    ),
    Key(name="ack_wait", kind="seconds", meaning="when an acknowledgement is overdue"),
    Key(
        name="initialize",
        kind="choice",
        choices=("any", "lsp", "acp"),
        meaning="accepted shapes of initialize",
    ),
    Key(
        name="initialized",
        kind="choice",
        choices=("known", "unknown"),
        meaning="whether the notification is an unknown method",
    ),
    Key(
        name="task",
        kind="choice",
        choices=("any", "upper", "lower"),
        meaning="accepted case of chatTask",
    ),
    Key(
        name="logged_out",
        kind="choice",
        choices=("401", "403", "error"),
        meaning="how an ask without a login ends",
    ),
    Key(
        name="tools",
        kind="choice",
        choices=("text", "native", "native-agent"),
        meaning="the model writes its calls as text, makes native ones in agent mode and when"
        " tools are forwarded, or only in agent mode",
    ),
    Key(
        name="images",
        kind="choice",
        choices=("off", "on", "fail", "silent"),
        meaning="image/upload is unknown, works, fails, or is taken and never told of again",
    ),
    Key(
        name="sessions",
        kind="choice",
        choices=("kept", "anew", "other", "refuse"),
        meaning="sessions are remembered, or forgotten after each answer; a reply in one that is"
        " gone starts anew, does so under another id, or is refused",
    ),
)
LOGIN_KEYS = (
    Key(
        name="state",
        kind="choice",
        choices=("auto", "file", "in", "out"),
        meaning="auto: created if absent, then the file decides; file: never created; in and out:"
        " what the RPC says whatever the files say",
    ),
    Key(name="status", kind="count", meaning="the first auth/status answers carry this status"),
    Key(name="polls", kind="count", meaning="how many answers that is"),
    Key(name="without_id", kind="flag", meaning="and they carry no user id"),
    Key(name="machine", kind="text", meaning="name of the hardware the machine id comes from"),
    Key(name="unsettled", kind="count", meaning="so many answers after a login carry status 4"),
    Key(name="expire", kind="count", meaning="a login is good for so many asks"),
    Key(name="refresh", kind="count", meaning="after every so many asks a login is refreshed"),
    Key(
        name="cloud",
        kind="text",
        meaning="folder of what the service remembers; who shares it shares the refreshes",
    ),
    Key(
        name="generate",
        kind="choice",
        choices=("fine", "fail", "evil"),
        meaning="login/generateUrl works, fails, or names a page of somebody else",
    ),
    Key(
        name="callback",
        kind="choice",
        choices=("fine", "refused", "lost"),
        meaning="what came of the page is taken, refused, or taken without a login",
    ),
    Key(
        name="reports",
        kind="choice",
        choices=("on", "off"),
        meaning="whether a new, changed or ended login is pushed",
    ),
    Key(
        name="spelling",
        kind="choice",
        choices=("plain", "other"),
        meaning="field names of the answers to login methods",
    ),
    Key(name="lacks", kind="text", meaning="methods that are unknown, with commas"),
)
PAGE_KEYS = (
    Key(
        name="layout",
        kind="choice",
        choices=("plain", "iframe", "tabs", "qr", "dead", "error"),
        meaning="a form; a form in a frame of another site; a QR code and a form behind a tab; only"
        " a QR code; nothing ever; 502",
    ),
    Key(
        name="then",
        kind="choices",
        choices=("captcha", "sms", "consent"),
        meaning="what is wanted after the password, in this order",
    ),
    Key(name="delay", kind="seconds", meaning="wait before every page"),
    Key(
        name="grant",
        kind="choice",
        choices=("redirect", "poll"),
        meaning="the browser is sent to the local callback, or the process finds out by itself",
    ),
)
ACCOUNT_KEYS = (
    Key(name="user", kind="text", meaning="name of one more account"),
    Key(name="password", kind="text", meaning="its password, as it is or as sha256:HEX"),
    Key(name="token", kind="text", meaning="its personal token, likewise"),
    Key(name="key", kind="text", meaning="its access key, likewise"),
    Key(name="secret", kind="text", meaning="the secret of that, likewise"),
    Key(name="organisations", kind="text", meaning="ids of its organisations, with commas"),
    Key(name="whitelist", kind="count", meaning="3 may use the service"),
)
JOURNAL_KEYS = (
    Key(
        name="level",
        kind="choice",
        choices=("on", "acks", "off"),
        meaning="journal in logs/demo.jsonl: on, with every single acknowledgement, or off",
    ),
)

VARIABLES: Mapping[str, tuple[Key, ...]] = {
    "LINGMA_DEMO_FAULTS": directives.KEYS,
    "LINGMA_DEMO_START": START_KEYS,
    "LINGMA_DEMO_SIDES": SIDE_KEYS,
    "LINGMA_DEMO_LOGIN": LOGIN_KEYS,
    "LINGMA_DEMO_PAGES": PAGE_KEYS,
    "LINGMA_DEMO_ACCOUNT": ACCOUNT_KEYS,
    "LINGMA_DEMO_WIRE": directives.WIRE_KEYS,
    "LINGMA_DEMO_JOURNAL": JOURNAL_KEYS,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """How the process starts; the fields are the keys of `START_KEYS`."""

    exit: int | None = None
    flood: int = 0
    delay: float = 0.0
    info: str = "both"
    info_delay: float = 0.0
    info_port: int | None = None
    initialize_delay: float = 0.0
    port: str = "wanted"
    stubborn: bool = False
    wrapper: bool = False
    once: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Sides:
    """Which side of each protocol conflict is played; the fields are those of `SIDE_KEYS`."""

    command: str = "start"
    path: str = "root"
    origin: str = "allow"
    pushes: str = "requests"
    acks: str = "lenient"
    ack_wait: float = 10.0
    initialize: str = "any"
    initialized: str = "known"
    task: str = "any"
    logged_out: str = "401"
    tools: str = "text"
    images: str = "off"
    sessions: str = "kept"


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """What the login is; the fields are the keys of `LOGIN_KEYS`."""

    state: str = "auto"
    status: int | None = None
    polls: int = 1
    without_id: bool = False
    machine: str | None = None
    unsettled: int = 0
    expire: int | None = None
    refresh: int = 0
    cloud: str = ""
    generate: str = "fine"
    callback: str = "fine"
    reports: str = "on"
    spelling: str = "plain"
    lacks: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pages:
    """What the login site shows; the fields are the keys of `PAGE_KEYS`."""

    layout: str = "plain"
    then: tuple[str, ...] = ()
    delay: float = 0.0
    grant: str = "redirect"


@dataclass(frozen=True, slots=True, kw_only=True)
class Switches:
    """All switches of one process."""

    start: Start = field(default_factory=Start)
    sides: Sides = field(default_factory=Sides)
    login: Login = field(default_factory=Login)
    pages: Pages = field(default_factory=Pages)
    account: Account | None = None
    wire: Wire = PLAIN
    faults: Mapping[str, Value] = field(default_factory=dict)
    faults_text: str = ""
    start_text: str = ""
    journal: str = "on"


def from_environment(environment: Mapping[str, str]) -> Switches:
    """Read every `LINGMA_DEMO_*` variable.

    Raises:
        LanguageError: names the variable and what is wrong with it.
    """
    for name in environment:
        if name.startswith("LINGMA_DEMO_") and name not in VARIABLES:
            raise LanguageError(f"unknown variable: {name}")
    values: dict[str, dict[str, Any]] = {
        name: _read_variable(name, environment.get(name, "")) for name in VARIABLES
    }
    account = values["LINGMA_DEMO_ACCOUNT"]
    if account and not account.get("user"):
        raise LanguageError("LINGMA_DEMO_ACCOUNT: `user` is missing")
    return Switches(
        start=Start(**values["LINGMA_DEMO_START"]),
        sides=Sides(**values["LINGMA_DEMO_SIDES"]),
        login=Login(**values["LINGMA_DEMO_LOGIN"]),
        pages=Pages(**values["LINGMA_DEMO_PAGES"]),
        account=Account(**account) if account else None,
        wire=directives.wire_of(values["LINGMA_DEMO_WIRE"]),
        faults=values["LINGMA_DEMO_FAULTS"],
        faults_text=environment.get("LINGMA_DEMO_FAULTS", "").strip(),
        start_text=environment.get("LINGMA_DEMO_START", "").strip(),
        journal=values["LINGMA_DEMO_JOURNAL"].get("level", "on"),
    )


def _read_variable(name: str, text: str) -> dict[str, Value]:
    try:
        return read(text, VARIABLES[name])
    except LanguageError as error:
        raise LanguageError(f"{name}: {error}") from None
