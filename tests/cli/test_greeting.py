"""What `serve` says once it listens."""

import json
import shlex

import pytest

from lingma_cli.cli.greeting import Greeter, client_lines
from lingma_cli.core.chat import Model
from lingma_cli.secret import Secret
from lingma_cli.wiring.serve import Listening

KEY = "lgm-0123456789abcdef"


def greeting(*, key_required: bool, new_key: str, is_terminal: bool, demo: bool = False) -> str:
    said: list[str] = []
    listening = Listening(
        url="http://127.0.0.1:8317",
        demo=demo,
        key_required=key_required,
        new_key=Secret(new_key) if new_key else None,
    )
    Greeter(said.append, is_terminal=is_terminal).greet(listening)
    return "\n".join(said)


def introduction(*models: Model) -> str:
    said: list[str] = []
    Greeter(said.append, is_terminal=True).introduce(models)
    return "\n".join(said)


def test_the_base_url_is_what_clients_need() -> None:
    """With its path, ready to be copied."""
    said = greeting(key_required=False, new_key="", is_terminal=True)

    assert "base URL  http://127.0.0.1:8317/v1" in said
    assert "API key   none needed" in said


def test_the_demo_is_called_one() -> None:
    """Nobody takes the simulator for Lingma."""
    assert "demo: a simulator answers" in greeting(
        key_required=False, new_key="", is_terminal=True, demo=True
    )
    assert "simulator" not in greeting(key_required=False, new_key="", is_terminal=True)


@pytest.mark.parametrize(
    ("new_key", "is_terminal", "is_shown"),
    [(KEY, True, True), (KEY, False, False), ("", True, False)],
)
def test_a_new_key_is_shown_to_a_person_only(
    new_key: str, is_terminal: bool, is_shown: bool
) -> None:
    """Logs and files get the command that prints it instead."""
    said = greeting(key_required=True, new_key=new_key, is_terminal=is_terminal)

    assert is_shown == (KEY in said)
    assert "lingma key show" in said


def test_models_are_named_and_the_default_is_used() -> None:
    """The pasted lines ask the engine's own default."""
    said = introduction(Model(key="a", name="A"), Model(key="b", name="B", is_default=True))

    assert "models    a, b" in said
    assert '"model": "b"' in said


def test_what_cannot_chat_is_not_chosen() -> None:
    """It is named; alone it has no lines to paste."""
    vectors = Model(key="v", name="V", kind="embedding")

    assert '"model": "a"' in introduction(vectors, Model(key="a", name="A"))
    assert introduction(vectors) == "models    v"


def test_a_long_list_of_models_is_cut() -> None:
    """A screen is not flooded."""
    said = introduction(*(Model(key=f"m{number}", name="") for number in range(11)))

    assert "m7 and 3 more" in said
    assert "m8" not in said


def test_a_models_name_cannot_leave_its_quotes() -> None:
    """What an engine calls its models is never run by the user's shell."""
    evil = "x'; touch owned; '\x1b[2J"
    lines = client_lines("http://127.0.0.1:1", model=evil, key_required=True)

    curl = shlex.split(lines[-1])
    assert evil == json.loads(curl[-1])["model"]
    assert "touch" not in curl
    claude = next(line for line in lines if line.endswith(" claude"))
    assert [f"ANTHROPIC_MODEL={evil}", "claude"] == shlex.split(claude)


def test_without_models_there_is_nothing_to_paste() -> None:
    """No line is shown that could not work."""
    assert introduction() == ""
