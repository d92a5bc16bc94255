"""Streams that are silent are kept alive in each protocol's form, as long as the engine lives."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.test_client_facts import CHAT, MESSAGES, PATHS, body_for, error_in, text_in
from tests.support.frames import Frame, frames_of
from tests.support.serving import Serving, serving


@pytest.fixture(scope="module")
def watchful(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """A server that breaks a silence after a fifth of a second, and gives Lingma two seconds."""
    hurry = ("--ping-interval", "0.2", "--first-event-timeout", "2", "--idle-timeout", "2")
    with serving(tmp_path_factory.mktemp("watchful"), "--demo", *hurry) as server:
        yield server


def ask(server: Serving, path: str, directives: str) -> list[Frame]:
    """Return the frames of a streamed answer."""
    body = body_for(path, f"[[demo: {directives}]]", stream=True)
    return frames_of(server.post(body, path))


def is_ping(path: str, frame: Frame) -> bool:
    """Tell whether `frame` is the ping of the protocol at `path`."""
    if path == MESSAGES:
        return frame == Frame(name="ping", data={"type": "ping"})
    return frame == Frame(comment="keep-alive")


def without_pings(path: str, frames: list[Frame]) -> list[Frame]:
    """Return the frames that say something."""
    return [frame for frame in frames if not is_ping(path, frame)]


@pytest.mark.parametrize("path", PATHS)
def test_pings_before_the_first_word_and_between_words(watchful: Serving, path: str) -> None:
    """A slow answer has pings in every silence, and the same events as a quick one."""
    slow = ask(watchful, path, "say=abcdef split=3 first=0.7 delay=0.7")

    places = [at for at, frame in enumerate(slow) if is_ping(path, frame)]
    words = [at for at, frame in enumerate(slow) if "abc" in str(frame.data)]
    assert places[0] == 0
    assert any(place > words[0] for place in places)
    said = without_pings(path, slow)
    assert "".join(pieces(path, said)) == "abcdef"
    quick = ask(watchful, path, "say=abcdef split=3")
    assert [frame.name for frame in said] == [frame.name for frame in quick]
    assert not any(is_ping(path, frame) for frame in quick)


def pieces(path: str, frames: list[Frame]) -> Iterator[str]:
    """Yield the pieces of text in a stream."""
    for frame in frames:
        if frame.data == "[DONE]":
            continue
        if path == CHAT:
            yield from (choice["delta"].get("content", "") for choice in frame.data["choices"])
        elif frame.name == "response.output_text.delta":
            yield frame.data["delta"]
        elif frame.name == "content_block_delta":
            yield frame.data["delta"]["text"]


@pytest.mark.parametrize("path", PATHS)
def test_an_error_after_a_ping_is_an_event(watchful: Serving, path: str) -> None:
    """Once a ping is out the status is; silence that lasts is then told in the stream."""
    answer = ask(watchful, path, "end=silence say='' first=20")

    assert is_ping(path, answer[0])
    said = without_pings(path, answer)
    if path == CHAT:
        *_, error = said
        assert "[DONE]" not in [frame.data for frame in said]
        assert error_in(path, error.data)["code"] == "engine_timeout"
    elif path == MESSAGES:
        assert said[-1].name == "error"
        assert error_in(path, said[-1].data)["type"] == "timeout_error"
        assert "message_stop" not in [frame.name for frame in said]
    else:
        names = [frame.name for frame in said]
        assert names == ["response.created", "response.in_progress", "response.failed", ""]
        assert said[-1].data == "[DONE]"


@pytest.mark.parametrize("path", [CHAT, MESSAGES])
def test_no_ping_for_a_process_that_is_frozen(tmp_path: Path, path: str) -> None:
    """It gets no ping in its name, so the status is still there to tell the error."""
    patience = ("--ping-interval", "2", "--first-event-timeout", "5")
    with serving(tmp_path, "--demo", *patience) as server:
        answer = server.post(body_for(path, "[[demo: freeze=60]]", stream=True), path)

    assert answer.status_code in (502, 504), answer.text
    error_in(path, answer.json())


def test_a_whole_answer_has_no_pings(watchful: Serving) -> None:
    """Who does not stream gets one JSON body, however long it takes."""
    for path in PATHS:
        answer = watchful.post(body_for(path, "[[demo: say=fine first=0.7]]"), path)

        assert text_in(path, answer) == "fine"
