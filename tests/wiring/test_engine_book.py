"""What a command writes down of an engine."""

from __future__ import annotations

from pathlib import Path

import pytest

from lingma_cli.control.persisted import HttpEntry, ManagedEntry
from lingma_cli.engines.managed.output_log import OutputLog
from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.paths import find_paths
from lingma_cli.settings import Settings
from lingma_cli.wiring.engine_book import (
    StartWish,
    Wish,
    forget,
    guess_template,
    http_entry,
    managed_entry,
    open_book,
    output_file,
    printed,
    settled_model,
)

OWN = {"name": "mine", "command": ["my-server", "{model}", "--port", "{port}"]}


def http(url: str, wish: Wish | None = None, taken: tuple[str, ...] = ()) -> HttpEntry:
    return http_entry(url, wish or Wish(), model="m", api_key_ref="", taken=taken, folder=Path("/"))


def program(folder: Path, name: str) -> None:
    """Put a program of this name into `folder`."""
    folder.mkdir(exist_ok=True)
    (folder / name).write_text("#!/bin/sh\n")
    (folder / name).chmod(0o700)


@pytest.mark.parametrize("end", ["", "/", "/v1", "/v1/"])
def test_a_url_is_kept_without_its_version(end: str) -> None:
    """The id is made from it, and is free."""
    entry = http(f"http://127.0.0.1:8080{end}", taken=("llm-127.0.0.1-8080",))

    assert (entry.url, entry.id) == ("http://127.0.0.1:8080", "llm-127.0.0.1-8080-2")


def test_what_is_said_of_it_is_kept() -> None:
    """A value may hold the sign between name and value."""
    wish = Wish(id="box", kind="embedding", limit=3, labels=["site=home", "note=a=b"])
    entry = http("https://box.example/base/v1", wish)

    assert entry == HttpEntry(
        id="box",
        url="https://box.example/base",
        model="m",
        kind="embedding",
        limit=3,
        labels={"site": "home", "note": "a=b"},
    )


@pytest.mark.parametrize(
    ("url", "wish"),
    [
        ("ftp://box", Wish()),
        ("box:8080", Wish()),
        ("http://me:word@box", Wish()),
        ("http://box?key=word", Wish()),
        ("http://box", Wish(id="a b")),
        ("http://box", Wish(id="x" * 65)),
        ("http://box", Wish(kind="finetune")),
        ("http://box", Wish(labels=["site"])),
        ("http://box", Wish(labels=["=home"])),
        ("http://box", Wish(labels=[f"{one}=1" for one in range(65)])),
    ],
)
def test_what_could_not_be_read_back_is_refused(url: str, wish: Wish) -> None:
    """One bad entry would cost all others; a password is not shown."""
    with pytest.raises(LingmaError) as caught:
        http(url, wish)

    assert caught.value.kind is ErrorKind.USAGE
    assert "word" not in caught.value.advice


def test_a_launch_is_kept_and_read_back(tmp_path: Path) -> None:
    """The user's own templates count."""
    settings = Settings(engine_templates=(OWN,))
    wish = StartWish(template="mine", label="tiny", port=8100, extra=("--fast",))
    entry = managed_entry("org/model", wish, settings, taken=())
    book = open_book(find_paths({"LINGMA_HOME": str(tmp_path)}), warn=lambda _: None)
    book.put(entry)

    assert book.all() == (
        ManagedEntry(
            id="llm-tiny",
            template="mine",
            model="org/model",
            label="tiny",
            port=8100,
            extra=("--fast",),
        ),
    )
    forget(book, "llm-tiny")
    assert book.all() == ()
    with pytest.raises(LingmaError, match="there is no engine `llm-tiny`"):
        forget(book, "llm-tiny")


@pytest.mark.parametrize(
    ("model", "wish"),
    [
        ("m", StartWish(template="none")),
        ("-m", StartWish(template="vllm")),
        ("", StartWish(template="vllm")),
        ("m", StartWish(template="vllm", label="--help")),
        ("m", StartWish(template="vllm", extra=("a\nb",))),
        ("m", StartWish(template="vllm", port=70_000)),
    ],
)
def test_a_launch_that_means_nothing_is_refused(model: str, wish: StartWish) -> None:
    """Before anything is written down or asked for."""
    with pytest.raises(LingmaError) as caught:
        managed_entry(model, wish, Settings(), taken=())

    assert caught.value.kind is ErrorKind.USAGE


def test_a_model_is_a_file_wherever_the_server_looks(tmp_path: Path) -> None:
    """What is no file here and does not look like one is a name."""
    (tmp_path / "tiny.gguf").touch()

    assert settled_model("tiny.gguf", tmp_path) == str(tmp_path / "tiny.gguf")
    assert settled_model("./tiny.gguf", tmp_path / "").endswith("/tiny.gguf")
    assert settled_model("org/model", tmp_path) == "org/model"
    for missing in ("big.gguf", "./big", "/none/big"):
        with pytest.raises(LingmaError, match="there is no file"):
            settled_model(missing, tmp_path)


def test_the_template_is_guessed(tmp_path: Path) -> None:
    """GGUF is llama.cpp's; else the first that is installed, the user's own before ours."""
    environ = {"PATH": str(tmp_path / "bin")}
    assert guess_template("/models/Tiny.GGUF", Settings(), environ) == "llama.cpp"

    # Neither reads a name: one is for files, the other says nothing of its module.
    program(tmp_path / "bin", "llama-server")
    program(tmp_path / "bin", "python3")
    with pytest.raises(LingmaError, match="no program is installed") as caught:
        guess_template("org/model", Settings(), environ)
    assert caught.value.kind is ErrorKind.EXECUTABLE_NOT_FOUND

    program(tmp_path / "bin", "ollama")
    assert guess_template("org/model", Settings(), environ) == "ollama"
    program(tmp_path / "bin", "vllm")
    assert guess_template("org/model", Settings(), environ) == "vllm"
    program(tmp_path / "bin", "my-server")
    own = Settings(engine_templates=(OWN,))
    assert guess_template("org/model", own, environ) == "mine"


def test_what_a_server_has_printed_is_found(tmp_path: Path) -> None:
    """Its last lines, without secrets."""
    paths = find_paths({"LINGMA_HOME": str(tmp_path)})
    log = OutputLog(output_file(paths, "llm-tiny"))
    log.write(b"one\ntwo\napi_key=sk-0123456789\n")
    log.close()

    assert list(printed(paths, "llm-tiny", 2)) == ["two", "api_key=••••"]
    assert list(printed(paths, "none", 2)) == []
