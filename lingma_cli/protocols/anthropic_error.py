"""Anthropic's error envelope, in answers and in streams.

Source: Anthropic API reference, "Errors": `{"type": "error", "error": {"type", "message"}}`;
`details` is what its SDKs read an `error_code` from.
"""

from __future__ import annotations

import msgspec

from lingma_cli.errors import FACES, LingmaError


def encode_error(error: LingmaError) -> bytes:
    """Return the JSON body of `error`; its hint follows the message."""
    told = {"type": FACES[error.kind].anthropic_type, "message": error.advice}
    details = {} if error.details is None else {"details": error.details}
    return msgspec.json.encode({"type": "error", "error": told | details})
