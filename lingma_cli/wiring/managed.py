"""An HTTP engine whose server we start ourselves: the one place where both halves meet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from lingma_cli.core.address import Address
from lingma_cli.core.ids import NewId
from lingma_cli.engines.base import OnChange
from lingma_cli.engines.managed.output_log import file_of, last_lines
from lingma_cli.engines.managed.process import running
from lingma_cli.engines.managed.templates import HOST, Launch, check_launch
from lingma_cli.engines.openai_http.engine import OpenAiHttpEngine, OpenAiHttpOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class ManagedOptions:
    """How one server is run and asked.

    Attributes:
        launch: what to start.
        folder: private; its working directory, with its log and its record.
        environ: the environment of ours; the server gets the allowed part.
        startup_timeout: seconds until the server must be ready; a large model takes minutes.
        http: how it is asked; the address and the model follow from `launch`.
    """

    launch: Launch
    folder: Path
    environ: Mapping[str, str]
    startup_timeout: float
    http: OpenAiHttpOptions


class ManagedEngine(OpenAiHttpEngine):
    """Starts a server for each of its lives, and ends it with them.

    Attributes:
        pid: of the server, `None` while there is none.

    Args:
        name: the name it is listed under.
        options: see `ManagedOptions`.
        new_id: makes ids of calls, and the token by which a process is known.

    Raises:
        LingmaError: the launch cannot become a command.
    """

    def __init__(self, name: str, options: ManagedOptions, new_id: NewId) -> None:
        launch = options.launch
        check_launch(launch)
        # Until it runs, a port that is yet to be chosen is port 1, where nobody listens.
        http = replace(options.http, url=_url(launch.port or 1), model=launch.served_name)
        super().__init__(name, http, new_id)
        self._managed = options
        self._new_token = new_id
        self.pid: int | None = None

    def last_lines(self, count: int) -> list[str]:
        """Return the last `count` lines that the server has printed, without secrets; blocks."""
        return last_lines(file_of(self._managed.folder, self.name, "log"), count)

    async def run(self, on_change: OnChange) -> None:
        """Start the server and serve until it dies or this is cancelled.

        Raises:
            LingmaError: it did not get ready, or it died.
        """
        options = self._managed
        async with running(
            options.launch,
            name=self.name,
            folder=options.folder,
            environ=options.environ,
            token=self._new_token(),
        ) as server:
            await server.ready(options.startup_timeout)
            self.address = Address.parse(server.url)
            self.pid = server.pid
            try:
                await server.during(super().run(on_change))
            finally:
                self.pid = None


def _url(port: int) -> str:
    return f"http://{HOST}:{port}"
