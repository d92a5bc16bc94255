"""How to start a server for a model: command templates, ours and the user's own, as plain values.

A command is a list of words that no shell reads. `{model}`, `{port}`, `{host}` and `{label}` stand
for the values of a launch, wherever they are in a word but in the first, which names the program;
other braces mean themselves. Values are put in once: what a model is called is never read again.

Sources for ours: the server pages of llama.cpp (`llama-server`), vLLM (`vllm serve`), SGLang
(`sglang.launch_server`) and Ollama (`ollama serve`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import PurePath
from types import MappingProxyType
from typing import Any, Final

from lingma_cli.errors import ErrorKind, LingmaError

HOST: Final = "127.0.0.1"

_PLACES: Final = frozenset({"model", "port", "host", "label"})
_PLACE: Final = re.compile(r"\{([a-z_]+)\}")
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_MAX_VALUE: Final = 4096
# Ours hold keys and tokens.
_OWN_PREFIX: Final = "LINGMA_"


class EngineKind(Enum):
    """What a server is for."""

    LLM = "llm"
    EMBEDDING = "embedding"


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """How one kind of server is started.

    Attributes:
        name: what users call it.
        command: the program and its arguments.
        embedding: further arguments for a model that embeds.
        environment: variables that are set for it; the values may hold placeholders.
        passed: names of our environment variables that it also gets.
        ready_path: answers 200 to GET once the server can be asked.
        serves_label: whether it offers the model under the label, not under its own name.
    """

    name: str
    command: tuple[str, ...]
    embedding: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    passed: tuple[str, ...] = ()
    ready_path: str = "/health"
    serves_label: bool = True


_GPU: Final = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES")
# The token is the user's own, for models behind a licence; fetching them is what it is there for.
_HUB: Final = ("HF_HOME", "HF_ENDPOINT", "HF_HUB_OFFLINE", "HF_TOKEN")
_LIBRARIES: Final = ("LD_LIBRARY_PATH", "CUDA_HOME")

TEMPLATES: Final[tuple[Template, ...]] = (
    Template(
        name="llama.cpp",
        command=tuple(
            "llama-server --model {model} --alias {label} --host {host} --port {port}".split()
        ),
        embedding=("--embeddings",),
        passed=(*_GPU, *_LIBRARIES),
    ),
    Template(
        name="vllm",
        command=tuple(
            "vllm serve {model} --served-model-name {label} --host {host} --port {port}".split()
        ),
        embedding=("--runner", "pooling"),
        passed=(*_GPU, *_LIBRARIES, *_HUB),
    ),
    Template(
        name="sglang",
        command=tuple(
            "python3 -m sglang.launch_server --model-path {model} --served-model-name {label} "
            "--host {host} --port {port}".split()
        ),
        embedding=("--is-embedding",),
        passed=(*_GPU, *_LIBRARIES, *_HUB),
    ),
    Template(
        name="ollama",
        # It loads a model when it is first asked for; `ollama pull` must have fetched it.
        command=("ollama", "serve"),
        environment=MappingProxyType({"OLLAMA_HOST": "{host}:{port}"}),
        passed=(*_GPU, *_LIBRARIES, "OLLAMA_MODELS"),
        ready_path="/api/version",
        serves_label=False,
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """A server that is wanted.

    Attributes:
        template: how it is started.
        model: a file or a name, as the template's program takes it.
        label: the name under which the model is offered; empty for one made from `model`.
        port: to listen on; 0 picks a free one at each start.
        extra: further arguments, as they are.
    """

    template: Template
    model: str
    kind: EngineKind = EngineKind.LLM
    label: str = ""
    port: int = 0
    extra: tuple[str, ...] = ()

    @property
    def served_name(self) -> str:
        """What clients call the model."""
        if not self.template.serves_label:
            return self.model
        return self.label or default_label(self.model)


def default_label(model: str) -> str:
    """Return a file's name without folder and `.gguf`; a name of a hub stays as it is."""
    is_file = model.lower().endswith(".gguf") or model.startswith(("/", ".", "~", "\\"))
    return PurePath(model).name.removesuffix(".gguf") if is_file else model


def check_launch(launch: Launch) -> None:
    """See that a launch can become a command that means what it says.

    Raises:
        LingmaError: a value that the program would take for an option, or for nothing.
    """
    named = {"model": launch.model, "label": launch.served_name}
    for what, value in named.items():
        if not value.strip() or value.startswith("-") or len(value) > _MAX_VALUE:
            raise _usage(f"not usable as the {what} of an engine: `{value[:80]}`")
    for value in (*named.values(), *launch.extra):
        if not value.isprintable():
            raise _usage("a model, a label and arguments are text without control characters")
    if not 0 <= launch.port <= 65535:
        raise _usage(f"no port: {launch.port}")


def command_of(launch: Launch, port: int) -> tuple[str, ...]:
    """Return the words that start a server on `port`."""
    template = launch.template
    embedding = template.embedding if launch.kind is EngineKind.EMBEDDING else ()
    program, *words = (*template.command, *embedding)
    return (program, *(_filled(word, launch, port) for word in words), *launch.extra)


def environment_of(launch: Launch, port: int) -> dict[str, str]:
    """Return the variables that the template sets."""
    values = launch.template.environment.items()
    return {name: _filled(value, launch, port) for name, value in values}


def _filled(word: str, launch: Launch, port: int) -> str:
    values = {"model": launch.model, "port": port, "host": HOST, "label": launch.served_name}
    return _PLACE.sub(lambda found: str(values.get(found[1], found[0])), word)


def find_template(name: str, own: Mapping[str, Any]) -> Template:
    """Return the user's template of that name, else ours.

    Args:
        name: what the user calls it.
        own: the TOML tables of the user's templates, by name.

    Raises:
        LingmaError: there is none, or the user's cannot be used.
    """
    if name in own:
        return read_template(name, own[name])
    for template in TEMPLATES:
        if template.name == name:
            return template
    known = ", ".join([*(template.name for template in TEMPLATES), *own])
    raise _usage(f"no such engine template: `{name}`", f"use one of {known}")


def read_template(name: str, table: Any) -> Template:
    """Return the template in a table of the settings file, whose keys are the fields' names.

    Raises:
        LingmaError: a key, a type or a placeholder is wrong.
    """
    where = f"engine template `{name}`"
    if not isinstance(table, Mapping) or "command" not in table:
        raise _usage(f"{where} has no `command`")
    known = set(Template.__dataclass_fields__) - {"name"}
    for key in table:
        if key not in known:
            raise _usage(f"{where} has an unknown key: `{key}`")
    template = Template(
        name=name,
        command=_words(where, "command", table["command"]),
        embedding=_words(where, "embedding", table.get("embedding", ())),
        environment=_variables(where, table.get("environment", {})),
        passed=_words(where, "passed", table.get("passed", ())),
        ready_path=_path(where, table.get("ready_path", "/health")),
        serves_label=_flag(where, table.get("serves_label", True)),
    )
    _check_places(where, template)
    return template


def _check_places(where: str, template: Template) -> None:
    if not template.command:
        raise _usage(f"{where} has an empty `command`")
    if _PLACE.search(template.command[0]):
        raise _usage(f"{where} must name its program: `{template.command[0]}`")
    filled = [*template.command[1:], *template.embedding, *template.environment.values()]
    found = {place for word in filled for place in _PLACE.findall(word)}
    if unknown := sorted(found - _PLACES):
        raise _usage(f"{where} has an unknown placeholder: `{{{unknown[0]}}}`")
    if "port" not in found:
        raise _usage(f"{where} tells nobody the `{{port}}`")
    for variable in (*template.environment, *template.passed):
        if not _VARIABLE.fullmatch(variable) or variable.upper().startswith(_OWN_PREFIX):
            raise _usage(f"{where} cannot pass the variable `{variable}`")


def _words(where: str, key: str, value: Any) -> tuple[str, ...]:
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise _usage(f"`{key}` of {where} is no list of words", "no shell reads it: split the line")
    if not all(isinstance(word, str) and word.isprintable() for word in value):
        raise _usage(f"`{key}` of {where} holds what is no word")
    return tuple(value)


def _variables(where: str, value: Any) -> Mapping[str, str]:
    is_table = isinstance(value, Mapping)
    if not is_table or not all(
        isinstance(text, str) and text.isprintable() for text in value.values()
    ):
        raise _usage(f"`environment` of {where} is no table of texts")
    return MappingProxyType(dict(value))


def _path(where: str, value: Any) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"/[!-~]*", value):
        raise _usage(f"`ready_path` of {where} is no path like `/health`")
    return value


def _flag(where: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise _usage(f"`serves_label` of {where} is neither true nor false")
    return value


def _usage(message: str, hint: str | None = None) -> LingmaError:
    return LingmaError(ErrorKind.USAGE, message, hint=hint)
