"""Images: `image/upload` with its later notification, and the image entries of an ask.

Source: Lingma local protocol, sections 4.4 and 4.6. Only `file:` and `data:` URIs are opened, and
only size, type and digest of what they lead to are written down.
"""

import base64
import binascii
import hashlib
from pathlib import Path
from urllib.parse import unquote_to_bytes, urlsplit
from urllib.request import url2pathname

from lingma_cli.demo.journal import Journal
from lingma_cli.demo.rpc import Params

_BYTES_LIMIT = 64 * 2**20
_MAGIC = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
    (b"BM", "image/bmp"),
)
_URI_KEYS = ("content", "imageUrl", "imageUri", "url", "uri", "path")


class Images:
    """What was uploaded; `side` is the side switch `images`."""

    def __init__(self, side: str, journal: Journal) -> None:
        self._side = side
        self._journal = journal
        self._told: dict[str, object] = {}

    def upload(self, params: Params) -> dict[str, object]:
        """Take an upload and return its answer."""
        request_id = params.get("requestId")
        seen = look(str(params.get("imageUri")))
        success = "error" not in seen and self._side != "fail" and bool(request_id)
        self._journal.note("image-upload", requestId=request_id, success=success, **seen)
        if success and self._side == "on":
            url = f"https://simulated.invalid/images/{seen['sha256']}"
            self._told[str(request_id)] = {"requestId": request_id, "imageUrl": url}
        return {"requestId": request_id, "result": {"success": success}}

    def notification(self, params: Params) -> dict[str, object] | None:
        """Return the params of the notification that an upload is due, once."""
        told = self._told.pop(str(params.get("requestId")), None)
        return None if told is None else {"result": told}


def in_context(params: Params) -> list[dict[str, object]]:
    """Describe the image entries of `extra.context`, in their order."""
    extra = params.get("extra")
    context = extra.get("context") if isinstance(extra, dict) else None
    entries = context if isinstance(context, list) else []
    return [
        look(_uri(entry))
        for entry in entries
        if isinstance(entry, dict) and entry.get("type") == "image"
    ]


def _uri(entry: Params) -> str:
    values = (entry.get(key) for key in _URI_KEYS)
    return next((value for value in values if isinstance(value, str) and value), "")


def look(uri: str) -> dict[str, object]:
    """Tell what a URI leads to: `scheme`, and `size`, `type`, `sha256`, or `url`, or `error`."""
    scheme = uri.partition(":")[0].lower()
    match scheme:
        case "data" | "file":
            try:
                image = _data(uri) if scheme == "data" else _file(uri)
            except (OSError, ValueError) as error:
                return {"scheme": scheme, "error": type(error).__name__}
            if not image:
                return {"scheme": scheme, "error": "empty"}
            digest = hashlib.sha256(image).hexdigest()
            return {"scheme": scheme, "size": len(image), "type": _type(image), "sha256": digest}
        case "http" | "https":
            return {"scheme": scheme, "url": uri, "error": "not fetched"}
        case _:
            return {"scheme": "", "error": "no file or data URI"}


def _data(uri: str) -> bytes:
    head, comma, body = uri.partition(",")
    if not comma:
        raise ValueError(head[:40])
    raw = unquote_to_bytes(body)
    try:
        return base64.b64decode(raw, validate=True) if head.endswith(";base64") else raw
    except binascii.Error as error:
        raise ValueError(str(error)) from None


def _file(uri: str) -> bytes:
    path = Path(url2pathname(urlsplit(uri).path))
    if path.stat().st_size > _BYTES_LIMIT:
        raise ValueError(path.name)
    return path.read_bytes()


def _type(image: bytes) -> str:
    if image[:4] == b"RIFF" and image[8:12] == b"WEBP":
        return "image/webp"
    return next((kind for magic, kind in _MAGIC if image.startswith(magic)), "unknown")
