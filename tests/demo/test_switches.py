"""Environment switches."""

import dataclasses

import pytest

from lingma_cli.demo import switches
from lingma_cli.demo.accounts import Account
from lingma_cli.demo.language import Key, LanguageError
from lingma_cli.demo.wire import PLAIN, Wire
from tests.demo.client import ROOT


def test_nothing_set_means_the_defaults() -> None:
    """An empty environment plays the plain binary."""
    read = switches.from_environment({"PATH": "/bin"})

    assert read == switches.Switches()
    assert read.wire is PLAIN


def test_every_variable_reaches_its_place() -> None:
    """Each variable is read into its own part."""
    read = switches.from_environment(
        {
            "LINGMA_DEMO_FAULTS": " finish=429 once ",
            "LINGMA_DEMO_START": "exit=3",
            "LINGMA_DEMO_SIDES": "path=ws",
            "LINGMA_DEMO_LOGIN": "state=out",
            "LINGMA_DEMO_PAGES": "then=sms,consent",
            "LINGMA_DEMO_ACCOUNT": "user=x whitelist=1",
            "LINGMA_DEMO_WIRE": "cut=1",
            "LINGMA_DEMO_JOURNAL": "level=off",
        }
    )

    assert read == switches.Switches(
        start=switches.Start(exit=3),
        sides=switches.Sides(path="ws"),
        login=switches.Login(state="out"),
        pages=switches.Pages(then=("sms", "consent")),
        account=Account(user="x", whitelist=1),
        wire=Wire(cut=1),
        faults={"finish": 429, "once": True},
        faults_text="finish=429 once",
        start_text="exit=3",
        journal="off",
    )


def test_an_error_names_its_variable() -> None:
    """The sentence tells where to look."""
    with pytest.raises(LanguageError, match="LINGMA_DEMO_SIDES: unknown key `colour`"):
        switches.from_environment({"LINGMA_DEMO_SIDES": "colour=red"})
    with pytest.raises(LanguageError, match="unknown variable: LINGMA_DEMO_FAULT"):
        switches.from_environment({"LINGMA_DEMO_FAULT": "crash"})
    with pytest.raises(LanguageError, match="LINGMA_DEMO_ACCOUNT: `user` is missing"):
        switches.from_environment({"LINGMA_DEMO_ACCOUNT": "password=x"})


@pytest.mark.parametrize(
    ("kind", "keys"),
    [
        (switches.Start, switches.START_KEYS),
        (switches.Sides, switches.SIDE_KEYS),
        (switches.Login, switches.LOGIN_KEYS),
        (switches.Pages, switches.PAGE_KEYS),
        (Account, switches.ACCOUNT_KEYS),
    ],
)
def test_fields_are_the_keys(kind: type, keys: tuple[Key, ...]) -> None:
    """Every key has a field of its name and every field a key."""
    assert {field.name for field in dataclasses.fields(kind)} == {key.name for key in keys}


def test_the_page_lists_every_switch() -> None:
    """`docs/demo.md` has a row for every key and choice below its variable's title."""
    page = (ROOT / "docs/demo.md").read_text(encoding="utf-8")

    for variable, keys in switches.VARIABLES.items():
        assert f"`{variable}`" in page
        section = page.partition(f"### `{variable}`")[2].partition("\n#")[0]
        if variable == "LINGMA_DEMO_FAULTS":
            continue  # its keys are the directives, which have tables of their own
        for key in keys:
            lines = section.splitlines()
            row = next((line for line in lines if line.startswith(f"| `{key.name}")), "")
            assert row, f"no row for {key.name} under {variable}"
            assert [word for word in key.choices if f"`{word}`" not in row] == []
