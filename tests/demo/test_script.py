"""The steps of a stream."""

from collections.abc import Sequence

import pytest

from lingma_cli.demo import models
from lingma_cli.demo.directives import parse
from lingma_cli.demo.script import (
    NOISE,
    Await,
    Demand,
    Ended,
    Fault,
    Invoke,
    Pause,
    Push,
    Script,
    Step,
)
from tests.demo.test_answers import make_ask


def play(directive: str, model: models.Model = models.AUTO) -> list[Step]:
    """Return all steps under a directive; the answer has three deltas."""
    words = f'say="abcdef" split=2 steps=off {directive}'
    return list(Script(make_ask("hi", model), parse(words)).steps())


def outline(steps: Sequence[Step]) -> list[str]:
    """Write steps in short: deltas as their text, other pushes by method."""
    return [_short(step) for step in steps]


def _short(step: Step) -> str:
    match step:
        case Push(method="chat/answer", params=params):
            return str(params.get("text"))
        case Push(method="chat/finish", params=params):
            return f"finish {params.get('statusCode', 'absent')} {params['fullAnswer']}"
        case Push():
            return step.method
        case Pause():
            return f"pause {step.seconds}"
        case Demand():
            return f"demand {step.name}"
        case Invoke():
            return "invoke " + " ".join(call.name for call in step.calls)
        case Await():
            return "await"
        case Fault():
            return f"{step.kind} {step.argument}".strip()
        case Ended():
            return f"ended {step.status}"


PLAIN = ["ab", "cd", "ef", "finish 200 abcdef", "ended 200"]


@pytest.mark.parametrize(
    ("directive", "steps"),
    [
        ("", PLAIN),
        ("first=2", ["pause 2.0", *PLAIN]),
        ("delay=1", ["pause 1.0", "ab", "pause 1.0", "cd", "pause 1.0", "ef", *PLAIN[3:]]),
        ("blanks", ["ab", "", "cd", "", "ef", "", *PLAIN[3:]]),
        ("title=t usage=5", ["session/title/update", "context/usage/sync", *PLAIN]),
        ("noise", [*NOISE, *PLAIN]),
        ("finish=429", ["ab", "cd", "ef", "finish 429 abcdef", "ended 429"]),
        ("finish=429 after=1", ["ab", "finish 429 ab", "ended 429"]),
        ("finish=0 after=0", ["finish 0 ", "ended 0"]),
        ("finish=absent", ["ab", "cd", "ef", "finish absent abcdef", "ended absent"]),
        ("finish=200 after=9", PLAIN),
        ("full=empty", ["ab", "cd", "ef", "finish 200 ", "ended 200"]),
        ("full=only", ["finish 200 abcdef", "ended 200"]),
        (
            "full=extended after=last",
            ["ab", "cd", "ef", "finish 200 abcdef This stands in fullAnswer only.", "ended 200"],
        ),
        ("full=other", ["ab", "cd", "ef", "finish 200 Something else entirely.", "ended 200"]),
        ("end=silence", ["ab", "cd", "ef", "silence"]),
        ("end=silence after=2", ["ab", "cd", "silence"]),
        ("end=filter after=1", ["ab", "", "finish 406 ab", "ended 406"]),
        ("end=filter finish=601 after=1", ["ab", "", "finish 601 ab", "ended 601"]),
        ("end=filter-timeout after=1", ["ab", "chat/filterTimeout", "ended none"]),
        ("end=error after=1", ["ab", "error", "ended none"]),
        ("end=fatal after=0", ["fatal_error", "ended none"]),
        ("duplicate", [*PLAIN, "finish 200 abcdef"]),
        ("late=2", [*PLAIN, " late 1", " late 2"]),
        ("crash=3", ["crash 3", *PLAIN]),
        ("crash after=2", ["ab", "cd", "crash 1", *PLAIN[2:]]),
        ("drop after=last", ["ab", "cd", "ef", "drop eof", *PLAIN[3:]]),
        ("hang after=3", ["ab", "cd", "ef", "hang", *PLAIN[3:]]),
        ("close freeze=1 garbage=json", ["garbage json", "close 1001", "freeze 1.0", *PLAIN]),
        ("demand=tool,sync after=1", ["ab", "demand tool", "demand sync", *PLAIN[1:]]),
        ("strangers=2 after=1", ["ab", "not for you", "not for you", *PLAIN[1:]]),
        ("overwrite=extend after=0", [" [extended]", *PLAIN[:3], "finish 200  [extended]abcdef",
                                      "ended 200"]),
        ("overwrite=shrink", ["ab", "cd", "ef", "abc", "finish 200 abc", "ended 200"]),
        ("overwrite=shrink after=1", ["ab", "a", "cd", "ef", "finish 200 acdef", "ended 200"]),
    ],
)  # fmt: skip
def test_directives_shape_the_stream(directive: str, steps: list[str]) -> None:
    """Each key puts its steps where its row says."""
    assert outline(play(directive)) == steps


TWO = """calls='[{"name":"a"},{"name":"b"}]'"""


@pytest.mark.parametrize(
    ("directive", "steps"),
    [
        (TWO, ["invoke a", "await", "invoke b", "await", *PLAIN]),
        (f"{TWO} first=2", ["pause 2.0", "invoke a", "await", "invoke b", "await", *PLAIN]),
        (
            f"{TWO} crash=3 after=1",
            ["invoke a", "await", "invoke b", "await", "ab", "crash 3", *PLAIN[1:]],
        ),
        (
            f"{TWO} crash=3 at=waiting",
            ["invoke a", "crash 3", "await", "invoke b", "await", *PLAIN],
        ),
        (
            f"{TWO} drop after=1 at=waiting",
            ["invoke a", "await", "invoke b", "drop eof", "await", *PLAIN],
        ),
        (f"{TWO} finish=500 at=waiting", ["invoke a", "finish 500 ", "ended 500"]),
        (f"{TWO} end=silence at=waiting", ["invoke a", "silence"]),
    ],
)
def test_native_calls_come_before_the_answer(directive: str, steps: list[str]) -> None:
    """Step by step, each awaited; `at=waiting` breaks things in between."""
    assert outline(play(directive)) == steps


def test_contradicting_replaces_everything() -> None:
    """An `overwrite` delta is flagged, and what is visible follows it."""
    overwriting = [
        step.params
        for step in play("overwrite=contradict after=1")
        if isinstance(step, Push) and step.params.get("overwrite")
    ]

    assert [params["text"] for params in overwriting] == ["This replaces everything before it."]


def test_process_steps_end_before_the_answer() -> None:
    """`step_end` is no sign of an end."""
    steps = list(Script(make_ask("hi"), parse("echo")).steps())
    pushes = [step for step in steps if isinstance(step, Push)]

    assert [push.params.get("step") for push in pushes] == ["step_start", "step_end", None, None]
    assert pushes[2].params["text"] == "hi"


@pytest.mark.parametrize(("form", "last"), [("push", "done"), ("push-end", "end")])
def test_thinking_is_pushed_before_the_answer(form: str, last: str) -> None:
    """Reasoning comes as chat/think deltas and ends with an empty one."""
    pushes = [step.params for step in play(f"think={form} thought=abc") if isinstance(step, Push)]

    assert [(push.get("step"), push["text"]) for push in pushes[:3]] == [
        ("start", "ab"),
        ("start", "c"),
        (last, ""),
    ]


def test_inline_reasoning_is_cut_like_the_answer() -> None:
    """Marks of reasoning are torn apart by the deltas."""
    texts = outline(play("think=tags thought=hm"))

    assert texts[:4] == ["<t", "hi", "nk", ">\n"]
    assert "".join(texts[:-2]) == "<think>\nhm\n</think>\n\nabcdef"


def test_every_push_of_the_stream_names_its_ids() -> None:
    """Clients route by request id."""
    named = [
        (step.params["requestId"], step.params["sessionId"])
        for step in play("think=push", models.THINKING)
        if isinstance(step, Push)
    ]

    assert set(named) == {("R", "S")}


def test_the_content_side_names_the_field_so() -> None:
    """One source reads `content` instead of `text`."""
    delta = next(step for step in play("field=content") if isinstance(step, Push))

    assert delta.params["content"] == "ab"
    assert "text" not in delta.params


def test_filtered_deltas_are_flagged() -> None:
    """The filter shows in the delta and in the code."""
    flags = [s.params["isFiltered"] for s in play("end=filter") if "isFiltered" in _params(s)]  # type: ignore[union-attr]

    assert flags == [False, False, False, True]


def _params(step: Step) -> dict[str, object]:
    return dict(step.params) if isinstance(step, Push) else {}


@pytest.mark.parametrize(
    ("directive", "params"),
    [
        ("end=error", {"requestId": "R", "sessionId": "S", "message": "bad"}),
        ("end=fatal", {"requestId": "R", "sessionId": "S", "error": "bad"}),
        ("end=error anonymous", {"message": "bad"}),
    ],
)
def test_error_pushes_carry_their_reason(directive: str, params: dict[str, object]) -> None:
    """`message` or `error`, with or without the ids."""
    assert _params(play(f"{directive} reason=bad")[-2]) == params


def test_the_daily_limit_comes_as_text() -> None:
    """Code 110 stands in the text of a stream that ends well."""
    assert '"code":110' in outline(play("end=limit after=0"))[0]
    assert outline(play("end=limit after=0"))[-1] == "ended 200"


@pytest.mark.parametrize(("status", "reason"), [(429, "too many requests"), (7, "failed")])
def test_codes_have_reasons(status: int, reason: str) -> None:
    """Known codes explain themselves; `reason` replaces the words."""
    finish = _params(play(f"finish={status}")[-2])

    assert finish["reason"] == reason
    assert _params(play(f"finish={status} reason=mine")[-2])["reason"] == "mine"


def test_a_script_remembers_what_is_visible() -> None:
    """After the steps the record of the session can be written."""
    script = Script(make_ask("hi"), parse("echo think=tags thought=hm"))
    list(script.steps())

    assert script.visible == "<think>\nhm\n</think>\n\nhi"
    assert script.thought == "hm"
