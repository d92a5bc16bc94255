"""What a client knows and decides."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from lingma_cli.client.discovery import Attempts, Destination
from lingma_cli.client.state import ClientState
from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.secret import Secret

SERVER = Destination(url="http://a/v1", api_key=None)
LISTED = json.dumps(
    {
        "llm_backends": [{"instance_id": "b", "base_url": "http://b/v1", "is_healthy": True}],
        "embedding_backends": [],
    }
).encode()


def state() -> ClientState:
    """Return one with defaults."""
    return ClientState(SERVER, llm_model="writes", embedding_model="embeds", admin_token=None)


def test_defaults_fill_in_for_the_model() -> None:
    """Each kind of call has its own."""
    calls = [
        state().chat("a", {}),
        state().generate("a", {}),
        state().embed(["a"], None),
        state().chat("a", {"model": "named"}, stream=True),
    ]

    assert [call.model for call in calls] == ["writes", "writes", "embeds", "named"]


@pytest.mark.parametrize(
    ("error", "goes_on"),
    [(httpx.ConnectError("x"), True), (httpx.ReadTimeout("x"), False)],
    ids=["connection", "silence"],
)
def test_a_failed_attempt(error: httpx.RequestError, goes_on: bool) -> None:
    """Is followed by another for want of a connection, while discovery is on."""
    one, attempts = state(), Attempts(SERVER)
    with pytest.raises(LingmaError):
        one.goes_on(error, attempts)

    discovery = one.begin_discovery(None, 30.0, Secret("theirs"))
    assert discovery.url == SERVER.url
    one.learn(LISTED, discovery)
    if not goes_on:
        with pytest.raises(LingmaError):
            one.goes_on(error, attempts)
        return
    assert one.goes_on(error, attempts) is discovery
    one.move_on(attempts, one.chat("a", {}), discovery)
    assert attempts.current == Destination(url="http://b/v1", api_key=Secret("theirs"))
    with pytest.raises(LingmaError):
        one.move_on(Attempts(SERVER), one.embed(["a"], None), discovery)


def test_what_cannot_be_learnt_changes_nothing() -> None:
    """The old list stays, with the trouble beside it until the next good one."""
    one = state()
    discovery = one.begin_discovery("http://m", 30.0, None)
    gone = LingmaError(ErrorKind.SERVER_NOT_FOUND, "nobody")
    seen = []
    for found in (LISTED, gone, b"{}", LISTED):
        one.learn(found, discovery)
        status = one.status(gone)
        seen.append((len(status.llm_backends), status.discovery_trouble))

    assert seen == [
        (1, None),
        (1, "nobody"),
        (1, "what listens at `http://m/v1` does not answer like lingma"),
        (1, None),
    ]
    assert (status.trouble, status.is_llm_available) == ("nobody", True)


SAID = {"LINGMA_HOME": "/nowhere", "LINGMA_URL": "http://b", "LINGMA_API_KEY": " said "}


def opened(url: str | None, **more: Any) -> ClientState:
    """Open the state of a client that gives no more than this."""
    names = ("llm_model", "embedding_model", "api_key", "admin_token")
    given = {"embedded": False, "environ": SAID, **dict.fromkeys(names), **more}
    return ClientState.open(url, **given)


@pytest.mark.parametrize(
    ("url", "key", "place"),
    [
        ("http://a", "own", ("http://a/v1", Secret("own"))),
        ("http://a", None, ("http://a/v1", Secret("said"))),
        (None, Secret("own"), ("http://b/v1", Secret("own"))),
        (None, "", ("http://b/v1", Secret("said"))),
    ],
)
def test_the_program_wins_over_the_environment(
    url: str | None, key: str | Secret | None, place: tuple[str, Secret]
) -> None:
    """For address and key alike."""
    found = opened(url, api_key=key)

    assert (found.server.url, found.server.api_key) == place


def test_no_key_is_no_key() -> None:
    """Not an empty one."""
    assert opened(None, environ={**SAID, "LINGMA_API_KEY": " "}).server.api_key is None


@pytest.mark.parametrize("name", ["api_key", "admin_token"])
def test_a_key_that_no_header_can_hold(name: str) -> None:
    """Is refused when the client is made, not at its first call."""
    with pytest.raises(LingmaError) as raised:
        opened("http://a", **{name: "ключ"})

    assert raised.value.kind is ErrorKind.USAGE


@pytest.mark.parametrize("url", ["http://a", ""])
def test_one_place_at_a_time(url: str) -> None:
    """An address beside a server of its own is a mistake, an empty one too."""
    with pytest.raises(ValueError, match="not both"):
        opened(url, embedded=True)


def test_an_address_that_is_none() -> None:
    """An empty one is no request to look around."""
    for url in ("", "box"):
        with pytest.raises(LingmaError) as raised:
            opened(url)
        assert raised.value.kind is ErrorKind.USAGE
