"""Images that a request carries, handed to a runtime that takes them.

Source: Lingma local protocol, `image/upload {imageUri, requestId}` and the push
`image/uploadResultNotification {result: {requestId, imageUrl}}`; an ask then names the image in
`extra.context`. Only `data:` URLs are sent: nothing is ever fetched for a request.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import msgspec

from lingma_cli.core.chat import ChatRequest, MediaKind, MediaPart
from lingma_cli.core.ids import NewId
from lingma_cli.engines.lingma.link import Link
from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.paths import private_folder, write_private

PUSH: Final = "image/uploadResultNotification"
_MAX_IMAGES: Final = 8
_NOT_OFFERED: Final = (ErrorKind.ENGINE_UNSUPPORTED, ErrorKind.ENGINE_TIMEOUT)
_DATA_URL: Final = re.compile(
    r"data:image/(?P<kind>png|jpe?g|gif|webp);base64,(?P<data>[\w+/=\s-]+)"
)


class _Result(msgspec.Struct):
    requestId: str = ""  # noqa: N815 - the protocol's spelling, here and below
    imageUrl: str = ""  # noqa: N815
    success: bool = True


class _Push(msgspec.Struct):
    result: _Result


class ImageUploads:
    """Uploads over one connection.

    Args:
        link: the connection.
        folder: where an image lies while the binary reads it; private.
        new_id: makes the ids of uploads.
        within: seconds that each step of an upload may take.
    """

    def __init__(self, link: Link, folder: Path, new_id: NewId, *, within: float) -> None:
        self._link = link
        self._folder = folder
        self._new_id = new_id
        self._within = within
        # Until the runtime says, or shows by its silence, that it takes none.
        self._is_offered = True
        self._waiting: dict[str, asyncio.Future[str]] = {}

    async def send(self, request: ChatRequest) -> dict[str, str]:
        """Upload the last images of `request`; return the URLs of those taken, by reference."""
        references = list(dict.fromkeys(_images(request)))[-_MAX_IMAGES:]
        if not references or not self._is_offered:
            return {}
        urls = await asyncio.gather(*map(self._upload, references))
        return {reference: url for reference, url in zip(references, urls, strict=True) if url}

    def hear(self, params: bytes) -> None:
        """Take what came of an upload."""
        try:
            result = msgspec.json.decode(params, type=_Push).result
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return
        waiting = self._waiting.get(result.requestId)
        if waiting is not None and not waiting.done():
            waiting.set_result(result.imageUrl if result.success else "")

    async def _upload(self, reference: str) -> str:
        """Return the image's URL in the runtime, empty when it was not taken."""
        image = _decoded(reference)
        if image is None:
            return ""
        kind, content = image
        upload_id = self._new_id()
        path = self._folder / f"{upload_id}.{kind}"
        waiting: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._waiting[upload_id] = waiting
        try:
            await asyncio.to_thread(_lay_down, path, content)
            params = {"imageUri": path.as_uri(), "requestId": upload_id}
            await self._link.call("image/upload", params, self._within)
            async with asyncio.timeout(self._within):
                return await waiting
        except (LingmaError, TimeoutError) as error:
            refused = not isinstance(error, LingmaError) or error.kind in _NOT_OFFERED
            self._is_offered = self._is_offered and not refused
            return ""
        finally:
            del self._waiting[upload_id]
            path.unlink(missing_ok=True)


def _images(request: ChatRequest) -> Iterable[str]:
    for message in request.messages:
        for part in message.parts:
            if isinstance(part, MediaPart) and part.kind is MediaKind.IMAGE:
                yield part.reference


def _decoded(reference: str) -> tuple[str, bytes] | None:
    found = _DATA_URL.fullmatch(reference)
    if found is None:
        return None
    try:
        return found["kind"], base64.b64decode("".join(found["data"].split()), validate=True)
    except (binascii.Error, ValueError):
        return None


def _lay_down(path: Path, content: bytes) -> None:
    private_folder(path.parent)
    write_private(path, content)
