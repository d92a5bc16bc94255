"""Accounts out of the settings: the old gateway's forms, and errors that give nothing away."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lingma_cli.auth.accounts import NAME
from lingma_cli.auth.bundles.bundle import Bundle, pack, to_text
from lingma_cli.auth.bundles.sealed import open_any
from lingma_cli.auth.configured import ConfiguredAccount, Entry, configured_entries
from lingma_cli.errors import LingmaError
from lingma_cli.secret import Secret

BUNDLE = Bundle(files={"id": b"i", "user": b"u"})
TEXT = to_text(pack(BUNDLE))
CANARY = "canary-9e1f"


def never() -> Secret:
    raise AssertionError("no passphrase is needed")


def open_bundle(data: bytes) -> Bundle:
    return open_any(data, passphrase=never, now=1.0)


def listed(text: str) -> list[Entry]:
    return single(accounts=text)


def single(
    *, accounts: str = "", username: str = "", password: str = "", bundle: str = "", file: str = ""
) -> list[Entry]:
    return configured_entries(
        Secret(accounts) if accounts else None,
        username=username,
        password=Secret(password) if password else None,
        session_bundle=Secret(bundle) if bundle else None,
        session_bundle_file=file,
    )


def pairs(entries: list[Entry]) -> list[tuple[str, str, str | None]]:
    return [
        (entry.name, entry.username, entry.password.reveal() if entry.password else None)
        for entry in entries
    ]


def test_nothing_configured_is_no_account() -> None:
    """Not an error: logins may come from the vault."""
    assert single() == listed(" \n ") == []


@pytest.mark.parametrize(
    "text", ["u1:p1,u2:p2", "u1:p1\nu2:p2\n", " u1:p1 ,\r\n, u2:p2,", "u1 :p1\n\nu2:p2"]
)
def test_pairs_by_comma_or_line(text: str) -> None:
    """With room for white space and empty pieces."""
    assert pairs(listed(text)) == [("u1", "u1", "p1"), ("u2", "u2", "p2")]


def test_only_the_first_colon_splits() -> None:
    """Passwords may hold more."""
    assert pairs(listed("u1:p:1::")) == [("u1", "u1", "p:1::")]


def test_a_json_list(tmp_path: Path) -> None:
    """With passwords that hold anything, bundles, files with bundles, and bundles alone."""
    file = tmp_path / "bundle"
    file.write_bytes(pack(BUNDLE))
    text = json.dumps(
        [
            {"username": "u1", "password": "p,:\n1"},
            {"username": "u2", "password": "p2", "session_bundle": TEXT},
            {"session_bundle_file": str(file)},
            {"session_bundle": TEXT},
        ]
    )

    opened = [entry.opened(open_bundle) for entry in listed(f"\n {text}")]

    assert opened == [
        ConfiguredAccount(name="u1", username="u1", password=Secret("p,:\n1"), bundle=None),
        ConfiguredAccount(name="u2", username="u2", password=Secret("p2"), bundle=BUNDLE),
        ConfiguredAccount(name="account-3", username="", password=None, bundle=BUNDLE),
        ConfiguredAccount(name="account-4", username="", password=None, bundle=BUNDLE),
    ]


def test_one_account() -> None:
    """By username and password, by bundle, or by both."""
    assert pairs(single(username=" u ", password=" p ")) == [("default", "u", " p ")]

    (entry,) = single(bundle=TEXT)
    assert entry.opened(open_bundle) == ConfiguredAccount(
        name="default", username="", password=None, bundle=BUNDLE
    )


@pytest.mark.parametrize(
    ("usernames", "names"),
    [
        (["Alice@Example.com"], ["alice-example.com"]),
        (["a@b", "a b", "A/B"], ["a-b", "a-b-2", "a-b-3"]),
        (["用户"], ["account-1"]),
        (["account-2", "用户"], ["account-2", "account-2-2"]),
        (["x" * 40, "x" * 41], ["x" * 32, "x" * 28 + "-2"]),
        (["../../etc"], ["etc"]),
    ],
)
def test_names_come_from_usernames(usernames: list[str], names: list[str]) -> None:
    """So that an account keeps its folder when the list changes."""
    entries = listed(",".join(f"{name}:p" for name in usernames))

    assert [entry.name for entry in entries] == names


@given(st.lists(st.text(min_size=1).filter(str.strip), max_size=8, unique_by=str.strip))
def test_every_name_is_one_for_an_account(usernames: list[str]) -> None:
    """And no two are the same."""
    text = json.dumps([{"username": name.strip(), "password": "p"} for name in usernames])

    names = [entry.name for entry in listed(text)]

    assert all(re.fullmatch(NAME, name) for name in names)
    assert len(set(names)) == len(usernames)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (CANARY, "entry 1 of"),
        (f"u1:p1,{CANARY}", "entry 2 of"),
        (f":{CANARY}", "entry 1 of"),
        (f"{CANARY}:", "entry 1 of"),
        (f"u:{CANARY},u:p", "entries 1 and 2"),
        (f'["{CANARY}"]', "wrong at `$[0]`"),
        (f'{{"username": "{CANARY}", "password": "p"}}', "wrong at `$`"),
        (f'[{{"{CANARY}": "p"}}]', "wrong at `$[0]`"),
        (f'[{{"username": "u", "password": ["{CANARY}"]}}]', "wrong at `$[0].password`"),
        (f'[{{"username": "{CANARY}"', "begins like JSON"),
        (f'[{{"password": "{CANARY}"}}]', "no username"),
        (f'[{{"username": "{CANARY}"}}]', "neither a password nor"),
        ("[{}]", "neither a password nor"),
        (
            f'[{{"session_bundle": "{CANARY}", "session_bundle_file": "{CANARY}"}}]',
            "both a session bundle and a file",
        ),
    ],
)
def test_a_wrong_list_is_told_without_its_content(text: str, complaint: str) -> None:
    """Which entry, and what about it; what looks wrong may be a password."""
    with pytest.raises(LingmaError) as caught:
        listed(text)

    assert complaint in caught.value.message
    assert caught.value.hint
    assert CANARY not in caught.value.advice


@pytest.mark.parametrize(
    "settings",
    [
        {"username": CANARY},
        {"password": CANARY},
        {"bundle": CANARY, "file": CANARY},
        {"accounts": f"u:{CANARY}", "username": CANARY},
        {"accounts": f"u:{CANARY}", "file": CANARY},
    ],
)
def test_settings_that_do_not_fit_together_are_told(settings: dict[str, str]) -> None:
    """Half an account, two bundles for one, or two places for accounts."""
    with pytest.raises(LingmaError) as caught:
        single(**settings)

    assert CANARY not in caught.value.advice


@pytest.mark.parametrize(
    "entry",
    [
        {"session_bundle": f"{CANARY}!"},
        {"session_bundle": to_text(CANARY.encode()).strip()},
        {"session_bundle_file": f"/nowhere/{CANARY}"},
        {"session_bundle_file": f"/tmp/{CANARY}\x00"},
        {"session_bundle_file": "/"},
    ],
)
def test_a_bundle_that_cannot_be_used_is_told(entry: dict[str, str]) -> None:
    """With the entry that brings it, and without anything of it."""
    _, broken = listed(json.dumps([{"username": "u", "password": "p"}, entry]))

    with pytest.raises(LingmaError, match="entry 2 of `accounts`: ") as caught:
        broken.opened(open_bundle)

    assert CANARY not in caught.value.advice


def test_nothing_shows_in_a_repr() -> None:
    """Neither passwords nor bundles."""
    (entry,) = listed(json.dumps([{"username": "u", "password": CANARY, "session_bundle": TEXT}]))

    shown = repr(entry) + repr(entry.opened(open_bundle))

    assert CANARY not in shown
    assert TEXT.strip() not in shown
