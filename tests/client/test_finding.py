"""Which server is meant when none is named."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from lingma_cli.client.finding import LOCAL_PORTS, announced, api_base, find_address
from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.settings import Settings
from tests.support.openai_server import Reply, json_reply, openai_server

HEALTHY = json_reply({"ok": True, "pool_size": 1, "pool_ready": 1, "instances": []})


def home(folder: Path, url: str | None) -> dict[str, str]:
    """Return the environment of a home whose server file names `url`."""
    if url is not None:
        (folder / "run").mkdir(parents=True)
        told = {"url": url, "pid": 7, "started": 1.0}
        (folder / "run" / "server.json").write_text(json.dumps(told))
    return {"LINGMA_HOME": str(folder)}


@pytest.mark.parametrize(
    ("url", "base"),
    [
        ("http://127.0.0.1:8317", "http://127.0.0.1:8317/v1"),
        (" http://127.0.0.1:8317/ ", "http://127.0.0.1:8317/v1"),
        ("http://127.0.0.1:8317/v1", "http://127.0.0.1:8317/v1"),
        ("https://box/lingma/v1/", "https://box/lingma/v1"),
        ("https://[::1]:1/lingma", "https://[::1]:1/lingma/v1"),
    ],
)
def test_an_address_ends_in_one_v1(url: str, base: str) -> None:
    """With it or without it, one path is meant."""
    assert api_base(url) == base


@pytest.mark.parametrize(
    "url",
    [
        *(
            "",
            "127.0.0.1:8317",
            "ftp://a",
            "http://",
            "http://a:0",
            "http://a:99999",
            "http://[::1",
        ),
        *("http://user:secret@a", "http://a?key=secret", "http://a#secret"),
    ],
)
def test_what_is_no_address(url: str) -> None:
    """Is refused without being repeated: there may be a secret in it."""
    with pytest.raises(LingmaError) as raised:
        api_base(url)

    assert raised.value.kind is ErrorKind.USAGE
    assert "secret" not in raised.value.advice


def test_the_environment_is_first(tmp_path: Path) -> None:
    """It is taken at its word."""
    environ = {**home(tmp_path, "http://127.0.0.1:1"), "LINGMA_URL": " http://box:1 "}

    assert find_address(environ, ()) == "http://box:1"


def test_the_server_of_the_home_is_next(tmp_path: Path) -> None:
    """Before one that happens to listen at a usual port."""
    with openai_server(health=HEALTHY) as own, openai_server(health=HEALTHY) as other:
        ports = [urlsplit(other.url).port or 0]
        assert find_address(home(tmp_path, own.url), ports) == own.url
        assert find_address({"LINGMA_HOME": "/nowhere"}, ports) == other.url


@pytest.mark.parametrize(
    "health",
    [Reply(pieces=[b"<html>"]), json_reply({"ok": True}), Reply(status=404), Reply(raw=b"SSH-2")],
    ids=["page", "another JSON", "nothing there", "no HTTP"],
)
def test_a_stranger_is_not_taken_for_a_server(tmp_path: Path, health: Reply) -> None:
    """A server file that was left over, or a port that somebody else has, leads nowhere."""
    with openai_server(health=health) as stranger, pytest.raises(LingmaError) as raised:
        find_address(home(tmp_path, stranger.url), [urlsplit(stranger.url).port or 0])

    assert raised.value.kind is ErrorKind.SERVER_NOT_FOUND
    assert "LINGMA_URL" in (raised.value.hint or "")


def test_an_unreadable_server_file_says_nothing(tmp_path: Path) -> None:
    """Like none at all."""
    environ = home(tmp_path, "http://127.0.0.1:1")
    assert announced(environ) is not None

    (tmp_path / "run" / "server.json").write_bytes(b"\xff{")
    assert announced(environ) is None


def test_the_usual_port_is_the_default() -> None:
    """Of the settings, which this room must not import."""
    assert Settings().port in LOCAL_PORTS
