"""The command tree as plain values, for the completions and the reference page."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

_PATHS: Final = ("FILE", "DIR")


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One option; `metavar` is empty for a flag."""

    names: tuple[str, ...]
    metavar: str
    help: str

    @property
    def summary(self) -> str:
        """The help without its default and environment name."""
        return self.help.partition(" [")[0]

    @property
    def choices(self) -> tuple[str, ...]:
        """The only values allowed, empty for any."""
        return _choices(self.metavar)

    @property
    def is_path(self) -> bool:
        """Whether a file name completes it."""
        return self.metavar in _PATHS


@dataclass(frozen=True, slots=True, kw_only=True)
class Argument:
    """A value that stands alone; `is_repeated` when it takes all that follow."""

    name: str
    metavar: str
    help: str
    is_required: bool
    is_repeated: bool

    @property
    def choices(self) -> tuple[str, ...]:
        """The only values allowed, empty for any."""
        return _choices(self.metavar)


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A command or a group; `words` is what is typed after the program's name."""

    words: tuple[str, ...]
    help: str
    options: tuple[Option, ...]
    arguments: tuple[Argument, ...]
    commands: tuple[Command, ...]

    def walk(self) -> Iterator[Command]:
        """Yield this command and all below it."""
        yield self
        for command in self.commands:
            yield from command.walk()


def outline(command: Any, words: tuple[str, ...] = ()) -> Command:
    """Return the tree under `command`, a command of Typer's parser."""
    options = [_option(item) for item in command.params if item.param_type_name == "option"]
    children = getattr(command, "commands", {})
    return Command(
        words=words,
        help=command.help or "",
        options=(*options, Option(names=("--help",), metavar="", help="show the help and exit")),
        arguments=tuple(
            Argument(
                name=item.name,
                metavar=item.metavar,
                help=item.help or "",
                is_required=item.required,
                is_repeated=item.nargs != 1,
            )
            for item in command.params
            if item.param_type_name == "argument"
        ),
        commands=tuple(outline(child, (*words, name)) for name, child in children.items()),
    )


def _option(item: Any) -> Option:
    return Option(
        names=tuple(sorted(item.opts, key=len, reverse=True)),
        metavar="" if item.is_flag else item.metavar,
        help=item.help or "",
    )


def _choices(metavar: str) -> tuple[str, ...]:
    return tuple(metavar.split("|")) if "|" in metavar else ()
