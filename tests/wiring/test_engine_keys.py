"""Keys of engines, by what names them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.paths import find_paths
from lingma_cli.secret import Secret
from lingma_cli.wiring.engine_keys import resolve_key, settled_ref

KEY = "sk-0123456789"


def private(path: Path, content: str) -> Path:
    """Write a file that only its owner may read."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    path.chmod(0o600)
    return path


def test_a_variable_or_a_private_file_has_it(tmp_path: Path) -> None:
    """A line end is no part of it; a relative path counts from the folder of the settings."""
    paths = find_paths({"LINGMA_HOME": str(tmp_path)})
    private(paths.config / "keys" / "box", f"{KEY}\n")

    assert resolve_key("env:BOX_KEY", {"BOX_KEY": f" {KEY}"}, paths) == Secret(KEY)
    assert resolve_key("file:keys/box", {}, paths) == Secret(KEY)
    assert resolve_key(f"file:{paths.config / 'keys' / 'box'}", {}, paths) == Secret(KEY)
    assert resolve_key("", {"BOX_KEY": KEY}, paths) is None


@pytest.mark.parametrize("value", [None, "", "  ", "two words", "schlüssel"])
def test_a_variable_without_a_key_is_refused(tmp_path: Path, value: str | None) -> None:
    """Unset, empty, or no text that fits into a header; what it holds is not shown."""
    environ = {} if value is None else {"BOX_KEY": value}
    with pytest.raises(LingmaError, match="BOX_KEY") as caught:
        resolve_key("env:BOX_KEY", environ, find_paths({"LINGMA_HOME": str(tmp_path)}))

    assert caught.value.kind is ErrorKind.USAGE
    assert "words" not in caught.value.advice


@pytest.mark.skipif(os.name != "posix", reason="modes of files")
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620])
def test_a_file_that_others_may_open_is_refused(tmp_path: Path, mode: int) -> None:
    """When it is added and when it is used."""
    file = private(tmp_path / "key", KEY)
    file.chmod(mode)

    for use in (
        lambda: settled_ref("file:key", tmp_path),
        lambda: resolve_key(f"file:{file}", {}, find_paths({"LINGMA_HOME": str(tmp_path)})),
    ):
        with pytest.raises(LingmaError, match="others may open it") as caught:
            use()
        assert KEY not in caught.value.advice


@pytest.mark.parametrize("content", ["", "\n", "-----BEGIN PRIVATE KEY-----\nabc\n", "a\nb"])
def test_a_file_that_holds_something_else_is_refused(tmp_path: Path, content: str) -> None:
    """Whatever it is must not become a header of somebody else's server."""
    private(tmp_path / "key", content)

    with pytest.raises(LingmaError, match="does not hold one and nothing else"):
        settled_ref("file:key", tmp_path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """With its whole path."""
    with pytest.raises(LingmaError, match=str(tmp_path / "none")):
        settled_ref("file:none", tmp_path)


def test_a_reference_means_the_same_everywhere(tmp_path: Path) -> None:
    """A relative file gets its folder; a variable is looked up where the server runs."""
    private(tmp_path / "key", KEY)

    assert settled_ref("file:key", tmp_path) == f"file:{tmp_path / 'key'}"
    assert settled_ref("env:NOT_SET_HERE", tmp_path) == "env:NOT_SET_HERE"
    assert settled_ref("", tmp_path) == ""


@pytest.mark.parametrize("ref", [KEY, "env:", "env:1X", "env:A B", "file:", "file:a\nb", "url:x"])
def test_what_names_no_place_is_refused_and_not_shown(tmp_path: Path, ref: str) -> None:
    """It may be the key itself."""
    with pytest.raises(LingmaError, match="neither") as caught:
        settled_ref(ref, tmp_path)

    assert KEY not in caught.value.advice


@pytest.mark.parametrize("name", ["LINGMA_ADMIN_TOKEN", "LINGMA_API_KEYS", "lingma_admin_token"])
def test_our_own_secrets_are_no_keys_of_engines(tmp_path: Path, name: str) -> None:
    """The server takes them out of the environment, and they are nobody else's business."""
    paths = find_paths({"LINGMA_HOME": str(tmp_path)})
    with pytest.raises(LingmaError, match="takes it out"):
        settled_ref(f"env:{name}", tmp_path)
    with pytest.raises(LingmaError, match="takes it out"):
        resolve_key(f"env:{name}", {name: KEY}, paths)
