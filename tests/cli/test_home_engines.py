"""What a command does to the engines of a home, with a server that follows a script."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from lingma_cli.cli.home_engines import HomeEngines
from lingma_cli.client.engines import ControlPlane
from lingma_cli.control.persisted import HttpEntry, PersistedEngines
from lingma_cli.errors import ErrorKind, LingmaError
from tests.support.openai_server import OpenAiServer, Reply, json_reply, openai_server

BASE = "/v1/management"
BOX = HttpEntry(id="box", url="http://127.0.0.1:9")
OTHER = HttpEntry(id="other", url="http://127.0.0.1:10")


def served(id_: str, **more: Any) -> dict[str, Any]:
    """Return an added engine as a server without an admin token lists it."""
    told = {"engine_id": id_, "name": id_, "state": "READY", "remembered": False}
    return {**told, "is_removable": True, **more}


def listed(*engines: dict[str, Any]) -> Reply:
    return json_reply({"engines": engines})


@pytest.fixture
def book(tmp_path: Path) -> PersistedEngines:
    """With one engine in it."""
    kept = PersistedEngines(tmp_path / "engines.json", warn=pytest.fail)
    kept.put(BOX)
    return kept


@contextmanager
def running(book: PersistedEngines, *lists: Reply) -> Iterator[tuple[OpenAiServer, HomeEngines]]:
    """Give the engines of a home whose server shows these lists, one after the other."""
    with openai_server() as server, ControlPlane(server.url, admin_token=None) as plane:
        server.replies[f"{BASE}/engines"] = list(lists)
        for path in (f"{BASE}/engines/prune", "/workers", *(f"/workers/{id_}" for id_ in "ab")):
            server.replies[path] = [json_reply({"pruned_count": 1})]
        server.replies["/workers/box"] = [json_reply({})]
        yield server, HomeEngines(plane, book)


def test_what_a_server_has_and_what_it_has_left_out(book: PersistedEngines) -> None:
    """The latter come last; all of their ids are taken."""
    book.put(OTHER)
    account = served("inst-0", name="demo-0", is_removable=False)
    with running(book, listed(account, served("other", remembered=True))) as (_, engines):
        assert [(row["id"], row["state"]) for row in engines.rows()] == [
            *(("inst-0", "ready"), ("other", "ready"), ("box", "left out")),
        ]
        assert engines.taken() == {"inst-0", "demo-0", "other", "box"}


def test_without_a_server_nothing_is_left_out(book: PersistedEngines) -> None:
    """The book is all there is, and takes what is added."""
    engines = HomeEngines(None, book)
    assert [row["state"] for row in engines.rows()] == [None]
    assert engines.add(OTHER) is None

    assert book.all() == (BOX, OTHER)


@pytest.mark.parametrize(
    "entry",
    [HttpEntry(id="box", url="http://127.0.0.1:1"), HttpEntry(id="new", url=BOX.url)],
    ids=["id", "url"],
)
def test_what_is_in_the_book_is_not_overwritten(book: PersistedEngines, entry: HttpEntry) -> None:
    """Nor is a server asked to do so."""
    with running(book, listed()) as (server, engines), pytest.raises(LingmaError) as refused:
        engines.add(entry)

    assert refused.value.kind is ErrorKind.CONFLICT
    assert "lingma engine remove box" in (refused.value.hint or "")
    assert server.asked == []
    assert book.all() == (BOX,)


@pytest.mark.parametrize("remembered", [True, False])
def test_who_writes_down_what_is_added(book: PersistedEngines, remembered: bool) -> None:
    """The server; if it says that it does not, the command."""
    shown = listed(served("other", url=OTHER.url, remembered=remembered))
    with running(book, shown) as (_, engines):
        engines.add(OTHER)

    assert (OTHER in book.all()) is not remembered


def test_one_of_the_settings_does_not_hide_what_was_left_out(book: PersistedEngines) -> None:
    """Of two with one id, the one that can be removed is meant."""
    with running(book, listed(served("box", is_removable=False))) as (server, engines):
        assert [row["id"] for row in engines.rows()] == ["box", "box"]
        engines.remove("box")

    assert book.all() == ()
    assert "/workers/box" not in [asked.path for asked in server.asked]


def test_only_what_the_server_does_not_remember_is_marked(book: PersistedEngines) -> None:
    """It would be in the way of what the server writes."""
    account = served("inst-0", is_removable=False)
    with running(book, listed(account, served("box"))) as (_, engines):
        assert engines.plane is not None
        own, box = engines.plane.all()
        engines.mark(own, stopped=True)
        assert book.all() == (BOX,)
        engines.mark(box, stopped=True)

    assert book.all()[0].stopped


def test_what_is_pruned_is_forgotten(book: PersistedEngines) -> None:
    """What the server kept, and what it has left out, stays."""
    for entry in (HttpEntry(id="a", url="http://a"), HttpEntry(id="b", url="http://b")):
        book.put(entry)
    lists = (listed(served("a", state="ERROR"), served("b")), listed(served("b")))
    with running(book, *lists) as (_, engines):
        assert engines.plane is not None
        assert engines.prune(engines.plane) == 1

    assert [entry.id for entry in book.all()] == ["box", "b"]
