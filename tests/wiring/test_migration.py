"""The old gateway's environment, as settings and accounts of ours."""

from __future__ import annotations

import os
import stat
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lingma_cli.errors import LingmaError
from lingma_cli.paths import write_private
from lingma_cli.secret import Secret
from lingma_cli.settings import resolve, table
from lingma_cli.wiring.migration import extend_file, plan_import


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "config" / "config.toml"


def test_names_of_the_old_gateway_are_known(file: Path) -> None:
    """Bare ones and those with `LINGMA_`; what it calls otherwise is not ours."""
    plan = plan_import(
        {
            "PORT": "9000",
            "HOST": "0.0.0.0",
            "LOG_LEVEL": "INFO",
            "API_KEYS": "key-0123456789abcdef,key-fedcba9876543210",
            "LINGMA_STARTUP_TIMEOUT": "55",
            "TOOL_FORWARD_ENABLED": "false",
            "TOOL_ALLOWLIST": "",
            "METRICS_PUBLIC": "true",
            "STORE": "plain",
            "PATH": "/bin",
            "LINGMA_INSTANCE_COUNT": "2",
        },
        file,
    )

    assert plan.added == {
        "port": 9000,
        "host": "0.0.0.0",
        "log_level": "info",
        "api_keys": (Secret("key-0123456789abcdef"), Secret("key-fedcba9876543210")),
        "startup_timeout": 55.0,
        "tool_forward_enabled": False,
        "metrics_public": True,
        "instance_count": "2",
    }
    assert plan.unknown == ["STORE", "PATH"]
    assert (plan.kept, plan.same, plan.left_out, plan.entries) == ([], [], [], [])


def test_what_the_file_says_stays(file: Path) -> None:
    """Another value is told, the same one is nothing to tell."""
    write_private(file, "# mine\nport = 1 # really\nhost = '::1'")

    plan = plan_import({"PORT": "9000", "HOST": "::1", "LINGMA_RPC_TIMEOUT": "5"}, file)
    extend_file(file, plan.added)

    assert (plan.kept, plan.same, plan.added) == (["port"], ["host"], {"rpc_timeout": 5.0})
    assert file.read_text().startswith("# mine\nport = 1 # really\nhost = '::1'\n# ")
    assert resolve({}, {}, file).settings.rpc_timeout == 5.0
    assert plan_import({"LINGMA_RPC_TIMEOUT": "5"}, file).added == {}


def test_tables_of_the_file_keep_what_is_theirs(file: Path) -> None:
    """What is written behind a table's head would belong to it; a list is no such head."""
    write_private(file, "allowed_hosts = [\n  'a',\n]\n[[engines]]\nurl = 'http://h'\n")

    extend_file(file, {"port": 9000})

    assert tomllib.loads(file.read_text()) == {
        "allowed_hosts": ["a"],
        "port": 9000,
        "engines": [{"url": "http://h"}],
    }


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("LINGMA_ENGINES", '[{"url": "http://canary"}]'),
        ("PORT", "canary"),
        ("PORT", "-1"),
        ("LOG_LEVEL", "canary"),
        ("LINGMA_BIN", "/app/canary"),
        ("LINGMA_WORK_DIR", "/app/canary"),
        ("API_KEYS", "x"),
        ("ADMIN_TOKEN", "x"),
    ],
)
def test_what_cannot_be_used_is_left_out(file: Path, name: str, value: str) -> None:
    """With the reason: a wrong value, a path of the container, a key that `serve` would refuse."""
    plan = plan_import({name: value, "HOST": "::1"}, file)

    assert plan.added == {"host": "::1"}
    [(left, reason)] = plan.left_out
    assert (left, bool(reason)) == (name, True)


def test_accounts_are_no_settings(file: Path) -> None:
    """The list and the single one beside it; nothing of them is for the file."""
    plan = plan_import(
        {
            "LINGMA_ACCOUNTS": "u1:p1,u2:p2",
            "LINGMA_USERNAME": "u3",
            "LINGMA_PASSWORD": "p3",
            "LINGMA_SESSION_BUNDLE_FILE": "/app/bundle",
        },
        file,
    )

    assert plan.added == {}
    assert [(entry.name, entry.username, entry.has_bundle) for entry in plan.entries] == [
        ("u1", "u1", False),
        ("u2", "u2", False),
        ("default", "u3", True),
    ]


@pytest.mark.parametrize(
    "variables", [{"LINGMA_ACCOUNTS": "canary"}, {"LINGMA_PASSWORD": "canary"}]
)
def test_accounts_without_sense_end_it(file: Path, variables: dict[str, str]) -> None:
    """Before anything is written, and without their words."""
    with pytest.raises(LingmaError) as caught:
        plan_import(variables, file)

    assert "canary" not in caught.value.advice


def test_a_wrong_file_ends_it(file: Path) -> None:
    """It is not written to."""
    write_private(file, "no = [")

    with pytest.raises(LingmaError):
        plan_import({"PORT": "1"}, file)
    assert file.read_text() == "no = ["


@given(values=st.data())
def test_what_is_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, values: st.DataObject
) -> None:
    """Every kind of setting, with whatever text."""
    texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(str.strip)
    kinds: dict[str, st.SearchStrategy[object]] = {
        "bool": st.booleans(),
        "int": st.integers(1024, 2**40),
        "float": st.floats(1, 1e9),
        "str": texts,
        "tuple[str, ...]": st.lists(texts.map(str.strip)).map(tuple),
        "Secret | None": texts.map(Secret),
        "tuple[Secret, ...]": st.lists(texts.map(str.strip).map(Secret)).map(tuple),
    }
    rows = {
        item.name: st.sampled_from(row.choices) if row.choices else kinds[str(item.type)]
        for item, row in table()
        if row.maximum is None and item.type != "tuple[Table, ...]"
    }
    added = values.draw(st.fixed_dictionaries({}, optional=rows))
    file = tmp_path_factory.mktemp("home") / "config" / "config.toml"

    extend_file(file, added)

    found = resolve({}, {}, file)
    assert {key: getattr(found.settings, key) for key in added} == added
    assert file.exists() == bool(added)


def test_the_file_is_private(file: Path) -> None:
    """It may hold keys; nothing to add makes none."""
    before = os.umask(0)
    try:
        extend_file(file, {})
        assert not file.exists()
        extend_file(file, {"port": 1})
    finally:
        os.umask(before)

    assert stat.S_IMODE(file.stat().st_mode) == 0o600
