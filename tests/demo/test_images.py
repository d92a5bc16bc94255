"""Image uploads and image entries."""

import asyncio
import base64
from pathlib import Path
from typing import Any

import pytest

from lingma_cli.demo.images import in_context, look
from tests.demo.client import Demo, Json, ask, running, talking

PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 12
DATA = "data:image/png;base64," + base64.b64encode(PNG).decode()


@pytest.fixture
def picture(tmp_path: Path) -> str:
    """A file URI with a space in it."""
    path = tmp_path / "a picture.png"
    path.write_bytes(PNG)
    return path.as_uri()


def uploaded(demo: Demo, uri: str) -> tuple[Json, list[Json]]:
    """Upload; return the answer, and the notifications before the answer to a ping."""

    async def exchange() -> tuple[Json, list[Json]]:
        async with talking(demo) as client:
            answer = await client.call("image/upload", {"imageUri": uri, "requestId": "U"})
            await client.send({"jsonrpc": "2.0", "id": "p", "method": "ping", "params": {}})
            seen = await client.until(lambda one: one.get("id") == "p" and "result" in one)
            return answer, [one for one in seen if "method" in one]

    return asyncio.run(exchange())


def test_uploads_are_unknown_by_default(demo: Demo) -> None:
    """Most runtimes lack the method."""
    assert uploaded(demo, DATA)[0]["error"]["code"] == -32601


def test_an_upload_is_answered_and_then_told_of(tmp_path: Path, picture: str) -> None:
    """The URL comes in a push after the answer; the journal has size and type."""
    with running(tmp_path / "d", sides="images=on") as demo:
        answer, pushes = uploaded(demo, picture)
        note = demo.note("image-upload")

    result: Any = pushes[0]["params"]["result"]
    assert answer["result"] == {"requestId": "U", "result": {"success": True}}
    assert pushes[0]["method"] == "image/uploadResultNotification"
    assert result["requestId"] == "U"
    assert result["imageUrl"].endswith(note["sha256"])
    assert (note["scheme"], note["size"], note["type"]) == ("file", 20, "image/png")


@pytest.mark.parametrize(
    ("side", "uri", "success"),
    [
        ("fail", DATA, False),
        ("silent", DATA, True),
        ("on", "file:///nowhere/a.png", False),
        ("on", "a.png", False),
    ],
)
def test_uploads_may_lead_nowhere(tmp_path: Path, side: str, uri: str, success: bool) -> None:
    """Refused, or taken without a notification."""
    with running(tmp_path, sides=f"images={side}") as demo:
        answer, pushes = uploaded(demo, uri)

    assert answer["result"]["result"] == {"success": success}
    assert pushes == []


@pytest.mark.parametrize(
    ("uri", "seen"),
    [
        (DATA, {"scheme": "data", "size": 20, "type": "image/png"}),
        ("data:text/plain,a%20b", {"scheme": "data", "size": 3, "type": "unknown"}),
        ("data:image/png;base64,@", {"scheme": "data", "error": "ValueError"}),
        ("data:image/png;base64", {"scheme": "data", "error": "ValueError"}),
        ("data:image/png;base64,", {"scheme": "data", "error": "empty"}),
        ("https://a.invalid/x", {"scheme": "https", "url": "https://a.invalid/x"}),
        ("/etc/hosts", {"scheme": "", "error": "no file or data URI"}),
    ],
)
def test_looks_where_a_uri_leads(uri: str, seen: dict[str, object]) -> None:
    """Only files and data are opened."""
    assert seen.items() <= look(uri).items()


def test_images_of_an_ask_are_journalled(tmp_path: Path) -> None:
    """Entries of `extra.context` that are images, whatever key has the URI."""
    context = [{"type": "image", "content": DATA}, {"type": "code", "content": "x"}]
    with running(tmp_path) as demo:
        ask(demo, "hi", extra={"context": context})
        images = demo.note("ask-start")["images"]

    assert [(image["size"], image["type"]) for image in images] == [(20, "image/png")]
    assert in_context({"extra": {"context": [{"type": "image", "url": DATA}]}})[0]["size"] == 20
    assert in_context({"extra": None}) == []
