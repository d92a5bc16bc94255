"""What an engine is to the rest of the house."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from lingma_cli.core.chat import ChatRequest, Model, ToolOutputPart
from lingma_cli.core.events import ChatEvent
from lingma_cli.core.login import LoginState
from lingma_cli.core.notes import Note
from lingma_cli.errors import LingmaError

OnChange = Callable[[LingmaError | None], None]


class Ask(Protocol):
    """One question under way; leaving its context before the end cancels it upstream."""

    @property
    def notes(self) -> Sequence[Note]:
        """What the engine had to drop or degrade so far."""
        ...

    async def next_batch(self) -> Sequence[ChatEvent]:
        """Wait for events and return all that are ready, loosely bracketed.

        An empty batch means that nothing more will come.
        """
        ...

    @property
    def pending_calls(self) -> frozenset[str]:
        """The calls whose results the engine waits for, once this turn's events have ended.

        Empty when the ask cannot be resumed.
        """
        ...

    def resume(self, request: ChatRequest, results: Mapping[str, ToolOutputPart]) -> None:
        """Give the results, by call id, and begin another turn of the same answer.

        Args:
            request: the client's next request; of it, the tools and how it is answered count.
            results: a pending call without one is refused.
        """
        ...

    async def is_alive(self) -> bool:
        """Tell whether the engine gives a sign of life for this ask right now, in seconds."""
        ...

    def abort(self, error: LingmaError) -> None:
        """Stop the answer upstream and end its events with `Failed(error)`."""
        ...


class Engine(Protocol):
    """Something that answers chat requests, with a life of its own."""

    @property
    def name(self) -> str:
        """The name it is listed under."""
        ...

    @property
    def reports_usage(self) -> bool:
        """Whether its streams carry token counts."""
        ...

    @property
    def native_tools(self) -> bool:
        """Whether its models are known to take tools in the request."""
        ...

    @property
    def native_options(self) -> bool:
        """Whether it takes stop sequences, token limits and output formats in the request."""
        ...

    @property
    def agent_mode(self) -> bool:
        """Whether it can be asked in agent mode, in which it acts."""
        ...

    @property
    def models(self) -> Sequence[Model]:
        """The last list that the engine gave."""
        ...

    @property
    def login(self) -> LoginState:
        """What was last heard of its login; in doubt an ask tells."""
        ...

    async def refresh_models(self) -> Sequence[Model]:
        """Ask the engine for its list now.

        Raises:
            LingmaError: the engine is away, or does not answer in time.
        """
        ...

    async def run(self, on_change: OnChange) -> None:
        """Start, serve until the end, and clean up; cancelling stops it.

        Args:
            on_change: told `None` when asks may come, and why when they may not any more.

        Raises:
            LingmaError: it could not start, or it died.
        """
        ...

    def ask(self, request: ChatRequest) -> AbstractAsyncContextManager[Ask]:
        """Open an ask; entering sends it.

        Raises:
            LingmaError: on entering, when the engine refuses.
        """
        ...
