"""The list of models that a server gives. Pure.

Source: OpenAI API reference, "List models". What servers add of their own: `max_model_len` (vLLM,
SGLang), `meta.n_ctx` and `architecture.input_modalities` (llama.cpp).
"""

from __future__ import annotations

import msgspec

from lingma_cli.core.chat import Model
from lingma_cli.errors import ErrorKind, LingmaError


class _Meta(msgspec.Struct):
    n_ctx: int | None = None


class _Architecture(msgspec.Struct):
    input_modalities: list[str] = []


class _Listed(msgspec.Struct):
    id: str
    max_model_len: int | None = None
    meta: _Meta | None = None
    architecture: _Architecture | None = None


class _Models(msgspec.Struct):
    # quirk: Ollama says null when it has none.
    data: list[_Listed] | None


def read_models(body: bytes, only: str | None = None) -> tuple[Model, ...]:
    """Return the models in the answer of `/v1/models`; none is the default.

    Args:
        body: of the answer.
        only: the model that is to be offered alone, listed or not.

    Raises:
        LingmaError: it is no list of models.
    """
    try:
        listed = msgspec.json.decode(body, type=_Models).data or []
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise LingmaError(
            ErrorKind.ENGINE_FAILED, "the server's list of models cannot be read"
        ) from None
    if only is not None:
        listed = [model for model in listed if model.id == only] or [_Listed(id=only)]
    unique = {model.id: model for model in listed}
    return tuple(map(_model, unique.values()))


def _model(listed: _Listed) -> Model:
    own = listed.meta.n_ctx if listed.meta is not None else None
    return Model(
        key=listed.id,
        name=listed.id,
        context_tokens=max(0, listed.max_model_len or own or 0),
        vision=listed.architecture is not None and "image" in listed.architecture.input_modalities,
    )
