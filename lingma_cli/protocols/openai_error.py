"""OpenAI's error object, shared by the protocols that wear it.

Source: OpenAI API reference, "Error codes": `{"error": {"message", "type", "param", "code"}}`.
"""

from __future__ import annotations

import msgspec

from lingma_cli.errors import FACES, LingmaError


def encode_error(error: LingmaError) -> bytes:
    """Return the JSON body of `error`; its hint follows the message."""
    face = FACES[error.kind]
    return msgspec.json.encode(
        {
            "error": {
                "message": error.advice,
                "type": face.openai_type,
                "param": error.param,
                "code": face.openai_code or error.kind.value,
            }
        }
    )
