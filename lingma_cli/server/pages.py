"""Lists in pages, as OpenAI gives them.

Source: OpenAI API reference, query parameters `limit` (1 to 100, default 20), `order` (`asc` or
`desc`, the default) and `after` (the id that the page begins behind).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from lingma_cli.protocols.fields import invalid

_LONGEST: Final = 100
_USUAL: Final = "20"
_NUMBER: Final = re.compile(r"[0-9]{1,3}")


def page_of(items: Sequence[Mapping[str, Any]], query: Mapping[str, str]) -> dict[str, Any]:
    """Return the page of `items`, oldest first, that `query` asks for.

    Raises:
        LingmaError: a parameter is no good.
    """
    limit = query.get("limit", _USUAL)
    if not _NUMBER.fullmatch(limit) or not 1 <= int(limit) <= _LONGEST:
        raise invalid(f"must be a number from 1 to {_LONGEST}", param="limit")
    order = query.get("order", "desc")
    if order not in ("asc", "desc"):
        raise invalid("must be `asc` or `desc`", param="order")
    listed = list(items if order == "asc" else reversed(items))
    if after := query.get("after"):
        places = [index for index, item in enumerate(listed) if item.get("id") == after]
        if not places:
            raise invalid(f"no item has the id `{after[:100]}`", param="after")
        listed = listed[places[0] + 1 :]
    page = listed[: int(limit)]
    return {
        "object": "list",
        "data": page,
        "first_id": page[0].get("id") if page else None,
        "last_id": page[-1].get("id") if page else None,
        "has_more": len(listed) > len(page),
    }
