"""Images, handed to a real process of the demo that takes them, or does not."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lingma_cli.core.chat import ChatRequest, MediaKind, MediaPart, Message, Role
from lingma_cli.core.notes import codes
from tests.engines.lingma.live import Live, question, texts
from tests.support.playbook import transcript

PICTURE = "data:image/png;base64," + base64.b64encode(b"\x89PNG").decode()


@pytest.fixture(params=["on", "off", "fail", "silent"])
def live(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Live]:
    """An engine whose runtime takes images, or one of those that do not."""
    engine = Live(tmp_path / request.param, sides=f"images={request.param}", rpc_timeout=1.0)
    yield engine
    engine.close()


def seeing(*references: str, model: str = "org_auto") -> ChatRequest:
    """Return a question about pictures, answered with the payload of its own ask."""
    asked = question("[[demo: quote=payload]]")
    pictures = (MediaPart(kind=MediaKind.IMAGE, reference=one) for one in references)
    turn = Message(role=Role.USER, parts=(*asked.messages[0].parts, *pictures))
    return replace(asked, messages=(turn,), model=model)


def context_of(live: Live, request: ChatRequest) -> tuple[list[dict[str, Any]], tuple[str, ...]]:
    """Ask; return the images that the ask named, and what was noted."""
    events, ask = live.events(request)
    payload = json.loads(texts(transcript(events)))
    return payload["extra"].get("context", []), codes(ask.notes)


def test_images_are_sent_where_they_are_taken(live: Live, tmp_path: Path) -> None:
    """Else they are placeholders with a note; the file does not stay behind."""
    context, noted = context_of(live, seeing(PICTURE))

    if (tmp_path / "on").exists():
        (upload,) = live.noted("image-upload")
        assert (upload["success"], upload["size"]) == (True, 4)
        assert ([entry["type"] for entry in context], noted) == (["image"], ())
    else:
        assert (context, noted) == ([], ("media_dropped",))
    assert list(tmp_path.rglob("*.png")) == []


@pytest.mark.parametrize("live", ["on"], indirect=True)
@pytest.mark.parametrize(
    "reference",
    ["https://example.org/a.png", "file:///etc/passwd", "data:image/png;base64,%%%", "data:,x"],
)
def test_nothing_is_fetched(live: Live, reference: str) -> None:
    """Only the bytes in the request itself can be sent."""
    assert context_of(live, seeing(reference)) == ([], ("media_dropped",))
    assert live.journal("image-upload") == []


@pytest.mark.parametrize("live", ["on"], indirect=True)
def test_a_model_that_sees_nothing_is_sent_nothing(live: Live) -> None:
    """The list of models tells who sees."""
    blind = next(model.key for model in live.engine.models if not model.vision)

    assert context_of(live, seeing(PICTURE, model=blind)) == ([], ("media_dropped",))
