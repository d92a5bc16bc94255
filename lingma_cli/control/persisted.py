"""The engines that were added at run time, as the state folder keeps them.

Whoever adds an engine writes it down, a command without a server too, and each start of the server
brings all of them back. Nothing secret stands here: a key is named, not written. What cannot be
read, because a newer version or a person wrote it, is left out and kept as it is.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec

from lingma_cli.auth.vault.base import locked
from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.paths import write_private

_MAX_FILE: Final = 1024 * 1024
_MOST_ENGINES: Final = 256
_NOT_JSON: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)

# Not `$`, which lets a line end through.
Id = Annotated[str, msgspec.Meta(pattern=r"^[0-9A-Za-z][0-9A-Za-z._-]{0,63}\Z")]
Text = Annotated[str, msgspec.Meta(max_length=4096)]
Labels = Annotated[dict[str, Text], msgspec.Meta(max_length=64)]
Port = Annotated[int, msgspec.Meta(ge=0, le=65_535)]


class HttpEntry(msgspec.Struct, frozen=True, kw_only=True, tag="http"):
    """A server that somebody else runs.

    Attributes:
        id: the slot's.
        url: without `/v1` and without a slash at the end.
        model: the one model to offer, empty for all it lists.
        kind: `llm` or `embedding`.
        api_key_ref: where its key is to be found, empty for none.
        limit: requests at a time, 0 for any number.
        labels: whatever else its user wants to know of it.
        stopped: it was stopped by hand, and is not started with us.
    """

    id: Id
    url: Text
    model: Text = ""
    kind: Literal["llm", "embedding"] = "llm"
    api_key_ref: Text = ""
    limit: Annotated[int, msgspec.Meta(ge=0)] = 0
    labels: Labels = {}
    stopped: bool = False


class ManagedEntry(msgspec.Struct, frozen=True, kw_only=True, tag="managed"):
    """A server that is started from a template with each start of ours.

    Attributes:
        id: the slot's.
        template: the template's name.
        model: what it serves.
        kind: `llm` or `embedding`.
        label: the name it is offered under, empty for the model's.
        port: the port it asks for, 0 for any.
        limit: requests at a time, 0 for any number.
        extra: further arguments.
        labels: see `HttpEntry`.
        stopped: see `HttpEntry`.
    """

    id: Id
    template: Text
    model: Text
    kind: Literal["llm", "embedding"] = "llm"
    label: Text = ""
    port: Port = 0
    limit: Annotated[int, msgspec.Meta(ge=0)] = 0
    extra: tuple[Text, ...] = ()
    labels: Labels = {}
    stopped: bool = False


Entry = HttpEntry | ManagedEntry


class _Named(msgspec.Struct):
    id: Id


@dataclass(frozen=True, slots=True)
class _Line:
    """One element of the list: as it stands there, and what it says if that can be read."""

    raw: msgspec.Raw
    id: str = ""
    entry: Entry | None = None
    fault: str = ""


@dataclass(slots=True)
class _Content:
    """The file: its lines, and all that stands beside their list."""

    lines: list[_Line]
    rest: dict[str, msgspec.Raw]

    def encode(self) -> bytes:
        """Return what the file is to hold; lines that nobody has changed stay as they are."""
        list_ = msgspec.Raw(msgspec.json.encode([line.raw for line in self.lines]))
        text = msgspec.json.encode({**self.rest, "engines": list_})
        return msgspec.json.format(text) + b"\n"


class PersistedEngines:
    """The file of the engines.

    Args:
        path: `engines.json`, `{"engines": [{…}, …]}`; need not exist.
        warn: told when a corrupt file was put aside, and of each entry that cannot be read.
        wall_clock: seconds since 1970, for its new name.
        pause: waits for so many seconds while another process writes.

    Every method raises `LingmaError` if the file cannot be read or written.
    """

    def __init__(
        self,
        path: Path,
        *,
        warn: Callable[[str], None],
        wall_clock: Callable[[], float] = time.time,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._path = path
        self._warn = warn
        self._wall_clock = wall_clock
        self._pause = pause

    def all(self) -> tuple[Entry, ...]:
        """Return every engine that can be read, the oldest first; none if the file is corrupt."""
        lines = self._load().lines
        for number, line in enumerate(lines, 1):
            if line.entry is None:
                which = f"the engine `{line.id}`" if line.id else f"the entry {number}"
                self._warn(
                    f"{which} in `{self._path}` cannot be read and is left out: {line.fault}"
                )
        return tuple(line.entry for line in lines if line.entry is not None)

    def put(self, entry: Entry) -> None:
        """Keep an engine, in the place of one of the same id.

        Raises:
            LingmaError: another one has the same URL, there are too many, or it is one that could
                not be read again.
        """
        written = _written(entry)
        with self._changed() as lines:
            ids = [line.id for line in lines]
            if isinstance(entry, HttpEntry) and _has_url(lines, entry):
                raise LingmaError(ErrorKind.CONFLICT, f"there is an engine at {entry.url} already")
            if entry.id in ids:
                place = ids.index(entry.id)
                if lines[place].entry is None:
                    raise LingmaError(
                        ErrorKind.CONFLICT,
                        f"there is an engine `{entry.id}` already that cannot be read",
                        hint=f"look at `{self._path}`",
                    )
                if lines[place].entry != entry:
                    lines[place] = written
            elif len(lines) < _MOST_ENGINES:
                lines.append(written)
            else:
                raise LingmaError(ErrorKind.CONFLICT, f"there are {_MOST_ENGINES} engines already")

    def remove(self, id_: str) -> bool:
        """Forget the engine, and tell whether there was one."""
        with self._changed() as lines:
            kept = [line for line in lines if not line.id or line.id != id_]
            has_been = len(kept) < len(lines)
            lines[:] = kept
        return has_been

    @contextmanager
    def _changed(self) -> Iterator[list[_Line]]:
        """Lock, read, let the caller change, and write; an exception leaves the file as it was."""
        with locked(self._path.with_suffix(".lock"), pause=self._pause):
            content = self._load()
            before = tuple(content.lines)
            yield content.lines
            if tuple(content.lines) != before:
                text = content.encode()
                if len(text) > _MAX_FILE:
                    raise LingmaError(ErrorKind.CONFLICT, "the file of the engines is full")
                write_private(self._path, text)

    def _load(self) -> _Content:
        try:
            with self._path.open("rb") as file:
                content = file.read(_MAX_FILE + 1)
        except FileNotFoundError:
            return _Content([], {})
        except OSError as error:
            raise LingmaError(
                ErrorKind.USAGE,
                f"cannot read the engines in `{self._path}`: {error.strerror}",
                hint="check the file's permissions",
            ) from error
        try:
            if len(content) > _MAX_FILE:
                raise msgspec.ValidationError("it is too large")
            # What is not looked into is not checked for this.
            content.decode()
            rest = msgspec.json.decode(content, type=dict[str, msgspec.Raw])
            raws = msgspec.json.decode(rest.pop("engines", b"[]"), type=list[msgspec.Raw])
        except _NOT_JSON:
            self._put_aside()
            return _Content([], {})
        return _Content(_read(raws), rest)

    def _put_aside(self) -> None:
        """Move a corrupt file out of the way: the rest of the pool serves without it."""
        aside = self._path.with_name(f"{self._path.name}.corrupt-{int(self._wall_clock())}")
        try:
            self._path.replace(aside)
        except FileNotFoundError:
            # Another process was faster.
            return
        except OSError as error:
            raise LingmaError(
                ErrorKind.USAGE,
                f"cannot move the corrupt `{self._path}` away: {error.strerror}",
                hint="move it away",
            ) from error
        self._warn(f"the engines in `{self._path}` could not be read; they are kept in `{aside}`")


def _read(raws: list[msgspec.Raw]) -> list[_Line]:
    lines: list[_Line] = []
    for raw in raws:
        id_, entry, fault = "", None, ""
        try:
            id_ = msgspec.json.decode(raw, type=_Named).id
            entry = msgspec.json.decode(raw, type=Entry)
        except _NOT_JSON as error:
            fault = str(error)
        if id_ and id_ in {line.id for line in lines}:
            entry, fault = None, "its id stands in it twice"
        lines.append(_Line(raw, id_, entry, fault))
    return lines


def _written(entry: Entry) -> _Line:
    try:
        raw = msgspec.Raw(msgspec.json.encode(entry))
        msgspec.json.decode(raw, type=Entry)
    except (msgspec.ValidationError, UnicodeError) as error:
        raise LingmaError(ErrorKind.USAGE, f"an engine like this cannot be kept: {error}") from None
    return _Line(raw, entry.id, entry)


def _has_url(lines: list[_Line], entry: HttpEntry) -> bool:
    """Tell whether another engine has its URL."""
    others = (line.entry for line in lines if line.id != entry.id)
    return any(isinstance(known, HttpEntry) and known.url == entry.url for known in others)
