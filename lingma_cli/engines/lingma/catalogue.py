"""The binary's model list: scenes to one list, without doubles. Pure.

Source: Lingma local protocol, "Models and configuration" (`config/queryModels`): an object of
scene to list; the same model may stand in several scenes. Keys change with release and account,
so nothing here knows any.
"""

from __future__ import annotations

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


_scenes = msgspec.json.Decoder(dict[str, list[_Entry] | None], strict=False).decode


def read_models(answer: bytes) -> tuple[Model, ...]:
    """Return the models of all scenes in `answer`, each key once; empty when it has none."""
    try:
        scenes = _scenes(answer)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return ()
    entries: dict[str, _Entry] = {}
    for entry in (entry for scene in scenes.values() for entry in scene or ()):
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
