"""The binary's model list: scenes to one list, without doubles. Pure.

Source: Lingma local protocol, "Models and configuration" (`config/queryModels`): an object of
scene to list; the same model may stand in several scenes. Keys change with release and account,
so nothing here knows any.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Final

import msgspec

from lingma_cli.core.chat import Model


class _Entry(msgspec.Struct):
    key: str = ""
    displayName: str = ""  # noqa: N815 - the protocol's spelling, here and below
    maxInputTokens: int = 0  # noqa: N815
    isDefault: bool = False  # noqa: N815
    isVl: bool = False  # noqa: N815
    isReasoning: bool = False  # noqa: N815
    enable: bool = True


_scenes: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_list: Final = msgspec.json.Decoder(list[msgspec.Raw]).decode
_entry: Final = msgspec.json.Decoder(_Entry, strict=False).decode


def read_models(answer: bytes) -> tuple[Model, ...]:
    """Return the models of all scenes in `answer`, each key once; empty when it has none."""
    entries: dict[str, _Entry] = {}
    for entry in _read_entries(answer):
        if entry.key and entry.enable:
            entries.setdefault(entry.key, entry)
    return tuple(
        Model(
            key=entry.key,
            name=entry.displayName or entry.key,
            context_tokens=entry.maxInputTokens,
            is_default=entry.isDefault,
            vision=entry.isVl,
            reasoning=entry.isReasoning,
        )
        for entry in entries.values()
    )


def _read_entries(answer: bytes) -> Iterator[_Entry]:
    """Yield what can be understood; releases differ, and an odd entry hides no other."""
    not_understood = suppress(msgspec.MsgspecError, UnicodeDecodeError)
    with not_understood:
        for scene in _scenes(answer).values():
            with not_understood:
                for entry in _list(scene):
                    with not_understood:
                        yield _entry(entry)
