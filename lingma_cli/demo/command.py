"""The binary's command line (Lingma local protocol, section 2.1). Pure.

Owns subcommands, flags in both forms and the usage text.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

VERSION = "2.11.1-demo"
FLAGS = (
    "workDir", "socketPort", "httpPort", "transportType", "endpoint", "copyDataDir", "startupId",
)  # fmt: skip
_USAGE = """\
Usage: Lingma {start}[flags]
       Lingma version
       Lingma status [-o json] [--workDir DIR]
       Lingma machine-info [--workDir DIR]

Flags:
  --workDir DIR              data root (default ~/.lingma)
  --socketPort N             WebSocket port (default 37010)
  --httpPort N               local HTTP port (default 37510)
  --transportType websocket  transport
  --endpoint URL             dedicated service, kept and reported
  --copyDataDir DIR          accepted, copies nothing
  --startupId ID             start correlation id, kept in the log

This is the lingma demo, a simulator of the Lingma binary.
"""


class UsageError(Exception):
    """The command line cannot be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Flags:
    """Values of the flags; a work directory of None means the default root."""

    work_dir: Path | None = None
    socket_port: int = 37010
    http_port: int = 37510
    endpoint: str = ""
    startup_id: str = ""

    @property
    def root(self) -> Path:
        """The data root."""
        return self.work_dir or Path.home() / ".lingma"


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A subcommand and its flags."""

    name: str
    flags: Flags


def parse(arguments: Sequence[str], *, bare: bool = False) -> Command:
    """Parse a command line; with `bare` the server starts from flags alone and `start` is unknown.

    Raises:
        UsageError: for everything the binary would answer with its usage text.
    """
    name, rest = "", list(arguments)
    if rest and not rest[0].startswith("-"):
        name = rest.pop(0)
    wanted_start = "" if bare else "start"
    if name not in {wanted_start, "version", "status", "machine-info"}:
        raise UsageError(f"unknown command: {name}" if name else "no command")
    return Command(name=name or "start", flags=_flags(rest, allow_output=name == "status"))


def _flags(arguments: list[str], *, allow_output: bool) -> Flags:
    given: dict[str, str] = {}
    while arguments:
        word, equals, value = arguments.pop(0).partition("=")
        flag = word.removeprefix("--")
        known = (word.startswith("--") and flag in FLAGS) or (word == "-o" and allow_output)
        if not known:
            raise UsageError(f"unknown flag: {word}")
        if not equals:
            if not arguments:
                raise UsageError(f"flag needs an argument: {word}")
            value = arguments.pop(0)
        given[flag] = value
    return _typed(given)


def _typed(given: dict[str, str]) -> Flags:
    if given.get("transportType", "websocket") != "websocket":
        raise UsageError("the simulator serves --transportType websocket only")
    work_dir = given.get("workDir")
    return Flags(
        work_dir=Path(work_dir).absolute() if work_dir else None,
        socket_port=_port(given.get("socketPort", "37010")),
        http_port=_port(given.get("httpPort", "37510")),
        endpoint=given.get("endpoint", ""),
        startup_id=given.get("startupId", ""),
    )


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) <= 65_535):
        raise UsageError(f"invalid port: {text}")
    return int(text)


def usage(*, bare: bool = False) -> str:
    """Return the usage text of the side that is played."""
    return _USAGE.format(start="" if bare else "start ")
