"""The reference pages hold all there is."""

from lingma_cli.cli.app import tree
from lingma_cli.cli.reference import commands_page, settings_page
from lingma_cli.errors import FACES
from lingma_cli.settings import environment_name, table


def test_every_setting_has_its_line() -> None:
    """Key, option, variable and meaning."""
    lines = settings_page().splitlines()

    for item, row in table():
        [line] = [line for line in lines if line.startswith(f"| `{item.name}` |")]
        assert f"`{environment_name(item.name)}`" in line
        assert row.help in line
        assert row.flag in line


def test_types_are_words() -> None:
    """What Python calls them is nobody's business."""
    page = settings_page()

    assert "| `engines` | list of tables |" in page
    assert "tuple[" not in page


def test_every_command_has_its_section() -> None:
    """With each option and argument."""
    page = commands_page(tree())

    for command in tree().walk():
        if not command.commands:
            _, _, section = page.partition(f"## `lingma {' '.join(command.words)}`\n")
            section, _, _ = section.partition("\n## ")
            assert command.help in section
            for option in command.options:
                assert f"`{', '.join(option.names)}" in section
            for argument in command.arguments:
                assert argument.help in section


def test_every_exit_code_is_explained() -> None:
    """No error ends with a code that the page does not know."""
    page = commands_page(tree())

    for face in FACES.values():
        assert f"\n| {face.exit_code} |" in page
