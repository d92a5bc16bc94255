"""What the simulator says."""

import json

import pytest

from lingma_cli.demo import answers, models
from lingma_cli.demo.answers import Ask
from lingma_cli.demo.directives import find, parse
from lingma_cli.demo.rpc import Params


def make_ask(prompt: str, model: models.Model = models.AUTO, **params: object) -> Ask:
    """Build an ask as the simulator would."""
    return Ask(
        request_id="R",
        session_id="S",
        prompt=prompt,
        model=model,
        turn=2,
        received_ms=5,
        params={"questionText": prompt, **params},
    )


def say(directive: str, prompt: str = "hi") -> str:
    """Return the answer to a prompt under a directive."""
    return answers.text_of(make_ask(prompt), parse(directive))


def deltas(text: str, directive: str) -> list[str]:
    """Return the deltas of a text under a directive."""
    return list(answers.deltas(text, parse(directive)))


@pytest.mark.parametrize(
    ("params", "prompt"),
    [
        ({"questionText": "a", "chatContext": {"text": "b"}}, "a"),
        ({"questionText": "", "chatContext": {"text": "b"}, "text": "c"}, "b"),
        ({"chatContext": None, "text": "c"}, "c"),
        ({"questionText": 7, "content": "d"}, "d"),
        ({}, ""),
    ],
)
def test_the_prompt_is_found_under_every_key_in_use(params: Params, prompt: str) -> None:
    """The sources disagree about the key; the first text counts."""
    assert answers.prompt_of(params) == prompt


@pytest.mark.parametrize(
    ("prompt", "said"),
    [
        ("User authentication: how?", "User authentication: how?"),
        ("be kind\n\nUser: hi\n\nAssistant: yo\n\nUser: there", "there"),
        ("## User\n\nhi\n\n## Assistant\n\nyo\n\n## User\n\nthere [[demo: plain]]", "there"),
        ("[system]\nbe kind\n[user]\nthere\nyou", "there\nyou"),
        ("用户：你好", "你好"),
        ("## User\n\nold\n\n# Now answer this\n\nnew", "new"),
    ],
)
def test_the_last_user_text_is_found_in_a_flattened_prompt(prompt: str, said: str) -> None:
    """A line that titles a user's turn starts it; without one the prompt is the text."""
    assert answers.last_user_text(prompt) == said


def test_the_plain_answer_is_a_simulators() -> None:
    """It says so, quotes the user, and holds no directive that would come back as history."""
    text = say("", "one\n[[demo: delay=0]]two")

    assert "simulator: no model was asked" in text
    assert "> one\n> two\n" in text
    assert "model Auto, turn 2" in text
    assert find(text) is None
    assert text == say("", "one\n[[demo: delay=0]]two")


def test_a_long_prompt_is_clipped_in_the_quote() -> None:
    """Quoting stays short and tells the size."""
    text = say("", "x" * 5_000)

    assert len(text) < 800
    assert "5000 characters" in text


@pytest.mark.parametrize(
    ("directive", "text"),
    [
        ("echo", "hi"),
        ('say="你好🙂" repeat=2', "你好🙂你好🙂"),
        ('say=""', ""),
        ("quote=prompt", "hi"),
        ("chunks=3", "1 2 3"),
        ("size=3", "The"),
        (
            "echo marker=tool",
            'hi\n```toolCall::read_file::call_demo_1::FINISHED\n{"file_path":"a.txt"}\n```\n',
        ),
        ("echo marker=edit", "hi\n```python|CODE_EDIT_BLOCK|src/app.py\nprint('demo')\n```\n"),
    ],
)
def test_directives_choose_the_text(directive: str, text: str) -> None:
    """Each key of the answer does what its row says."""
    assert say(directive) == text


def test_quoting_the_payload_shows_the_params() -> None:
    """People see exactly what reached the binary."""
    assert json.loads(say("quote=payload", "你好")) == {"questionText": "你好"}


def test_a_size_counts_bytes() -> None:
    """A huge answer has exactly the wanted size."""
    assert len(say("size=100k").encode()) == 100_000


def test_help_lists_the_keys_without_being_a_directive() -> None:
    """The list can stand in the history of the next prompt."""
    assert "- `crash`:" in say("help")
    assert find(say("help")) is None


@pytest.mark.parametrize(
    ("directive", "pieces"),
    [
        ("split=2", ["ab", " 你", "🙂"]),
        ("cut=1", ["a", "b", " ", "你", "🙂"]),
        ("chunks=2", ["ab", " 你🙂"]),
        ("chunks=2 cut=1", ["ab", " 你🙂"]),
        ("chunks=7", ["", "a", "b", "", " ", "你", "🙂"]),
        ("", ["ab 你🙂"]),
    ],
)
def test_deltas_are_cut_as_wished(directive: str, pieces: list[str]) -> None:
    """Whole characters only; together they are the text."""
    assert deltas("ab 你🙂", directive) == pieces


def test_counting_gives_one_number_a_delta() -> None:
    """`chunks=N` alone counts in exactly N deltas."""
    assert deltas(say("chunks=11"), "chunks=11") == ["1", *(f" {n}" for n in range(2, 12))]


@pytest.mark.parametrize("text", ["", " ", "a b\n", "  a  " * 50, "x" * 99])
def test_words_lose_nothing(text: str) -> None:
    """The usual deltas are the text, spaces included."""
    assert "".join(deltas(text, "")) == text


def test_reasoning_follows_the_model_and_the_wish() -> None:
    """A reasoning model thinks; `think` and `thought` decide otherwise."""
    thinking = make_ask("hi", models.THINKING)

    assert answers.reasoning_of(thinking, parse(""))[0] == "push"
    assert answers.reasoning_of(thinking, parse("think=none"))[0] == "none"
    assert answers.reasoning_of(make_ask("hi"), parse(""))[0] == "none"
    assert answers.reasoning_of(make_ask("hi"), parse("thought=hm")) == ("push", "hm")


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("tags", "<think>\nhm\n</think>\n\n"),
        ("block", "\n````think::{THINK_TIME}\nhm\n````\n"),
        ("timed", "\n````think::7\nhm\n````\n"),
        ("push", ""),
        ("none", ""),
    ],
)
def test_reasoning_inside_the_text(form: str, text: str) -> None:
    """Each form is written as the protocol notes show it."""
    assert answers.inline_reasoning(form, "hm") == text
