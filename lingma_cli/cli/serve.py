"""`lingma serve`: run the server in the foreground."""

from __future__ import annotations

import os
import sys
from typing import Any

from lingma_cli.cli import output
from lingma_cli.cli.options import ConfigFile, load_settings, with_settings_options
from lingma_cli.cli.person import TerminalPerson
from lingma_cli.paths import find_paths


@with_settings_options
def serve(*, config: ConfigFile = None, **flags: Any) -> None:
    """Serve the OpenAI and Anthropic APIs until Ctrl-C."""
    paths = find_paths(os.environ)
    settings = load_settings(paths, config, flags).settings
    # Not before the settings are right.
    from lingma_cli.cli.engine import download_bar  # noqa: PLC0415
    from lingma_cli.cli.greeting import Greeter  # noqa: PLC0415
    from lingma_cli.wiring.bootstrap import Talk  # noqa: PLC0415
    from lingma_cli.wiring.serve import run_server  # noqa: PLC0415

    greeter = Greeter(output.say, is_terminal=output.is_terminal(sys.stderr))
    run_server(
        settings,
        paths,
        os.environ,
        talk=Talk(say=output.say, progress=download_bar, consent=TerminalPerson().consents),
        on_listening=greeter.greet,
        on_models=greeter.introduce,
        on_trouble=output.say_error,
    )
