"""The options of `serve`, generated from the settings table."""

from pathlib import Path
from typing import Any

import pytest
import typer

from lingma_cli.cli.app import tree
from lingma_cli.cli.options import load_settings, with_settings_options
from lingma_cli.errors import LingmaError
from lingma_cli.paths import find_paths
from lingma_cli.settings import environment_name, table
from tests.support.cli import run_lingma

SAMPLES: dict[str, tuple[str, Any]] = {
    "int": ("7", 7),
    "float": ("7.5", 7.5),
    "str": ("some text", "some text"),
    "tuple[str, ...]": ("a.example", ("a.example", "b.example")),
}


def parse(*arguments: str) -> dict[str, Any]:
    """Return the flags that a command with the generated options is called with."""
    seen: dict[str, Any] = {}

    @with_settings_options
    def command(*, config: str | None = None, **flags: Any) -> None:
        seen.update(flags, config=config)

    app = typer.Typer(add_completion=False)
    app.command()(command)
    parser: Any = typer.main.get_command(app)
    with parser.make_context("command", list(arguments)) as context:
        parser.invoke(context)
    return seen


@pytest.mark.parametrize("name", [item.name for item, row in table() if row.flag])
def test_every_flag_sets_its_setting(tmp_path: Path, name: str) -> None:
    """What is given on the command line is the setting's value, whatever its type."""
    arguments: list[str]
    expected: Any
    item, row = next(pair for pair in table() if pair[0].name == name)
    if item.type == "bool":
        arguments, expected = [row.flag], True
    elif row.choices:
        arguments, expected = [row.flag, row.choices[-1]], row.choices[-1]
    elif item.type == "tuple[str, ...]":
        arguments = [row.flag, "a.example", row.flag, "b.example"]
        expected = ("a.example", "b.example")
    else:
        text, expected = SAMPLES[str(item.type)]
        if (row.minimum or 0) > 7:
            text, expected = "2048", 2048
        elif row.maximum == 1:
            text, expected = "0.5", 0.5
        arguments = [row.flag, text]

    flags = parse(*arguments)
    del flags["config"]
    paths = find_paths({"LINGMA_HOME": str(tmp_path)})
    resolved = load_settings(paths, None, flags, environ={})

    assert expected == getattr(resolved.settings, name)
    assert [name] == [key for key, origin in resolved.origins.items() if origin == "flag"]


def test_options_that_are_not_given_leave_the_environment_alone(tmp_path: Path) -> None:
    """An unset flag is no `false`."""
    flags = parse()
    del flags["config"]
    env = {"LINGMA_DEMO": "1", "LINGMA_ALLOWED_HOSTS": "a,b"}

    settings = load_settings(
        find_paths({"LINGMA_HOME": str(tmp_path)}), None, flags, environ=env
    ).settings

    assert (settings.demo, settings.allowed_hosts) == (True, ("a", "b"))


def test_the_help_shows_meaning_default_and_variable(tmp_path: Path) -> None:
    """Everything that is known of a setting stands behind its option."""
    text = " ".join(run_lingma("serve", "--help", home=tmp_path).out.split())

    for item, row in table():
        if row.flag:
            assert f"{row.flag} " in text
            assert row.help in text
            assert f"env: {environment_name(item.name)}]" in text
    assert "[default: 8317; env: LINGMA_PORT]" in text
    assert "--drain-timeout SECONDS" in text
    assert "--load-factor NUMBER" in text


def test_secrets_have_no_option() -> None:
    """Arguments can be read by everybody on the machine."""
    names = {name for command in tree().walk() for item in command.options for name in item.names}

    for item, row in table():
        if row.secret:
            assert not row.flag
            assert f"--{item.name.replace('_', '-')}" not in names


def test_the_named_file_comes_from_the_option_or_the_variable(tmp_path: Path) -> None:
    """`--config` wins over `LINGMA_CONFIG`; both must exist."""
    paths = find_paths({"LINGMA_HOME": str(tmp_path)})
    one, two = tmp_path / "one.toml", tmp_path / "two.toml"
    one.write_text("port = 1")
    two.write_text("port = 2")
    env = {"LINGMA_CONFIG": str(two)}

    assert load_settings(paths, str(one), environ=env).settings.port == 1
    assert load_settings(paths, None, environ=env).settings.port == 2
    with pytest.raises(LingmaError, match="cannot read"):
        load_settings(paths, str(tmp_path / "three.toml"), environ=env)
