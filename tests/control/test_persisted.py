"""The engines that were added at run time, on disk."""

from __future__ import annotations

import json
import os
import stat
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lingma_cli.control.persisted import Entry, HttpEntry, ManagedEntry, PersistedEngines
from lingma_cli.errors import ErrorKind, LingmaError

HTTP = HttpEntry(id="e-1", url="http://127.0.0.1:8080", api_key_ref="env:BOX", labels={"a": "b"})
MANAGED = ManagedEntry(id="e-2", template="llama.cpp", model="m.gguf", port=9000, extra=("-c",))


class Kept:
    """A file in a folder that need not exist."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "state" / "engines.json"
        self.warnings: list[str] = []

    def engines(self) -> PersistedEngines:
        """Return what a new process would see."""
        return PersistedEngines(self.path, warn=self.warnings.append, wall_clock=lambda: 7.9)


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    return Kept(tmp_path)


def test_engines_come_back(kept: Kept) -> None:
    """As they were, in the order in which they came, for the next process too."""
    for entry in (HTTP, MANAGED):
        kept.engines().put(entry)

    assert kept.engines().all() == (HTTP, MANAGED)


def test_nothing_is_there_at_first(kept: Kept) -> None:
    """And looking makes no file."""
    assert kept.engines().all() == ()
    assert not kept.path.exists()


def test_an_engine_is_changed_in_its_place(kept: Kept) -> None:
    """By its id; a removed one is gone, and it is said whether there was one."""
    engines = kept.engines()
    changed = HttpEntry(id="e-1", url="http://127.0.0.1:8081", limit=3)
    for entry in (HTTP, MANAGED, changed):
        engines.put(entry)

    found = engines.all()
    removed = [engines.remove("e-2"), engines.remove("e-2")]

    assert found == (changed, MANAGED)
    assert (removed, engines.all()) == ([True, False], (changed,))


def test_two_engines_at_one_url_are_refused(kept: Kept) -> None:
    """And the file stays as it was."""
    engines = kept.engines()
    engines.put(HTTP)

    with pytest.raises(LingmaError) as caught:
        engines.put(HttpEntry(id="e-9", url=HTTP.url))

    assert caught.value.kind is ErrorKind.CONFLICT
    assert engines.all() == (HTTP,)


def test_the_number_is_bounded(kept: Kept) -> None:
    """A loop of a program does not fill the disk."""
    kept.engines().put(HTTP)
    content = json.loads(kept.path.read_text())
    content["engines"] = [
        {**content["engines"][0], "id": f"e-{n}", "url": f"http://h{n}"} for n in range(256)
    ]
    kept.path.write_text(json.dumps(content))

    with pytest.raises(LingmaError, match="256"):
        kept.engines().put(HttpEntry(id="one-more", url="http://other"))

    kept.engines().put(HttpEntry(id="e-0", url="http://other"))
    assert len(kept.engines().all()) == 256


def test_what_could_not_be_read_again_is_not_written(kept: Kept) -> None:
    """A label, an id or a whole file that is too long would put all engines aside."""
    kept.engines().put(HTTP)
    full = {str(n): "x" * 4096 for n in range(64)}
    bad: list[Entry] = [
        HttpEntry(id="../x", url="http://h"),
        HttpEntry(id="line\n", url="http://h"),
        HttpEntry(id="e-3", url="http://h", labels={"a": "b" * 5000}),
        HttpEntry(id="e-3", url="http://h", labels={str(n): "" for n in range(65)}),
        ManagedEntry(id="e-3", template="t", model="m" * 5000),
    ]
    for entry in bad:
        with pytest.raises(LingmaError, match="cannot be kept"):
            kept.engines().put(entry)
    for n in range(3):
        kept.engines().put(HttpEntry(id=f"f-{n}", url=f"http://h{n}", labels=full))
    with pytest.raises(LingmaError, match="full"):
        kept.engines().put(HttpEntry(id="f-3", url="http://h3", labels=full))

    assert [entry.id for entry in kept.engines().all()] == ["e-1", "f-0", "f-1", "f-2"]


@pytest.mark.skipif(os.name != "posix", reason="file modes are a matter of POSIX")
def test_the_file_is_private(kept: Kept) -> None:
    """Labels and URLs are nobody else's business."""
    kept.engines().put(HTTP)

    assert stat.S_IMODE(kept.path.stat().st_mode) == 0o600


CORRUPT = {
    "no JSON": b"{",
    "not an object": b"[]",
    "not a list": b'{"engines": {}}',
    "bad UTF-8": b'{"engines": [{"type": "http", "id": "\xff", "url": "http://h"}]}',
    "too deep": b'{"engines": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "huge": b" " * (1024 * 1024 + 1),
}


@pytest.mark.parametrize("content", CORRUPT.values(), ids=CORRUPT.keys())
def test_a_corrupt_file_is_put_aside(kept: Kept, content: bytes) -> None:
    """The rest of the pool serves without it, nothing is lost, and a person hears of it."""
    kept.path.parent.mkdir(mode=0o700)
    kept.path.write_bytes(content)

    assert kept.engines().all() == ()

    aside = kept.path.with_name("engines.json.corrupt-7")
    assert (aside.read_bytes(), kept.path.exists()) == (content, False)
    assert len(kept.warnings) == 1
    kept.engines().put(HTTP)
    assert kept.engines().all() == (HTTP,)


UNREADABLE = {
    "unknown type": ('{"type": "grpc", "id": "a", "url": "u", "rate": 1e2}', "the engine `a`"),
    "newer": ('{"type": "http", "id": "a", "urls": ["u"]}', "the engine `a`"),
    "bad id": ('{"type": "http", "id": "../x", "url": "u"}', "the entry 2"),
    "no id": ('{"type": "http", "url": "u"}', "the entry 2"),
    "no object": ("[5]", "the entry 2"),
    "twice": ('{"type": "http", "id": "e-1", "url": "u"}', "the engine `e-1`"),
}


@pytest.mark.parametrize(("odd", "name"), UNREADABLE.values(), ids=UNREADABLE.keys())
def test_an_entry_that_cannot_be_read_costs_nobody_else(kept: Kept, odd: str, name: str) -> None:
    """A newer version or a person wrote it: it is left out, told of, and stays as it is."""
    kept.engines().put(HTTP)
    (ours,) = json.loads(kept.path.read_text())["engines"]
    kept.path.write_text(f'{{"engines": [{json.dumps(ours)}, {odd}]}}')

    assert kept.engines().all() == (HTTP,)
    assert [warning.split(" in `")[0] for warning in kept.warnings] == [name]
    kept.engines().put(MANAGED)
    changed = HttpEntry(id="e-1", url="http://127.0.0.1:8081")
    kept.engines().put(changed)

    assert kept.engines().all() == (changed, MANAGED)
    assert json.loads(kept.path.read_text())["engines"][1] == json.loads(odd)
    assert [path.name for path in kept.path.parent.glob("*corrupt*")] == []


def test_an_id_that_cannot_be_read_is_taken(kept: Kept) -> None:
    """Else there were two of it as soon as it can be read; it can be forgotten."""
    kept.path.parent.mkdir(mode=0o700)
    kept.path.write_text('{"engines": [{"type": "grpc", "id": "e-1", "url": "u"}]}')

    with pytest.raises(LingmaError, match="`e-1`") as caught:
        kept.engines().put(HTTP)
    removed = [kept.engines().remove("e-1"), kept.engines().remove("e-1")]
    kept.engines().put(HTTP)

    assert caught.value.kind is ErrorKind.CONFLICT
    assert (removed, kept.engines().all()) == ([True, False], (HTTP,))


def test_what_a_newer_version_knows_besides_stays(kept: Kept) -> None:
    """Of entries that are not changed, and of the file."""
    kept.path.parent.mkdir(mode=0o700)
    newer = {"type": "http", "id": "a", "url": "http://h", "colour": "red"}
    kept.path.write_text(json.dumps({"version": 2, "engines": [newer]}))

    kept.engines().put(HTTP)

    content = json.loads(kept.path.read_text())
    assert (content["version"], content["engines"][0]) == (2, newer)


@given(place=st.integers(0, 200), value=st.integers(0, 255))
def test_a_flipped_byte_is_no_crash(
    place: int, value: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Each byte of the file may be any other."""
    kept = Kept(tmp_path_factory.mktemp("flip"))
    for entry in (HTTP, MANAGED):
        kept.engines().put(entry)
    content = bytearray(kept.path.read_bytes())
    content[place % len(content)] = value
    kept.path.write_bytes(content)

    engines = kept.engines()
    before = engines.all()
    assert len(before) <= 2
    if kept.path.exists():
        engines.put(HttpEntry(id="new", url="http://other"))
        assert engines.all()[:-1] == before


def test_a_file_that_cannot_be_read_is_named(kept: Kept) -> None:
    """A folder is in its place."""
    kept.path.mkdir(parents=True, mode=0o700)

    with pytest.raises(LingmaError, match=r"engines\.json"):
        kept.engines().all()


def test_two_writers_lose_nothing(kept: Kept) -> None:
    """A command and a server may add engines at the same time."""

    def add(first: int) -> None:
        for n in range(first, first + 8):
            entry: Entry = HttpEntry(id=f"e-{n}", url=f"http://h{n}")
            PersistedEngines(kept.path, warn=kept.warnings.append).put(entry)

    writers = [threading.Thread(target=add, args=(first,)) for first in (0, 100, 200)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()

    assert len(kept.engines().all()) == 24
