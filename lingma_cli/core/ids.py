"""Ids for requests, responses and upstream asks; the source of randomness is a parameter."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from typing import Final

NewId = Callable[[], str]

_CLIENT_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")


def random_hex() -> str:
    """Return 32 random hexadecimal digits."""
    return uuid.uuid4().hex


def new_call_id(new_id: NewId) -> str:
    """Return an id for a tool call, in the form that OpenAI's clients know."""
    return f"call_{new_id()[:24]}"


def accepted_request_id(candidate: str) -> bool:
    """Tell whether an id that came from outside may go into logs and headers."""
    return _CLIENT_REQUEST_ID.fullmatch(candidate) is not None
