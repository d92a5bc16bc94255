"""The reference pages, written from the settings table and the command tree."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from lingma_cli.cli.options import shown_default
from lingma_cli.cli.outline import Command
from lingma_cli.core.notes import MEANINGS
from lingma_cli.routing.options import option_table
from lingma_cli.routing.registry import POLICIES
from lingma_cli.settings import TYPE_WORDS, environment_name, table

_EXIT_CODES: Final = (
    ("0", "done"),
    ("1", "something unexpected"),
    ("2", "wrong usage, or the port is in use"),
    ("3", "a server already runs, or none was found; or there is no executable"),
    ("4", "a download failed"),
    ("5", "login or key needed, or it is not allowed"),
    (
        "6",
        "the server or Lingma failed, or refused; or what was named is not there, or there twice",
    ),
    ("129, 130, 143", "ended by SIGHUP, Ctrl-C or SIGTERM"),
    ("141", "whoever read the output left"),
)
_SETTINGS_HEAD: Final = """\
# Settings

Each setting has one name. A command-line option wins over the environment, the environment over
the file that `--config` or `LINGMA_CONFIG` names, that file over your own `config.toml`, and that
over the default. `lingma config show --origin` shows what counts and why. In the environment,
lists are separated by commas, lists of tables are JSON (`[{"url": "http://127.0.0.1:8080"}]`), and
an empty variable means unset. Secrets have no option, because arguments can be read by everybody on
the machine.

Three further variables name no setting: `LINGMA_HOME` moves config, data, state, cache and runtime
files together, and `LINGMA_URL` and `LINGMA_API_KEY` tell `lingma chat`, `models` and `status`
which server to talk to and with which key.
"""
_CLI_HEAD: Final = """\
# Commands

Data goes to stdout, everything else to stderr. `NO_COLOR` turns styling off;
`LINGMA_TRACEBACK=1` shows where an unexpected error came from.
"""
_NOTES_HEAD: Final = """\
# Notes

What a request asks for and does not get, and what in an answer is not quite what it seems, is told
in the response header `x-lingma-notes` as a list of these codes. Those that come up only when the
header has been sent stand in the log line of the request.
"""

_POLICIES_HEAD: Final = """\
# Routing policies

A policy chooses the engine of a request among all that have its model. Before it, whatever goes on
in a session of an engine goes to that engine, and engines that are not ready, are full, rest after
a used-up quota, are logged out or have failed too often are left out: they are not *eligible*.

`policy` (`--policy`) names one for all models, `model_policies` for some: `["qwen*=bucket"]`. With
`auto`, models of Lingma engines are served by `affinity`, all others by `cache_aware`. Every model
has a policy object of its own, which lives as long as an engine has the model.

A client can say where it wants to go with two headers: `x-smg-routing-key` (any text that stands
for its session) and `x-smg-target-worker` (an engine's place in the list, from 0). Which policies
listen to them is said below. `/metrics` counts each policy's choices and why it made them.
"""


def policies_page() -> str:
    """Return the page of all policies, Markdown."""
    options = {item.name: option for item, option in option_table()}
    rows = [(f"[`{kind.name}`](#{kind.name})", kind.help) for kind in POLICIES]
    sections = []
    for kind in POLICIES:
        own = [(f"`{name}`", options[name].help) for name in kind.options]
        table_ = f"\n{_markdown_table(('setting', 'meaning'), own)}\n" if own else ""
        sections.append(f"## {kind.name}\n\n{kind.rules}{table_}")
    overview = _markdown_table(("policy", "what it does"), rows)
    return f"{_POLICIES_HEAD}\n{overview}\n\n" + "\n".join(sections)


def notes_page() -> str:
    """Return the page of all note codes, Markdown."""
    rows = [(f"`{code.value}`", meaning) for code, meaning in MEANINGS.items()]
    return f"{_NOTES_HEAD}\n{_markdown_table(('code', 'meaning'), rows)}\n"


def settings_page() -> str:
    """Return the page of all settings, Markdown."""
    rows = [
        (
            f"`{item.name}`",
            TYPE_WORDS[str(item.type)].removeprefix("an ").removeprefix("a "),
            f"`{shown_default(item)}`" if shown_default(item) else "",
            f"`{row.flag}`" if row.flag else "",
            f"`{environment_name(item.name)}`",
            row.help + (f": {', '.join(row.choices)}" if row.choices else ""),
        )
        for item, row in table()
    ]
    head = ("key", "type", "default", "option", "environment", "meaning")
    return f"{_SETTINGS_HEAD}\n{_markdown_table(head, rows)}\n"


def commands_page(root: Command) -> str:
    """Return the page of all commands, Markdown."""
    sections = [_section(command) for command in root.walk() if not command.commands]
    codes = _markdown_table(("code", "meaning"), _EXIT_CODES)
    return "\n".join([_CLI_HEAD, *sections, f"## Exit codes\n\n{codes}\n"])


def _section(command: Command) -> str:
    usage = [
        item.metavar + ("..." if item.is_repeated else "")
        if item.is_required
        else f"[{item.metavar}{'...' if item.is_repeated else ''}]"
        for item in command.arguments
    ]
    name = " ".join(("lingma", *command.words))
    rows = [(f"`{item.metavar}`", item.help) for item in command.arguments]
    for option in command.options:
        value = f" {option.metavar}" if option.metavar else ""
        rows.append((f"`{', '.join(option.names)}{value}`", option.help))
    return f"""\
## `{name}`

{command.help}

    {" ".join((name, "[OPTIONS]", *usage))}

{_markdown_table(("argument or option", "meaning"), rows)}
"""


def _markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(
        f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines
    )
