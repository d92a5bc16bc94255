"""`lingma config show`."""

import json
from pathlib import Path

from lingma_cli.settings import table
from tests.support.cli import run_lingma

KEYS = [item.name for item, _ in table()]


def test_every_setting_is_shown_with_its_value(tmp_path: Path) -> None:
    """One line each, in the order of the table; secrets are dots."""
    env = {"LINGMA_PORT": "9999", "LINGMA_API_KEYS": "lgm-1,lgm-2", "LINGMA_DEMO": "1"}

    result = run_lingma("config", "show", home=tmp_path, env=env)

    lines = {line.split()[0]: line.split()[1] for line in result.out.splitlines()}
    assert list(lines) == KEYS
    assert (
        lines["port"],
        lines["demo"],
        lines["head_timeout"],
        lines["bin"],
    ) == ("9999", "true", "10", "-")
    assert lines["api_keys"] == "••••,••••"
    assert "lgm-" not in result.out


def test_origins_are_shown(tmp_path: Path) -> None:
    """Environment, named file, own file and default are told apart."""
    own = tmp_path / "config" / "config.toml"
    own.parent.mkdir()
    own.write_text("port = 1\nqueue_size = 2\n")
    named = tmp_path / "named.toml"
    named.write_text('port = 3\nadmin_token = "adm"\n')

    result = run_lingma(
        "config", "show", "--origin", "--json", "--config", str(named),
        home=tmp_path, env={"LINGMA_LOG_LEVEL": "debug"},
    )  # fmt: skip

    shown = json.loads(result.out)
    assert {"value": 3, "origin": f"file {named}"} == shown["port"]
    assert {"value": 2, "origin": f"file {own}"} == shown["queue_size"]
    assert shown["log_level"] == {"value": "debug", "origin": "environment"}
    assert shown["host"] == {"value": "127.0.0.1", "origin": "default"}
    assert {"value": "••••", "origin": f"file {named}"} == shown["admin_token"]


def test_origins_make_a_third_column(tmp_path: Path) -> None:
    """For people, behind the value."""
    result = run_lingma("config", "show", "--origin", home=tmp_path, env={"LINGMA_PORT": "9"})

    assert ["port", "9", "environment"] in [line.split() for line in result.out.splitlines()]


def test_values_as_json_keep_their_types(tmp_path: Path) -> None:
    """Numbers, lists and truth values are no texts."""
    shown = json.loads(run_lingma("config", "show", "--json", home=tmp_path).out)

    assert list(shown) == KEYS
    assert (
        shown["port"],
        shown["api_keys"],
        shown["demo"],
        shown["head_timeout"],
    ) == (8317, [], False, 10.0)
