"""Engines from the settings file, and those that come at run time, as slots."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from lingma_cli.control.persisted import HttpEntry, ManagedEntry, PersistedEngines
from lingma_cli.control.registry import EngineState, Registry, Slot
from lingma_cli.control.supervisor import Supervisor
from lingma_cli.engines.base import Engine
from lingma_cli.engines.openai_http.engine import OpenAiHttpEngine
from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.paths import find_paths
from lingma_cli.secret import Secret
from lingma_cli.settings import Settings
from lingma_cli.wiring.fleet import SlotMaker, build_fleet, engines_of_file, launch_of
from lingma_cli.wiring.managed import ManagedEngine
from lingma_cli.wiring.surroundings import Surroundings
from lingma_cli.wiring.vault import VaultDoor
from tests.support.openai_server import error_reply, openai_server

HTTP = HttpEntry(id="far", url="http://127.0.0.1:9", limit=3)
OURS = ManagedEntry(id="near", template="llama.cpp", model="/m/tiny.gguf", kind="embedding")

NO_KEY = error_reply(401, "no", "invalid_api_key")


def around(
    folder: Path,
    settings: Settings | None = None,
    environ: Mapping[str, str] | None = None,
    warnings: list[str] | None = None,
) -> Surroundings:
    paths = find_paths({"LINGMA_HOME": str(folder)})
    settings = settings or Settings()
    warned = [] if warnings is None else warnings
    return Surroundings(
        settings=settings,
        paths=paths,
        environ=environ or {},
        command=(),
        open_vault=VaultDoor(settings, paths, warn=warned.append, ask=pytest.fail).open,
        warn=warned.append,
    )


def death_of(engine: Engine) -> LingmaError:
    with pytest.raises(LingmaError) as caught:
        asyncio.run(engine.run(lambda _: pytest.fail("it is ready")))
    return caught.value


def of_file(folder: Path, *tables: dict[str, Any], **more: Any) -> list[Slot]:
    return list(engines_of_file(around(folder, Settings(engines=tables, **more))))


def test_somebody_else_s_server(tmp_path: Path) -> None:
    """It is not ours to start, and is asked at its address."""
    slot = SlotMaker(around(tmp_path))(HTTP)

    assert isinstance(slot.engine, OpenAiHttpEngine)
    assert (slot.id, slot.engine.name, slot.is_owned, slot.limit) == ("far", "far", False, 3)
    assert (slot.kind, slot.policy) == ("llm", "cache_aware")
    assert slot.engine.address.root == HTTP.url


def test_a_server_of_ours(tmp_path: Path) -> None:
    """It can be started again, in a private folder, and its model is known before."""
    slot = SlotMaker(around(tmp_path))(OURS)

    assert isinstance(slot.engine, ManagedEngine)
    assert (slot.id, slot.is_owned, slot.kind) == ("near", True, "embedding")
    assert [model.key for model in slot.engine.models] == ["tiny"]
    folder = tmp_path / "data" / "engines" / "near"
    assert folder.stat().st_mode & 0o777 == 0o700


def test_keys_are_those_of_this_run_or_the_named_ones(tmp_path: Path) -> None:
    """One of this run goes first; forgotten, it does not count any more."""
    maker = SlotMaker(around(tmp_path, environ={"MY_KEY": "named-key"}))
    with openai_server(models=NO_KEY) as server:
        engine = maker(HttpEntry(id="far", url=server.url, api_key_ref="env:MY_KEY")).engine
        for key in (None, Secret("given-key"), None):
            maker.keep_key("far", key)
            assert death_of(engine).kind is ErrorKind.LOGIN_REQUIRED

        shown = [asked.headers["authorization"] for asked in server.asked]
        assert shown[1::2] == ["Bearer named-key", "Bearer given-key", "Bearer named-key"]


def test_a_key_file_is_read_for_each_life(tmp_path: Path) -> None:
    """So that a renewed key needs no more than a restart of the engine."""
    file = tmp_path / "key"

    def write(key: str) -> None:
        file.write_text(key)
        file.chmod(0o600)

    write("old-key")
    with openai_server(models=NO_KEY) as server:
        entry = HttpEntry(id="far", url=server.url, api_key_ref=f"file:{file}")
        engine = SlotMaker(around(tmp_path))(entry).engine
        write("new-key")
        assert death_of(engine).kind is ErrorKind.LOGIN_REQUIRED
        file.unlink()
        assert "there is no file" in death_of(engine).message

        assert {asked.headers["authorization"] for asked in server.asked} == {"Bearer new-key"}


def test_a_key_that_is_not_there(tmp_path: Path) -> None:
    """The error names where it was looked for."""
    entry = HttpEntry(id="far", url="http://127.0.0.1:9", api_key_ref="env:MY_KEY")
    with pytest.raises(LingmaError, match="MY_KEY"):
        SlotMaker(around(tmp_path))(entry)


def test_engines_of_the_file(tmp_path: Path) -> None:
    """With `/v1` or without, named by the user or by us."""
    slots = of_file(
        tmp_path,
        {"url": "http://127.0.0.1:8080/v1"},
        {"url": "http://127.0.0.1:8080/v1/", "id": "mine", "kind": "embedding", "limit": 2},
        {"template": "llama.cpp", "model": "/m/tiny.gguf"},
    )

    assert [slot.id for slot in slots] == ["llm-127.0.0.1-8080", "mine", "llm-tiny.gguf"]
    assert [slot.kind for slot in slots] == ["llm", "embedding", "llm"]
    assert all(slot.entry is None for slot in slots)


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"url": "ftp://host"}, "http://"),
        ({"url": "http://u:secret@host"}, "a key does not belong"),
        ({"url": "http://host", "colour": "red"}, "unknown key: `colour`"),
        ({"url": "http://host", "api_key": "x"}, "unknown key: `api_key`"),
        ({"url": "http://host", "kind": "image"}, "the table 1"),
        ({"url": "http://host", "limit": -1}, "the table 1"),
        ({"url": "http://host", "id": "../x"}, "the table 1"),
        ({"model": "m"}, "template"),
        ({"template": "none", "model": "m"}, "no such engine template: `none`"),
        ({"template": "llama.cpp", "model": "-m"}, "not usable as the model"),
    ],
)
def test_tables_that_make_no_sense(tmp_path: Path, table: dict[str, Any], words: str) -> None:
    """The error says what is wrong, and never shows a password."""
    with pytest.raises(LingmaError) as caught:
        of_file(tmp_path, table)

    assert caught.value.kind is ErrorKind.USAGE
    assert words in str(caught.value)
    assert "secret" not in str(caught.value)


def test_own_templates(tmp_path: Path) -> None:
    """By name; each needs one."""
    template = {"name": "mine", "command": ["run", "{port}"]}
    (slot,) = of_file(tmp_path, {"template": "mine", "model": "m"}, engine_templates=(template,))

    assert slot.id == "llm-m"
    with pytest.raises(LingmaError, match="`engine_templates` in the settings"):
        of_file(tmp_path, {"template": "mine", "model": "m"}, engine_templates=({"command": []},))


def test_engines_that_were_added_come_back(tmp_path: Path) -> None:
    """Stopped ones stopped; what cannot be built is left out, and stays written down."""
    surroundings = around(tmp_path)
    book = PersistedEngines(surroundings.paths.state / "engines.json", warn=pytest.fail)
    book.put(HTTP)
    book.put(HttpEntry(id="still", url="http://127.0.0.1:10", stopped=True))
    book.put(ManagedEntry(id="odd", template="none", model="m"))
    registry = Registry([])

    build_fleet(Supervisor(registry, on_trouble=lambda _: None), surroundings)

    assert [(slot.id, slot.state) for slot in registry.slots] == [
        ("far", EngineState.STARTING),
        ("still", EngineState.STOPPED),
    ]
    assert [entry.id for entry in book.all()] == ["far", "still", "odd"]


def test_what_to_start_of_an_entry() -> None:
    """All that is kept of it counts, and the user's own templates."""
    template = {"name": "mine", "command": ["run", "{port}"]}
    entry = ManagedEntry(
        id="near",
        template="mine",
        model="m",
        kind="embedding",
        label="small",
        port=7,
        extra=("--fast",),
    )

    launch = launch_of(entry, Settings(engine_templates=(template,)))

    assert launch.template.command == ("run", "{port}")
    assert (launch.model, launch.kind.value, launch.label) == ("m", "embedding", "small")
    assert (launch.port, launch.extra) == (7, ("--fast",))
