"""The line that is typed at: editing, history, several lines, pasted blocks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, TextIO

from lingma_cli.repl.commands import COMMANDS, SIGN

if TYPE_CHECKING:
    from prompt_toolkit import PromptSession
    from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
    from prompt_toolkit.output import Output

PROMPT: Final = "> "
_CONTINUED: Final = "  "


class Editor:
    """Reads what a person types.

    Args:
        out: the terminal that shows it.
        history: what was typed before, oldest first.
        remember: is told what is typed now.
    """

    def __init__(
        self, out: TextIO, *, history: Sequence[str], remember: Callable[[str], object]
    ) -> None:
        from prompt_toolkit import PromptSession
        from prompt_toolkit.completion import WordCompleter
        from prompt_toolkit.history import InMemoryHistory
        from prompt_toolkit.shortcuts import CompleteStyle
        from prompt_toolkit.utils import is_dumb_terminal

        names = [SIGN + command.name for command in COMMANDS]
        self._remember = remember
        self._session: PromptSession[str] = PromptSession(
            PROMPT,
            multiline=True,
            prompt_continuation=_CONTINUED,
            history=InMemoryHistory(history),
            completer=WordCompleter(names, sentence=True),
            complete_while_typing=False,
            complete_style=CompleteStyle.READLINE_LIKE,
            reserve_space_for_menu=0,
            enable_suspend=True,
            key_bindings=_bindings(),
            # A terminal that can do nothing is served by plain writing, unless told an output.
            output=None if is_dumb_terminal() else _output(out),
        )

    def read(self) -> str:
        """Return the next text; lines in it are separated by line feeds.

        Raises:
            EOFError: Ctrl-D in an empty line.
            KeyboardInterrupt: Ctrl-C in an empty line; in any other it clears it.
        """
        try:
            typed = self._session.prompt()
        except KeyboardInterrupt:
            if self._session.default_buffer.text:
                return ""
            raise
        # A terminal may send bytes that are no text at all.
        text = typed.encode(errors="replace").decode()
        if text.strip():
            self._remember(text)
        return text


def _bindings() -> KeyBindings:
    from prompt_toolkit.enums import DEFAULT_BUFFER
    from prompt_toolkit.filters import has_focus
    from prompt_toolkit.key_binding import KeyBindings

    bindings = KeyBindings()
    # While the history is searched, the keys belong to the search.
    typing = has_focus(DEFAULT_BUFFER)
    bindings.add("enter", filter=typing)(_send)
    bindings.add("escape", "enter", filter=typing)(_add_line)
    return bindings


def _send(event: KeyPressEvent) -> None:
    buffer = event.current_buffer
    if buffer.document.is_cursor_at_the_end and buffer.text.endswith("\\"):
        buffer.delete_before_cursor()
        buffer.newline(copy_margin=False)
    else:
        buffer.validate_and_handle()


def _add_line(event: KeyPressEvent) -> None:
    event.current_buffer.newline(copy_margin=False)


def _output(out: TextIO) -> Output:
    from prompt_toolkit.output import create_output
    from prompt_toolkit.output.vt100 import Vt100_Output

    output = create_output(out)
    if isinstance(output, Vt100_Output):
        # Nothing here needs to know where the cursor is, and not every terminal tells.
        output.enable_cpr = False
    return output
