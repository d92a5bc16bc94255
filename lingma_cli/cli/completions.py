"""Completion scripts for four shells, written from the command tree.

They are complete in themselves: a press of Tab starts no Python.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from lingma_cli.cli.outline import Command, Option

_HEAD: Final = "# {name} completion for lingma, written by `lingma completion {name}`"


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """One shell: the name that its script is looked for by, and how it is written."""

    file: str
    render: Callable[[Command], str]


def _words(command: Command) -> list[str]:
    """Return what may be typed next: commands, choices of an argument, options."""
    names = [child.words[-1] for child in command.commands]
    names += [choice for argument in command.arguments for choice in argument.choices]
    return names + [name for option in command.options for name in option.names]


def _valued(root: Command) -> Iterator[tuple[Command, Option]]:
    for command in root.walk():
        for option in command.options:
            if option.metavar:
                yield command, option


def _bash(root: Command) -> str:
    paths = "|".join(f'"{" ".join(command.words)}"' for command in root.walk() if command.words)
    return f"""\
{_HEAD.format(name="bash")}
_lingma() {{
    local cur=${{COMP_WORDS[COMP_CWORD]}} prev=${{COMP_WORDS[COMP_CWORD - 1]}} path= word words=
    COMPREPLY=()
    for word in "${{COMP_WORDS[@]:1:COMP_CWORD - 1}}"; do
        case "${{path:+$path }}$word" in
        {paths}) path="${{path:+$path }}$word" ;;
        esac
    done
    # Bash cuts `--option=value` at the sign.
    if [[ $cur == "=" ]]; then
        cur=
    elif [[ $prev == "=" ]]; then
        prev=${{COMP_WORDS[COMP_CWORD - 2]}}
    fi
    case "$path $prev" in
{_bash_values(root)}
    esac
    case "$path" in
{_bash_words(root)}
    esac
    COMPREPLY=($(compgen -W "$words" -- "$cur"))
}}
complete -F _lingma lingma
"""


def _bash_values(root: Command) -> str:
    lines: list[str] = []
    files: list[str] = []
    guessless: list[str] = []
    for command, option in _valued(root):
        pattern = f'"{" ".join((*command.words, option.names[0]))}"'
        if option.choices:
            reply = f'COMPREPLY=($(compgen -W "{" ".join(option.choices)}" -- "$cur"))'
            lines.append(f"    {pattern}) {reply}; return ;;")
        else:
            (files if option.is_path else guessless).append(pattern)
    return "\n".join(
        [
            *lines,
            f"    {'|'.join(files)})",
            "        local IFS=$'\\n'",
            "        compopt -o filenames 2>/dev/null",
            '        COMPREPLY=($(compgen -f -- "$cur"))',
            "        return ;;",
            f"    {'|'.join(guessless)}) return ;;",
        ]
    )


def _bash_words(root: Command) -> str:
    return "\n".join(
        f'    "{" ".join(command.words)}") words="{" ".join(_words(command))}" ;;'
        for command in root.walk()
    )


def _zsh(root: Command) -> str:
    functions = "\n".join(_zsh_function(command) for command in root.walk())
    return f"""\
#compdef lingma
{_HEAD.format(name="zsh")}

{functions}
if [[ $funcstack[1] == _lingma ]]; then
    _lingma "$@"
else
    compdef _lingma lingma
fi
"""


def _zsh_function(command: Command) -> str:
    specs = [_zsh_option(option) for option in command.options]
    for argument in command.arguments:
        action = f"({' '.join(argument.choices)})" if argument.choices else ""
        specs.append(f"'{'*' if argument.is_repeated else '1'}:{argument.name}:{action}'")
    if not command.commands:
        body = "    _arguments " + " \\\n        ".join(specs)
        return f"{_zsh_name(command)}() {{\n{body}\n}}\n"
    specs += ["'1: :->command'", "'*:: :->rest'"]
    described = "\n            ".join(
        _zsh_quoted(f"{child.words[-1]}:{_zsh_plain(child.help)}") for child in command.commands
    )
    branches = "\n            ".join(
        f"{child.words[-1]}) {_zsh_name(child)} ;;" for child in command.commands
    )
    arguments = " \\\n        ".join(specs)
    return f"""\
{_zsh_name(command)}() {{
    local curcontext="$curcontext" state line
    local -a commands
    _arguments -C \\
        {arguments}
    case $state in
    command)
        commands=(
            {described}
        )
        _describe command commands
        ;;
    rest)
        case $words[1] in
            {branches}
        esac
        ;;
    esac
}}
"""


def _zsh_name(command: Command) -> str:
    return "_".join(("_lingma", *command.words))


def _zsh_option(option: Option) -> str:
    value = ""
    if option.choices:
        value = f":value:({' '.join(option.choices)})"
    elif option.metavar:
        value = f":{option.metavar.lower()}:{'_files' if option.is_path else ''}"
    text = f"[{_zsh_plain(option.summary)}]{value}"
    if len(option.names) == 1:
        return _zsh_quoted(f"{option.names[0]}{text}")
    names = " ".join(option.names)
    return f"'({names})'{{{','.join(option.names)}}}{_zsh_quoted(text)}"


def _zsh_plain(text: str) -> str:
    return "".join(f"\\{char}" if char in "[]:\\" else char for char in text)


def _zsh_quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def _fish(root: Command) -> str:
    lines = [
        _HEAD.format(name="fish"),
        "function __lingma_at",
        "    set -l words (commandline -opc)[2..]",
        "    test (count $words) -ge (count $argv); or return 1",
        '    test "$words[1..(count $argv)]" = "$argv"',
        "end",
        "complete -c lingma -f",
    ]
    for command in root.walk():
        lines += _fish_command(command)
    return "\n".join(lines) + "\n"


def _fish_command(command: Command) -> Iterator[str]:
    at = f"complete -c lingma -n {_fish_quoted(_fish_condition(command))}"
    for child in command.commands:
        yield f"{at} -a {child.words[-1]} -d {_fish_quoted(child.help)}"
    for argument in command.arguments:
        if argument.choices:
            yield f"{at} -a {_fish_quoted(' '.join(argument.choices))}"
    for option in command.options:
        names = [
            f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}" for name in option.names
        ]
        if option.choices:
            names.append(f"-x -a {_fish_quoted(' '.join(option.choices))}")
        elif option.metavar:
            names.append("-r -F" if option.is_path else "-x")
        yield f"{at} {' '.join(names)} -d {_fish_quoted(option.summary)}"


def _fish_condition(command: Command) -> str:
    children = " ".join(child.words[-1] for child in command.commands)
    at = f"__lingma_at {' '.join(command.words)}" if command.words else ""
    rest = f"not __fish_seen_subcommand_from {children}" if children else ""
    return "; and ".join(part for part in (at, rest) if part)


def _fish_quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _powershell(root: Command) -> str:
    words = "\n".join(
        f"        {_ps_quoted(' '.join(command.words))} = {_ps_list(_words(command))}"
        for command in root.walk()
    )
    values = "\n".join(
        f"        {_ps_quoted(' '.join((*command.words, name)))} = {_ps_list(option.choices)}"
        for command, option in _valued(root)
        if not option.is_path
        for name in option.names
    )
    return f"""\
{_HEAD.format(name="powershell")}
Register-ArgumentCompleter -Native -CommandName lingma -ScriptBlock {{
    param($wordToComplete, $commandAst, $cursorPosition)
    $words = @{{
{words}
    }}
    $values = @{{
{values}
    }}
    $path = ''
    $previous = ''
    foreach ($element in $commandAst.CommandElements | Select-Object -Skip 1) {{
        if ($element.Extent.EndOffset -ge $cursorPosition) {{ break }}
        $previous = $element.ToString()
        $next = "$path $previous".Trim()
        if ($words.ContainsKey($next)) {{ $path = $next }}
    }}
    $key = "$path $previous".Trim()
    $candidates = if ($values.ContainsKey($key)) {{ $values[$key] }} else {{ $words[$path] }}
    $candidates | Where-Object {{ $_ -like "$wordToComplete*" }} | ForEach-Object {{
        [System.Management.Automation.CompletionResult]::new($_, $_, 'ParameterValue', $_)
    }}
}}
"""


def _ps_list(items: list[str] | tuple[str, ...]) -> str:
    return f"@({', '.join(map(_ps_quoted, items))})"


def _ps_quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


SCRIPTS: Final[Mapping[str, Script]] = MappingProxyType(
    {
        "bash": Script(file="lingma.bash", render=_bash),
        "zsh": Script(file="_lingma", render=_zsh),
        "fish": Script(file="lingma.fish", render=_fish),
        "powershell": Script(file="lingma.ps1", render=_powershell),
    }
)
