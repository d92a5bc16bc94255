"""What a program asks for and what it gets, as values and as bytes.

Source: OpenAI API reference, "Chat completions", "Completions" and "Embeddings".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypedDict, TypeVar

import msgspec

from lingma_cli.client.transport import broken_off, stranger, unfailed
from lingma_cli.core.events import BlockDelta, BlockKind, ChatEvent, Usage
from lingma_cli.core.grammar import Seal
from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.protocols.client.openai_chat import Decoder

Messages = str | Sequence[Mapping[str, Any]]
RequestType = Literal["chat", "generate"]

T = TypeVar("T")

# The engines that can answer a call: those that write, and those that turn texts into vectors.
Kind = Literal["llm", "embedding"]


@dataclass(frozen=True, slots=True, kw_only=True)
class InferenceResult:
    """An answer and what is known of it.

    Attributes:
        request_id: the server's name for it, for example `chatcmpl-…`.
        request_type: `chat` or `generate`.
        content: the text.
        model: the one that answered, as the server calls it.
        usage: token counts, `None` if the server told none.
        latency_ms: from the request to the last byte, other addresses tried before included.
    """

    request_id: str
    request_type: RequestType
    content: str
    model: str
    usage: Usage | None
    latency_ms: float


class Options(TypedDict, total=False):
    """How to answer, and by which model, under the names of the wire.

    What is missing or `None` is left to the server, or to the client's default.
    """

    model: str | None
    temperature: float | None
    max_tokens: int | None
    top_p: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request, wherever it will be sent.

    Attributes:
        kind: of the engine that it needs.
        path: below `/v1`.
        body: without the model.
        model: `None` leaves the choice to whoever is asked.
    """

    kind: Kind
    path: str
    body: Mapping[str, Any]
    model: str | None

    def encode(self, own_model: str | None) -> bytes:
        """Return the body for a server whose own model is `own_model`, as far as that is known.

        Raises:
            LingmaError: something in it has no form in JSON.
        """
        model = self.model or own_model
        try:
            return msgspec.json.encode({**self.body, **({"model": model} if model else {})})
        except (TypeError, ValueError) as error:
            raise LingmaError(
                ErrorKind.INVALID_REQUEST, f"the request cannot be written as JSON: {error}"
            ) from error


def chat_call(
    messages: Messages, options: Options, own_model: str | None, *, stream: bool = False
) -> Call:
    """Return the request for the answer to `messages`; a text is one message of the user."""
    if isinstance(messages, str):
        messages = [{"role": "user", "content": messages}]
    body: dict[str, Any] = {"messages": list(messages)}
    if stream:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    return _text_call("/chat/completions", body, options, own_model)


def generate_call(prompt: str, options: Options, own_model: str | None) -> Call:
    """Return the request for what comes after `prompt`."""
    return _text_call("/completions", {"prompt": prompt}, options, own_model)


def _text_call(path: str, body: Mapping[str, Any], options: Options, own_model: str | None) -> Call:
    # Nobody else checks what `**options` has caught.
    if unknown := options.keys() - Options.__optional_keys__:
        raise TypeError(f"there is no option `{min(unknown)}`")
    said = {name: value for name, value in options.items() if value is not None}
    said.pop("model", None)
    model = options.get("model") or own_model
    return Call(kind="llm", path=path, body={**body, **said}, model=model)


def embed_call(texts: Sequence[str], model: str | None) -> Call:
    """Return the request for one vector per text."""
    body = {"input": list(texts), "encoding_format": "float"}
    return Call(kind="embedding", path="/embeddings", body=body, model=model)


class _Message(msgspec.Struct):
    content: str | None = None


class _Choice(msgspec.Struct):
    message: _Message | None = None
    text: str | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int = 0
    completion_tokens: int = 0


class _Completion(msgspec.Struct):
    choices: list[_Choice]
    id: str = ""
    model: str = ""
    usage: _Usage | None = None


class _Vector(msgspec.Struct):
    embedding: list[float]
    index: int


class _Vectors(msgspec.Struct):
    data: list[_Vector]


class _ListedModel(msgspec.Struct):
    id: str
    kind: str = "llm"


class _Models(msgspec.Struct):
    data: list[_ListedModel]


def read_result(body: bytes, type_: RequestType, *, url: str, latency_ms: float) -> InferenceResult:
    """Return the answer in `body`, which came from `url`.

    Raises:
        LingmaError: it is none.
    """
    answer = decoded(body, _Completion, url)
    if not answer.choices:
        raise stranger(url)
    first, usage = answer.choices[0], answer.usage
    said = first.message.content if first.message is not None else first.text
    return InferenceResult(
        request_id=answer.id,
        request_type=type_,
        content=said or "",
        model=answer.model,
        usage=Usage(input_tokens=usage.prompt_tokens, output_tokens=usage.completion_tokens)
        if usage is not None
        else None,
        latency_ms=latency_ms,
    )


def read_vectors(body: bytes, count: int, *, url: str) -> list[list[float]]:
    """Return the `count` vectors in `body`, which came from `url`, in the order of the texts.

    Raises:
        LingmaError: they are not there, or not as many.
    """
    vectors = sorted(decoded(body, _Vectors, url).data, key=lambda vector: vector.index)
    if [vector.index for vector in vectors] != list(range(count)):
        raise LingmaError(
            ErrorKind.ENGINE_FAILED,
            f"the server did not return one vector per text, but {len(vectors)} for {count}",
        )
    return [vector.embedding for vector in vectors]


def read_models(body: bytes, *, url: str) -> Mapping[str, Kind]:
    """Return the kind of each model in `body`, which came from `url`; untold means `llm`.

    Raises:
        LingmaError: it is no list of models.
    """
    return {
        model.id: "embedding" if model.kind == "embedding" else "llm"
        for model in decoded(body, _Models, url).data
    }


class TextReader:
    """Reads the text of one streamed answer, however it is cut.

    Both methods raise the error that the server reports, or that the answer broke off.
    """

    def __init__(self) -> None:
        self._decoder = Decoder()
        self._seal = Seal("")

    @property
    def has_ended(self) -> bool:
        """Whether nothing more will come."""
        return self._seal.ended

    def feed(self, chunk: bytes) -> Iterator[str]:
        """Yield the pieces that `chunk` completes."""
        return _texts(self._seal.feed(self._decoder.feed(chunk)))

    def close(self) -> Iterator[str]:
        """Yield what is left when no more bytes come."""
        return _texts(self._seal.close(broken_off()))


def _texts(events: Sequence[ChatEvent]) -> Iterator[str]:
    for event in unfailed(events):
        if isinstance(event, BlockDelta) and event.kind is BlockKind.TEXT:
            yield event.text


def decoded(body: bytes, shape: type[T], url: str) -> T:
    """Return `body`, which came from `url`, in this shape.

    Raises:
        LingmaError: it has another one.
    """
    try:
        return msgspec.json.decode(body, type=shape)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise stranger(url) from error
