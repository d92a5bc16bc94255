"""From the name a client sends to the models that may serve it, and to an engine's key. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Final

from lingma_cli.core.chat import AskMode, ChatRequest, Model
from lingma_cli.core.notes import Note, NoteCode

AGENT_NAMES: Final = frozenset({"agent", "lingma-agent"})

Rule = tuple[str, str]
"""A pattern of names, `*` for anything, and what it leads to."""

KeyFor = Callable[[str], str | None]
"""Returns a model's key, given that or its display name; `None` when no engine has listed it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRules:
    """What is configured about names.

    Attributes:
        default: the model for names that nobody knows.
        default_mode: how Lingma is asked.
        aliases: what clients call a model, with the model; the first that fits counts.
        fallbacks: keys of models, with another one that serves when all their engines are out.
    """

    default: str
    default_mode: AskMode = AskMode.CHAT
    aliases: Sequence[Rule] = ()
    fallbacks: Sequence[Rule] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """A model that may serve a request.

    Attributes:
        model: its key or display name: engines may have it under several keys.
        key: what rules go by.
        is_known: some engine offers it; if not, engines that lack it serve with their own default.
        mode: how Lingma is asked.
        note: what the client is told if it serves.
    """

    model: str
    key: str
    is_known: bool
    mode: AskMode
    note: Note | None = None


def goals(name: str, rules: ModelRules, key_for: KeyFor) -> Sequence[Goal]:
    """Return what may serve `name`, the best first; there is always one.

    `agent` and `lingma-agent` mean agent mode with the default model. What no engine has listed
    falls back to its stand-ins, then to the default model, with a note.

    Args:
        name: as the client sent it.
        rules: see `ModelRules`.
        key_for: returns the key of the model that engines offer under a name, if any does.
    """
    mode, wanted = rules.default_mode, _aliased(name, rules.aliases) or rules.default
    if name in AGENT_NAMES:
        mode, wanted = AskMode.AGENT, rules.default

    def goal(model: str, note: Note | None = None) -> Goal:
        key = key_for(model)
        return Goal(model=model, key=key or model, is_known=key is not None, mode=mode, note=note)

    def stand_ins(model: str) -> Iterator[Goal]:
        for other in _followed(model, rules.fallbacks, key_for):
            yield goal(other, _told(f"no engine of {model!r} can serve now, {other!r} does"))

    if wanted == rules.default or key_for(wanted) is not None:
        found = [goal(wanted), *stand_ins(wanted)]
    else:
        default = goal(rules.default, _told(f"{wanted!r} is not known, the default model serves"))
        found = [*stand_ins(wanted), default, *stand_ins(rules.default)]
    first: dict[str, Goal] = {}
    for one in found:
        first.setdefault(one.key, one)
    return list(first.values())


def aimed(
    request: ChatRequest, goal: Goal, models: Sequence[Model], *, agent_mode: bool
) -> ChatRequest:
    """Return `request` with the key of the engine that serves, and its ask mode.

    Args:
        request: as the client sent it.
        goal: what serves it.
        models: the engine's list.
        agent_mode: whether the engine knows that mode.
    """
    notes = request.notes if goal.note is None else (*request.notes, goal.note)
    key = key_of(goal.model, models)
    if key is None:
        key = _default_key(models, goal.model)
    mode = goal.mode if agent_mode else AskMode.CHAT
    return replace(request, model=key, mode=mode, notes=notes)


def key_of(name: str, models: Sequence[Model]) -> str | None:
    """Return the key of the model that is called so, by key or else by display name."""
    keys = {model.key for model in models}
    if name in keys:
        return name
    return next((model.key for model in reversed(models) if model.name == name), None)


def _aliased(name: str, aliases: Sequence[Rule]) -> str:
    return next((model for pattern, model in aliases if fnmatchcase(name, pattern)), name)


def _told(sentence: str) -> Note:
    return Note(code=NoteCode.MODEL_FALLBACK, text=sentence)


def _followed(model: str, fallbacks: Sequence[Rule], key_for: KeyFor) -> Iterator[str]:
    """Yield the models that stand in for one, those of the first ones after them, each once.

    Those that no engine offers only lead to others.
    """
    first = key_for(model) or model
    seen, waiting = {first}, [first]
    while waiting:
        current = waiting.pop(0)
        for pattern, other in fallbacks:
            key = key_for(other)
            if fnmatchcase(current, pattern) and (key or other) not in seen:
                seen.add(key or other)
                waiting.append(key or other)
                if key is not None:
                    yield other


def _default_key(models: Sequence[Model], default: str) -> str:
    """Return the engine's own default, else its first model; without a list, the configured one."""
    if not models:
        return default
    return next((model.key for model in models if model.is_default), models[0].key)
