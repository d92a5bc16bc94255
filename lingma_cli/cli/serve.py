"""`lingma serve`: run the server in the foreground."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from lingma_cli.cli import output
from lingma_cli.cli.options import ConfigFile, load_settings, with_settings_options
from lingma_cli.cli.person import TerminalPerson
from lingma_cli.paths import Paths, find_paths

if TYPE_CHECKING:
    from collections.abc import Callable

    from lingma_cli.settings import Settings
    from lingma_cli.wiring.serve import Listening


@with_settings_options
def serve(*, config: ConfigFile = None, **flags: Any) -> None:
    """Serve the OpenAI and Anthropic APIs until Ctrl-C."""
    paths = find_paths(os.environ)
    from lingma_cli.wiring.handshake import reporting  # noqa: PLC0415 - not for `--help`

    with reporting(os.environ, paths.background_log) as report:
        _serve(load_settings(paths, config, flags).settings, paths, report)


def _serve(settings: Settings, paths: Paths, report: Callable[[Listening], None]) -> None:
    # Not before the settings are right.
    from lingma_cli.cli.executable import terminal_talk  # noqa: PLC0415
    from lingma_cli.cli.greeting import Greeter  # noqa: PLC0415
    from lingma_cli.wiring.serve import run_server  # noqa: PLC0415

    greeter = Greeter(output.say, is_terminal=output.is_terminal(sys.stderr))

    def on_listening(listening: Listening) -> None:
        greeter.greet(listening)
        report(listening)

    run_server(
        settings,
        paths,
        os.environ,
        talk=terminal_talk(TerminalPerson()),
        on_listening=on_listening,
        on_models=greeter.introduce,
        on_trouble=output.say_error,
    )
