"""`lingma models`: what the running server offers."""

from __future__ import annotations

from lingma_cli.cli import output
from lingma_cli.cli.options import ConfigFile, Json, Url


def models(*, url: Url = None, config: ConfigFile = None, json: Json = False) -> None:
    """List the models of the running server, and how tools were seen to reach them."""
    import msgspec  # noqa: PLC0415 - not for `--help`

    from lingma_cli.cli.target import find_target  # noqa: PLC0415

    with find_target(url, config).connect() as client:
        listed = client.models()
    if json:
        output.print_json(msgspec.to_builtins(listed))
        return
    rows = [(one.id, one.name, one.kind, _tokens(one.context_window), one.tools) for one in listed]
    output.print_columns([("ID", "NAME", "KIND", "CONTEXT", "TOOLS"), *rows])


def _tokens(count: int) -> str:
    return f"{count:,}" if count else "-"
