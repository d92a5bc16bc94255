"""A browser that runs no scripts: requests to the demo's pages, redirects followed."""

from __future__ import annotations

import re
import urllib.error
import urllib.request
from dataclasses import dataclass
from html import unescape
from urllib.parse import urlencode, urljoin, urlsplit

LIMIT = 10.0
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Where a request ended, and what was there."""

    url: str
    status: int
    text: str

    @property
    def path(self) -> str:
        """The path of the address."""
        return urlsplit(self.url).path

    def links(self, attribute: str) -> list[str]:
        """Return the addresses in one attribute: `action`, `href` or `src`."""
        found = re.findall(rf'{attribute}="([^"]+)"', self.text)
        return [urljoin(self.url, unescape(link)) for link in found]

    def submit(self, **fields: str) -> Page:
        """Send the page's form."""
        return visit(self.links("action")[0], **fields)


def visit(url: str, **fields: str) -> Page:
    """Open a page, or send a form to it."""
    body = urlencode(fields).encode() if fields else None
    try:
        answer = _OPENER.open(url, body, LIMIT)
    except urllib.error.HTTPError as error:
        answer = error
    with answer:
        return Page(url=answer.url, status=answer.status, text=answer.read().decode())


def origin(url: str) -> str:
    """Return scheme, host and port."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
