"""The engines that a command writes down for the server of this home, whether it runs or not."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from lingma_cli.control.fleet import derive_id
from lingma_cli.control.persisted import HttpEntry, ManagedEntry, PersistedEngines
from lingma_cli.core.address import Address
from lingma_cli.engines.managed.output_log import file_of, last_lines
from lingma_cli.engines.managed.templates import (
    TEMPLATES,
    Template,
    check_launch,
    read_template,
)
from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.paths import Paths
from lingma_cli.settings import Settings
from lingma_cli.wiring.engine_keys import settled_ref
from lingma_cli.wiring.fleet import launch_of, templates_of

_GGUF: Final = ".gguf"
_LLAMA: Final = "llama.cpp"

T = TypeVar("T", HttpEntry, ManagedEntry)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a person says of an engine, be it one that runs or one to be started.

    Attributes:
        id: empty for one that is made from the URL or the model.
        kind: `llm` or `embedding`.
        limit: requests at a time, 0 for any number.
        labels: `key=value` each.
    """

    id: str = ""
    kind: str = "llm"
    limit: int = 0
    labels: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class StartWish(Wish):
    """What a person says of a server that is to be started; see `Launch`."""

    template: str
    label: str = ""
    port: int = 0
    extra: tuple[str, ...] = field(default=())


def open_book(paths: Paths, warn: Callable[[str], None]) -> PersistedEngines:
    """Return the engines that this home remembers."""
    return PersistedEngines(paths.engines_file, warn=warn)


def http_entry(
    url: str, wish: Wish, *, model: str, api_key_ref: str, taken: Collection[str], folder: Path
) -> HttpEntry:
    """Return what is to be kept of a server that somebody else runs.

    Args:
        url: with or without `/v1`.
        wish: what else is said of it.
        model: the one model to offer, empty for all it lists.
        api_key_ref: where its key is to be found, empty for none.
        taken: ids that others have.
        folder: from which a relative path of a key counts.

    Raises:
        LingmaError: a value cannot be used, or no key is found there.
    """
    root = Address.parse(url).root
    values = {
        "url": root,
        "model": model,
        "api_key_ref": settled_ref(api_key_ref, folder),
        **_values(wish, root, taken),
    }
    return _checked(values, HttpEntry)


def managed_entry(
    model: str, wish: StartWish, settings: Settings, *, taken: Collection[str]
) -> ManagedEntry:
    """Return what is to be kept of a server that is to be started.

    Args:
        model: a file or a name, as its program takes it; see `settled_model`.
        wish: what else is said of it.
        settings: the templates in them count.
        taken: ids that others have.

    Raises:
        LingmaError: a value cannot be used, or there is no such template.
    """
    values = {
        "template": wish.template,
        "model": model,
        "label": wish.label,
        "port": wish.port,
        "extra": wish.extra,
        **_values(wish, wish.label or model, taken),
    }
    entry = _checked(values, ManagedEntry)
    check_launch(launch_of(entry, settings))
    return entry


def settled_model(model: str, folder: Path) -> str:
    """Return `model` so that it means the same in another folder.

    Raises:
        LingmaError: it is a file that is not there.
    """
    path = folder / Path(model).expanduser()
    if path.exists():
        return str(path)
    if model.lower().endswith(_GGUF) or model.startswith(("/", "./", "../", "~")):
        raise LingmaError(ErrorKind.USAGE, f"there is no file `{path}`")
    return model


def guess_template(model: str, settings: Settings, environ: Mapping[str, str]) -> str:
    """Return the template for a model: llama.cpp's for a GGUF file, else the first that can run.

    Args:
        model: what is to be served.
        settings: the templates in them come first.
        environ: `PATH` counts.

    Raises:
        LingmaError: none of their programs is installed.
    """
    if model.lower().endswith(_GGUF):
        return _LLAMA
    own = [read_template(name, one) for name, one in templates_of(settings).items()]
    for template in (*own, *TEMPLATES):
        if template.name != _LLAMA and _is_installed(template, environ):
            return template.name
    raise LingmaError(
        ErrorKind.EXECUTABLE_NOT_FOUND,
        f"no program is installed that serves `{model}`",
        hint="install vLLM or Ollama, or name a template with `--template`",
    )


def forget(book: PersistedEngines, name: str) -> None:
    """Take an engine out of the book.

    Raises:
        LingmaError: it is not in there.
    """
    if not book.remove(name):
        raise LingmaError(
            ErrorKind.NOT_FOUND,
            f"there is no engine `{name}`",
            hint="run `lingma engine list` for those that are there",
        )


def output_file(paths: Paths, id_: str) -> Path:
    """Return where the output of a started server is kept."""
    return file_of(paths.engine_folder(id_), id_, "log")


def printed(paths: Paths, id_: str, count: int) -> Sequence[str]:
    """Return the last lines of that output, without secrets."""
    return last_lines(output_file(paths, id_), count)


def _is_installed(template: Template, environ: Mapping[str, str]) -> bool:
    # Python is there for many reasons: whether it has the module that the next word names can be
    # seen only by running it.
    program, *rest = template.command
    return rest[:1] != ["-m"] and shutil.which(program, path=environ.get("PATH")) is not None


def _values(wish: Wish, source: str, taken: Collection[str]) -> dict[str, Any]:
    return {
        "id": wish.id or derive_id(wish.kind, source, taken),
        "kind": wish.kind,
        "limit": wish.limit,
        "labels": dict(map(_label, wish.labels)),
    }


def _label(said: str) -> tuple[str, str]:
    key, equals, value = said.partition("=")
    if not key.strip() or not equals:
        raise LingmaError(
            ErrorKind.USAGE, f"no label: `{said}`", hint="write it like `--label site=home`"
        )
    return key.strip(), value


def _checked(values: Mapping[str, Any], shape: type[T]) -> T:
    """Return the entry; one that cannot be read back would cost all the others."""
    try:
        return msgspec.convert(values, shape)
    except msgspec.ValidationError as error:
        raise LingmaError(
            ErrorKind.USAGE,
            f"an engine cannot be kept like this: {error}",
            hint="an id is up to 64 of `A-Z a-z 0-9 . _ -`, a kind is `llm` or `embedding`",
        ) from None
