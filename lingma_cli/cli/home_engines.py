"""The engines of this home: those of its running server, and the book of those that were added.

The server keeps the book while it runs. One that asks nobody for an admin token writes nothing
down, since anybody on the machine may tell it anything; then the user's own command does.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from lingma_cli.cli import output
from lingma_cli.cli.engine_rows import of_entry, of_running
from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.paths import Paths, find_paths

if TYPE_CHECKING:
    from lingma_cli.client.engines import ControlPlane, EngineInfo
    from lingma_cli.control.persisted import Entry, HttpEntry, ManagedEntry, PersistedEngines


class HomeEngines:
    """What can be done to them.

    Args:
        plane: of the running server, `None` if none runs.
        book: what this home remembers.

    Attributes:
        plane: see above.
    """

    def __init__(self, plane: ControlPlane | None, book: PersistedEngines) -> None:
        self.plane = plane
        self._book = book
        self._entries = book.all()

    def rows(self) -> list[dict[str, Any]]:
        """Return all of them; what the running server has left out at its start comes last."""
        running = self._running()
        served = {engine.engine_id for engine in running if engine.is_removable}
        is_left_out = self.plane is not None
        return [
            *map(of_running, running),
            *(
                of_entry(entry, is_left_out=is_left_out)
                for entry in self._entries
                if entry.id not in served
            ),
        ]

    def taken(self) -> set[str]:
        """Return the ids and names that a new engine cannot have."""
        running = {name for one in self._running() for name in (one.engine_id, one.name)}
        return running | {entry.id for entry in self._entries}

    def add(self, entry: HttpEntry) -> EngineInfo | None:
        """Add a server that runs already.

        Returns:
            What the running server says of it; `None` if none runs.

        Raises:
            LingmaError: its id or URL is taken, or the server refuses.
        """
        self._check_free(entry)
        if self.plane is None:
            self._book.put(entry)
            return None
        from lingma_cli.client.engines import NewWorker  # noqa: PLC0415 - not for `--help`

        worker = NewWorker(
            url=entry.url,
            engine_id=entry.id,
            model_id=entry.model,
            kind=entry.kind,
            api_key_ref=entry.api_key_ref,
            max_concurrent_requests=entry.limit,
            labels=entry.labels,
        )
        engine = self.plane.add(worker)
        if not engine.remembered:
            self._book.put(entry)
        return engine

    def start(self, entry: ManagedEntry) -> EngineInfo | None:
        """Let a server be started; returns and raises as `add`, and does not wait for it."""
        self._check_free(entry)
        if self.plane is None:
            self._book.put(entry)
            return None
        from lingma_cli.client.engines import NewServer  # noqa: PLC0415 - not for `--help`

        server = NewServer(
            model_id=entry.model,
            engine_id=entry.id,
            template=entry.template,
            engine_kind=entry.kind,
            engine_label=entry.label,
            port=entry.port or None,
            max_concurrent_requests=entry.limit,
            extra_args=entry.extra,
        )
        return self.plane.start(server)

    def remove(self, name: str) -> None:
        """Forget an engine, be it one of the server's or one that it has left out.

        Raises:
            LingmaError: there is none, or it was not added.
        """
        from lingma_cli.wiring.engine_book import forget  # noqa: PLC0415 - not for `--help`

        is_known = any(entry.id == name for entry in self._entries)
        running = [one for one in self._running() if name in (one.engine_id, one.name)]
        # One of an account or of the settings may have the id of one that was left out.
        engine = next((one for one in running if one.is_removable or not is_known), None)
        if self.plane is None or engine is None:
            forget(self._book, name)
            return
        self.plane.remove(engine.engine_id)
        if not engine.remembered:
            self._book.remove(engine.engine_id)

    def mark(self, engine: EngineInfo, *, stopped: bool) -> None:
        """Write down that an engine was stopped or started by hand, unless the server has."""
        if engine.remembered or not engine.is_removable:
            return
        import msgspec  # noqa: PLC0415 - not for `--help`

        for entry in self._entries:
            if entry.id == engine.engine_id:
                self._book.put(msgspec.structs.replace(entry, stopped=stopped))

    def prune(self, plane: ControlPlane) -> int:
        """Forget the added engines that have stopped or failed, and return how many."""
        before = plane.all()
        count = plane.prune()
        left = {engine.engine_id for engine in plane.all()}
        for engine in before:
            if not engine.remembered and engine.is_removable and engine.engine_id not in left:
                self._book.remove(engine.engine_id)
        return count

    def _running(self) -> tuple[EngineInfo, ...]:
        return () if self.plane is None else self.plane.all()

    def _check_free(self, entry: Entry) -> None:
        url = getattr(entry, "url", None)
        for known in self._entries:
            if known.id == entry.id:
                raise _taken(f"`{entry.id}` already", known.id)
            if url and getattr(known, "url", None) == url:
                raise _taken(f"at {url} already: `{known.id}`", known.id)


@contextmanager
def home_engines(config: str | None) -> Iterator[HomeEngines]:
    """Give the engines of this home; raises as `home_control_plane`."""
    from lingma_cli.wiring.engine_book import open_book  # noqa: PLC0415 - not for `--help`

    paths = find_paths(os.environ)
    with home_control_plane(paths, config) as plane:
        yield HomeEngines(plane, open_book(paths, output.warn))


@contextmanager
def running_engines(config: str | None) -> Iterator[tuple[HomeEngines, ControlPlane]]:
    """Give the same of a running server, and its control plane; raises as that."""
    from lingma_cli.wiring.engine_book import open_book  # noqa: PLC0415 - not for `--help`

    with running_control_plane(config) as plane:
        yield HomeEngines(plane, open_book(find_paths(os.environ), output.warn)), plane


@contextmanager
def home_control_plane(paths: Paths, config: str | None) -> Iterator[ControlPlane | None]:
    """Give the control plane of this home's server, `None` if none runs.

    Raises:
        LingmaError: one is just starting or ending, or the vault does not give its keys.
    """
    from lingma_cli.server.presence import find_server, is_served  # noqa: PLC0415
    from lingma_cli.wiring.background import no_server  # noqa: PLC0415

    if find_server(paths) is not None:
        from lingma_cli.cli.target import find_own_target  # noqa: PLC0415 - now httpx is needed
        from lingma_cli.client.engines import ControlPlane  # noqa: PLC0415

        target = find_own_target(config)
        with ControlPlane(target.url, admin_token=target.keys.admin) as plane:
            yield plane
    elif is_served(paths):
        # What is written down now might be read by it or not.
        raise no_server(paths)
    else:
        yield None


@contextmanager
def running_control_plane(config: str | None) -> Iterator[ControlPlane]:
    """Give the control plane of this home's server.

    Raises:
        LingmaError: none runs, or the vault does not give its keys.
    """
    from lingma_cli.wiring.background import no_server  # noqa: PLC0415 - not for `--help`

    paths = find_paths(os.environ)
    with home_control_plane(paths, config) as plane:
        if plane is None:
            raise no_server(paths)
        yield plane


def _taken(what: str, id_: str) -> LingmaError:
    return LingmaError(
        ErrorKind.CONFLICT,
        f"there is an engine {what}",
        hint=f"run `lingma engine remove {id_}` first, or give another id and URL",
    )
