"""`lingma key show`."""

import json
from pathlib import Path

from lingma_cli.paths import find_paths, write_private
from tests.support.cli import run_lingma


def test_generated_keys_are_printed(tmp_path: Path) -> None:
    """Alone on stdout, so that `$(lingma key show)` works."""
    keys = {"api_key": "lgm-0123456789abcdef", "admin_token": "lga-0123456789abcdef"}
    write_private(find_paths({"LINGMA_HOME": str(tmp_path)}).keys_file, json.dumps(keys))

    assert run_lingma("key", "show", home=tmp_path).out == "lgm-0123456789abcdef\n"
    assert run_lingma("key", "show", "--admin", home=tmp_path).out == "lga-0123456789abcdef\n"


def test_a_configured_key_wins(tmp_path: Path) -> None:
    """What clients must send is what is printed."""
    config = tmp_path / "mine.toml"
    config.write_text('api_keys = ["first", "second"]\nadmin_token = "adm"\n')

    shown = run_lingma("key", "show", "--config", str(config), home=tmp_path)
    admin = run_lingma("key", "show", "--admin", home=tmp_path, env={"LINGMA_CONFIG": str(config)})

    assert (shown.out, admin.out) == ("first\n", "adm\n")


def test_a_key_that_others_may_have_read_is_not_shown(tmp_path: Path) -> None:
    """What `serve` would refuse is not handed to clients either."""
    keys = {"api_key": "lgm-0123456789abcdef", "admin_token": "lga-0123456789abcdef"}
    path = find_paths({"LINGMA_HOME": str(tmp_path)}).keys_file
    write_private(path, json.dumps(keys))
    path.chmod(0o644)

    result = run_lingma("key", "show", home=tmp_path)

    assert (result.code, result.out) == (2, "")
    assert f"hint: run `chmod 600 {path}`" in result.err


def test_before_the_first_start_there_is_no_key(tmp_path: Path) -> None:
    """The hint says what makes one; nothing is on stdout that could pass for a key."""
    result = run_lingma("key", "show", home=tmp_path)

    assert (result.code, result.out) == (2, "")
    assert result.err.startswith("error: there is no API key yet\n\nhint: the first `lingma serve`")
