"""Server-sent frames as a client sees them, comments included."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx

from tests.support.serving import WAIT_SECONDS, Serving


@dataclass(frozen=True, kw_only=True)
class Frame:
    """One frame; `data` is its JSON, or the text when it holds none."""

    name: str = ""
    data: Any = None
    comment: str = ""


def frames(lines: Iterator[str]) -> Iterator[Frame]:
    """Yield the frames of a stream as they become complete."""
    fields: dict[str, str] = {}
    for line in lines:
        if line:
            name, _, value = line.partition(":")
            fields[name] = value.strip()
        elif fields:
            yield _frame(fields)
            fields = {}
    assert not fields, f"a frame without an end: {fields}"


def frames_of(answer: httpx.Response) -> list[Frame]:
    """Return the frames of a stream that has been read."""
    assert answer.headers["content-type"].startswith("text/event-stream"), answer.text
    # Not `splitlines`: it takes characters for line ends that may stand in a text.
    return list(frames(iter(answer.text.split("\n"))))


@contextlib.contextmanager
def streamed(server: Serving, path: str, body: object) -> Iterator[httpx.Response]:
    """POST `body` and yield the answer while it comes."""
    with httpx.stream(
        "POST", server.url + path, json=body, trust_env=False, timeout=WAIT_SECONDS
    ) as answer:
        yield answer


def _frame(fields: dict[str, str]) -> Frame:
    text = fields.get("data")
    data: Any = text
    if text is not None:
        with contextlib.suppress(ValueError):
            data = json.loads(text)
    return Frame(name=fields.get("event", ""), data=data, comment=fields.get("", ""))
