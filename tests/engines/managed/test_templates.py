"""Command templates, ours and the user's own."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest

from lingma_cli.engines.managed.templates import (
    TEMPLATES,
    EngineKind,
    Launch,
    Template,
    check_launch,
    command_of,
    default_label,
    environment_of,
    find_template,
    read_template,
)
from lingma_cli.errors import ErrorKind, LingmaError

OURS = {
    "llama.cpp": (
        "llama-server --model /m/tiny.gguf --alias tiny --host 127.0.0.1 --port 9 --embeddings"
    ),
    "vllm": (
        "vllm serve /m/tiny.gguf --served-model-name tiny --host 127.0.0.1 --port 9 "
        "--runner pooling"
    ),
    "sglang": (
        "python3 -m sglang.launch_server --model-path /m/tiny.gguf --served-model-name tiny "
        "--host 127.0.0.1 --port 9 --is-embedding"
    ),
    "ollama": "ollama serve",
}


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda one: one.name)
def test_ours(template: Template) -> None:
    """Each becomes the command that its server's pages give, and tells the port."""
    launch = Launch(template=template, model="/m/tiny.gguf", kind=EngineKind.EMBEDDING)
    command, environ = command_of(launch, 9), environment_of(launch, 9)

    assert " ".join(command) == OURS[template.name]
    assert "9" in command or environ == {"OLLAMA_HOST": "127.0.0.1:9"}
    assert not set(template.embedding) & set(command_of(Launch(template=template, model="m"), 9))


def test_the_name_under_which_a_model_is_served() -> None:
    """The label, else the model's own short name; the whole name where there are no labels."""
    vllm, ollama = find_template("vllm", {}), find_template("ollama", {})

    assert Launch(template=vllm, model="Qwen/Q", label="q").served_name == "q"
    assert Launch(template=vllm, model="Qwen/Q").served_name == "Qwen/Q"
    assert Launch(template=ollama, model="qwen:8b", label="q").served_name == "qwen:8b"


@pytest.mark.parametrize(
    ("model", "label"),
    [
        ("/home/me/tiny.gguf", "tiny"),
        ("models/tiny.gguf", "tiny"),
        ("./folder", "folder"),
        ("Qwen/Qwen3-8B", "Qwen/Qwen3-8B"),
        ("qwen3:8b", "qwen3:8b"),
    ],
)
def test_default_labels(model: str, label: str) -> None:
    """Clients do not see where a file lies."""
    assert default_label(model) == label


def test_values_are_put_in_once_and_as_one_word() -> None:
    """Blanks, shell characters and braces in a value mean themselves; so do other braces."""
    template = Template(
        name="own", command=("run", '--json={"a":{model}}', "{port}{port}", "{label}", "{x}")
    )
    launch = Launch(template=template, model="a b; {port} $(c)", label="{model}", extra=("{port}",))

    words = command_of(launch, 7)

    assert words == ("run", '--json={"a":a b; {port} $(c)}', "77", "{model}", "{x}", "{port}")


@pytest.mark.parametrize(
    "launch",
    [
        {"model": ""},
        {"model": " "},
        {"model": "--trust-remote-code"},
        {"model": "m", "label": "-x"},
        {"model": "m\n"},
        {"model": "m\0"},
        {"model": "m" * 5000},
        {"model": "m", "extra": ("a\nb",)},
        {"model": "m", "port": 65536},
        {"model": "m", "port": -1},
    ],
)
def test_launches_without_sense(launch: dict[str, Any]) -> None:
    """What a program would read as an option, or not at all, never gets that far."""
    with pytest.raises(LingmaError) as caught:
        check_launch(Launch(template=TEMPLATES[0], **launch))

    assert caught.value.kind is ErrorKind.USAGE


def test_good_launches() -> None:
    """Names of files and hubs, in any script, pass."""
    for model in ("/m/模型 1.gguf", "Qwen/Qwen3-8B", "qwen3:8b"):
        check_launch(Launch(template=TEMPLATES[0], model=model, extra=("-ngl", "99")))


OWN = """
[mine]
command = ["/opt/serve", "--on", "{host}:{port}", "{model}"]
embedding = ["--embed"]
environment = { NAME = "{label}" }
passed = ["CUDA_HOME"]
ready_path = "/v1/models?x=1"
serves_label = false
[small]
command = ["serve", "{port}"]
[vllm]
command = ["my-vllm", "{port}"]
"""


def test_templates_of_the_settings_file() -> None:
    """Every key reaches its field; a name of ours that is used again is the user's."""
    own = tomllib.loads(OWN)
    mine = Template(
        name="mine",
        command=("/opt/serve", "--on", "{host}:{port}", "{model}"),
        embedding=("--embed",),
        environment={"NAME": "{label}"},
        passed=("CUDA_HOME",),
        ready_path="/v1/models?x=1",
        serves_label=False,
    )

    assert find_template("mine", own) == mine
    assert find_template("small", own) == Template(name="small", command=("serve", "{port}"))
    assert find_template("vllm", own).command[0] == "my-vllm"
    assert find_template("llama.cpp", own) is TEMPLATES[0]


def test_a_template_that_is_not_there() -> None:
    """The error names those that are."""
    with pytest.raises(LingmaError) as caught:
        find_template("lama", {"mine": {"command": ["x", "{port}"]}})

    assert caught.value.hint == "use one of llama.cpp, vllm, sglang, ollama, mine"


GOOD: dict[str, Any] = {"command": ["serve", "{port}"]}
WRONG: dict[str, tuple[Any, str]] = {
    "no table": (3, "no `command`"),
    "no command": ({}, "no `command`"),
    "a line for a shell": ({"command": "serve {port}"}, "no list of words"),
    "not words": ({"command": ["serve", 8000, "{port}"]}, "no word"),
    "a line feed": ({"command": ["serve", "{port}\n"]}, "no word"),
    "nothing to run": ({"command": []}, "empty `command`"),
    "a program that the caller names": ({"command": ["{model}", "{port}"]}, "name its program"),
    "no port": ({"command": ["serve", "{model}"]}, "`{port}`"),
    "a misspelt placeholder": ({"command": ["serve", "{port}", "{modle}"]}, "`{modle}`"),
    "an unknown key": (GOOD | {"shell": True}, "`shell`"),
    "our secrets": (GOOD | {"passed": ["LINGMA_API_KEYS"]}, "`LINGMA_API_KEYS`"),
    "our secrets, small": (GOOD | {"passed": ["lingma_admin_token"]}, "`lingma_admin_token`"),
    "no variable": (GOOD | {"environment": {"A=B": "x"}}, "`A=B`"),
    "no texts": (GOOD | {"environment": {"A": 1}}, "no table of texts"),
    "no path": (GOOD | {"ready_path": "health"}, "no path"),
    "a path with a break": (GOOD | {"ready_path": "/a b\r\n"}, "no path"),
    "no truth": (GOOD | {"serves_label": "yes"}, "neither true nor false"),
}


@pytest.mark.parametrize(("table", "why"), WRONG.values(), ids=WRONG.keys())
def test_templates_that_cannot_be_used(table: Any, why: str) -> None:
    """The error names the template and what is wrong with it."""
    with pytest.raises(LingmaError) as caught:
        read_template("mine", table)

    assert caught.value.kind is ErrorKind.USAGE
    assert "`mine`" in caught.value.message
    assert why in caught.value.message
