"""The command tree as plain values."""

from typing import Annotated, Any

import typer

from lingma_cli.cli.outline import Argument, Option, outline


def example(
    shell: Annotated[str, typer.Argument(metavar="a|b", help="which")],
    *,
    file: Annotated[str, typer.Option("-f", "--file", metavar="FILE", help="a [env: F]")] = "",
    flag: Annotated[bool, typer.Option("--flag", help="on")] = False,
) -> None:
    """Do it."""


def test_what_the_parser_accepts_is_told() -> None:
    """Names with the long one first, values, choices, help; groups hold their commands."""
    app, group = typer.Typer(add_completion=False), typer.Typer(add_completion=False)
    group.command("do")(example)
    group.command("redo")(example)
    app.add_typer(group, name="things")
    parser: Any = typer.main.get_command(app)

    root = outline(parser)

    assert [command.words for command in root.walk()] == [
        (),
        ("things",),
        ("things", "do"),
        ("things", "redo"),
    ]
    command = root.commands[0].commands[0]
    file, flag, help_ = command.options
    assert Option(names=("--file", "-f"), metavar="FILE", help="a [env: F]") == file
    assert (file.summary, file.is_path, file.choices) == ("a", True, ())
    assert Option(names=("--flag",), metavar="", help="on") == flag
    assert help_.names == ("--help",)
    [argument] = command.arguments
    expected = Argument(
        name="shell", metavar="a|b", help="which", is_required=True, is_repeated=False
    )
    assert expected == argument
    assert argument.choices == ("a", "b")
    assert command.help == "Do it."
