"""The one settings table, and how its values are found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import Field
from pathlib import Path
from typing import Any

import pytest

from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.secret import Secret
from lingma_cli.settings import (
    Resolved,
    Row,
    Settings,
    environment_name,
    forget_secrets,
    resolve,
    table,
)

ROWS = [pytest.param(item, row, id=item.name) for item, row in table()]
NOWHERE = Path("/nonexistent/config.toml")


def _resolve(
    *,
    flags: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] | None = None,
    user_file: Path = NOWHERE,
    named_file: Path | None = None,
) -> Resolved:
    return resolve(flags or {}, environ or {}, user_file, named_file)


def _toml(folder: Path, content: str, name: str = "config.toml") -> Path:
    path = folder / name
    path.write_text(content, encoding="utf-8")
    return path


def _sample(item: Field[Any], row: Row) -> tuple[str, Any]:
    """Return a value that is not the default, as text and as it must arrive."""
    if row.choices:
        value = next(choice for choice in row.choices if choice != item.default)
        return value, value
    match str(item.type):
        case "bool":
            return "true", True
        case "int":
            return "2048", 2048
        case "float":
            return ("0.5", 0.5) if row.maximum == 1 else ("7.5", 7.5)
        case "str":
            return "some text", "some text"
        case "tuple[str, ...]":
            return "a, b", ("a", "b")
        case "tuple[Table, ...]":
            return '[{"name": "one"}]', ({"name": "one"},)
        case "Secret | None":
            return "canary", Secret("canary")
        case "tuple[Secret, ...]":
            return "canary-1,canary-2", (Secret("canary-1"), Secret("canary-2"))
        case other:
            raise AssertionError(f"no sample for {other}")


def test_without_anything_all_is_default() -> None:
    """Defaults, and each says so."""
    resolved = _resolve()

    assert Settings() == resolved.settings
    assert {"default"} == set(resolved.origins.values())
    assert {item.name for item, _ in table()} == set(resolved.origins)


@pytest.mark.parametrize(("item", "row"), ROWS)
def test_every_row_reads_its_variable(item: Field[Any], row: Row) -> None:
    """Set by its name in the environment, it arrives typed, with its origin."""
    text, value = _sample(item, row)

    resolved = _resolve(environ={environment_name(item.name): text})

    assert value == getattr(resolved.settings, item.name)
    assert resolved.origins[item.name] == "environment"


@pytest.mark.parametrize(("item", "row"), ROWS)
def test_every_row_reads_its_key_in_a_file(item: Field[Any], row: Row, tmp_path: Path) -> None:
    """The key is the name, the value has TOML's own type."""
    text, value = _sample(item, row)
    quoted = text if str(item.type) in ("bool", "int", "float") else f"'{text}'"
    path = _toml(tmp_path, f"{item.name} = {quoted}\n")

    resolved = _resolve(user_file=path)

    assert value == getattr(resolved.settings, item.name)
    assert f"file {path}" == resolved.origins[item.name]


@pytest.mark.parametrize(("item", "row"), ROWS)
def test_every_row_can_be_read_by_people(item: Field[Any], row: Row) -> None:
    """One lower-case line of help; secrets have no flag, other flags are unique options."""
    flags = [other.flag for _, other in table() if other.flag]

    assert row.help
    assert "\n" not in row.help
    assert not row.help.endswith(".")
    assert not (row.secret and row.flag)
    assert row.secret == ("Secret" in str(item.type))
    assert len(set(flags)) == len(flags)


def test_the_order_of_authority(tmp_path: Path) -> None:
    """Flag over environment over named file over user's file over default."""
    user = _toml(tmp_path, 'port = 1\nhost = "user"\nbin = "user"\nwork_dir = "user"\n')
    named = _toml(tmp_path, 'port = 2\nhost = "named"\nbin = "named"\n', "named.toml")
    environ = {"LINGMA_PORT": "3", "LINGMA_HOST": "environment"}

    resolved = _resolve(flags={"port": 4}, environ=environ, user_file=user, named_file=named)
    settings = resolved.settings

    assert (
        settings.port,
        settings.host,
        settings.bin,
        settings.work_dir,
        settings.default_ask_mode,
    ) == (4, "environment", "named", "user", "chat")
    assert {
        "port": "flag",
        "host": "environment",
        "bin": f"file {named}",
        "work_dir": f"file {user}",
        "default_ask_mode": "default",
    }.items() <= resolved.origins.items()


def test_what_was_not_given_does_not_count() -> None:
    """A flag left out and an empty variable are no values."""
    resolved = _resolve(flags={"port": None}, environ={"LINGMA_PORT": "", "LINGMA_BIN": ""})

    assert Settings() == resolved.settings


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *((word, True) for word in ("1", "true", "YES", "On", " true ")),
        *((word, False) for word in ("0", "false", "no", "OFF")),
    ],
)
def test_words_for_yes_and_no(text: str, value: bool) -> None:
    """People write them in many ways."""
    assert value is _resolve(environ={"LINGMA_DEMO": text}).settings.demo


@pytest.mark.parametrize(
    ("key", "words"),
    [("demo", "true or false"), ("port", "an integer"), ("engines", "a list of tables")],
)
def test_a_wrong_type_is_told_in_words(key: str, words: str) -> None:
    """Not in those of Python."""
    with pytest.raises(LingmaError) as caught:
        _resolve(environ={f"LINGMA_{key.upper()}": "x"})

    assert caught.value.message == f"`{key}` from environment takes {words}, not `x`"


def test_lists() -> None:
    """Commas, line breaks, blanks around, and TOML arrays."""
    assert _resolve(environ={"LINGMA_ALLOWED_HOSTS": " a,b ,\nc,,"}).settings.allowed_hosts == (
        "a",
        "b",
        "c",
    )


def test_lists_in_toml(tmp_path: Path) -> None:
    """An array of texts."""
    path = _toml(tmp_path, 'api_keys = ["one", "two"]\n')

    assert (Secret("one"), Secret("two")) == _resolve(user_file=path).settings.api_keys


def test_choices_in_any_case() -> None:
    """They are written in lower case afterwards."""
    assert _resolve(environ={"LINGMA_LOG_LEVEL": "DEBUG"}).settings.log_level == "debug"


WRONG_TEXT = {
    "demo": ["maybe", "2"],
    "port": ["http", "1.5", "-1", "1e3"],
    "body_limit": ["1023", "32MiB"],
    "head_timeout": ["soon", "nan", "inf", "0.01", "-1"],
    "drain_timeout": ["-0.1"],
    "log_level": ["loud"],
    "default_ask_mode": ["edit"],
    "cache_threshold": ["1.01"],
    "policy": ["fastest"],
    "engines": ["url", '{"url": "http://localhost"}', "[1]"],
}


@pytest.mark.parametrize(
    ("key", "text"), [(key, text) for key, texts in WRONG_TEXT.items() for text in texts]
)
def test_wrong_texts_are_named(key: str, text: str) -> None:
    """The error says which setting, from where, and what stood there."""
    with pytest.raises(LingmaError) as caught:
        _resolve(environ={environment_name(key): text})

    assert ErrorKind.USAGE is caught.value.kind
    assert f"`{key}` from environment" in caught.value.message
    assert f"`{text}`" in caught.value.message


@pytest.mark.parametrize(
    "line",
    [
        'demo = "maybe"',
        "demo = 1",
        "port = true",
        "port = 8317.0",
        "port = [1]",
        "host = 5",
        "host = {}",
        "head_timeout = true",
        'head_timeout = "soon"',
        "head_timeout = nan",
        "allowed_hosts = 5",
        "allowed_hosts = [1]",
        "log_level = 5",
        "api_keys = [5]",
        "admin_token = 5",
        "port = 2026-01-01",
    ],
)
def test_wrong_types_in_a_file_are_errors(line: str, tmp_path: Path) -> None:
    """TOML's types are not bent; the file is named."""
    path = _toml(tmp_path, line)

    with pytest.raises(LingmaError) as caught:
        _resolve(user_file=path)

    assert ErrorKind.USAGE is caught.value.kind
    assert str(path) in caught.value.message


@pytest.mark.parametrize("line", ["admin_token = 123456", "api_keys = [123456]"])
def test_a_wrong_secret_is_not_shown(line: str, tmp_path: Path) -> None:
    """The error names the setting and keeps the value to itself."""
    with pytest.raises(LingmaError) as caught:
        _resolve(user_file=_toml(tmp_path, line))

    assert "123456" not in str(caught.value)


def test_unknown_keys_in_a_file_are_named(tmp_path: Path) -> None:
    """A typing error does not pass unnoticed."""
    path = _toml(tmp_path, "prot = 1\n")

    with pytest.raises(LingmaError) as caught:
        _resolve(user_file=path)

    assert f"unknown setting `prot` in `{path}`" == caught.value.message


@pytest.mark.parametrize("content", [b"port = ", b"\xff\xfe", b"port = 1\nport = 2\n"])
def test_a_broken_file_is_named(content: bytes, tmp_path: Path) -> None:
    """What is no TOML says so."""
    path = tmp_path / "config.toml"
    path.write_bytes(content)

    with pytest.raises(LingmaError) as caught:
        _resolve(user_file=path)

    assert f"`{path}` is not valid TOML" in caught.value.message


def test_a_named_file_must_exist(tmp_path: Path) -> None:
    """The user's own need not, the one they named must; a folder is no file."""
    for path in (tmp_path / "gone.toml", tmp_path):
        with pytest.raises(LingmaError) as caught:
            _resolve(named_file=path)
        assert f"cannot read `{path}`" in caught.value.message


def test_secrets_do_not_show_in_the_settings() -> None:
    """A representation of all settings has none of them."""
    settings = _resolve(
        environ={"LINGMA_API_KEYS": "canary-1", "LINGMA_ADMIN_TOKEN": "canary-2"}
    ).settings

    assert "canary" not in repr(settings)


def test_secrets_are_forgotten() -> None:
    """Every secret setting, and nothing else."""
    environ = {
        "LINGMA_PASSWORD": "a",
        "LINGMA_ACCOUNTS": "b",
        "LINGMA_SESSION_BUNDLE": "c",
        "LINGMA_ADMIN_TOKEN": "d",
        "LINGMA_PORT": "1",
        "HOME": "/",
    }
    forget_secrets(environ)

    assert environ == {"LINGMA_PORT": "1", "HOME": "/"}
