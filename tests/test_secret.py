"""Texts that must not be seen."""

from __future__ import annotations

import copy
import pickle
import traceback
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lingma_cli.secret import DOTS, Redactor, Secret

VALUE = "lgm-canary-value"
CANARY = "s3cr3t-canary-value"


@dataclass
class _Holder:
    key: Secret


def test_it_prints_as_dots_wherever_it_is_shown() -> None:
    """Text, representation, formats, containers and tracebacks."""
    secret = Secret(VALUE)
    shown = [
        str(secret),
        repr(secret),
        f"{secret} {secret!r} {secret!s:>20}",
        "%s %r" % (secret, secret),  # noqa: UP031 - logging formats like this
        repr({"key": [secret]}),
        repr(_Holder(key=secret)),
        str(ValueError(secret)),
        "".join(traceback.format_exception(ValueError(secret))),
    ]

    assert all(DOTS in text for text in shown)
    assert not any("canary" in text for text in shown)


def test_only_reveal_tells() -> None:
    """There is one way to the value."""
    assert Secret(VALUE).reveal() == VALUE


@given(st.text(), st.text())
def test_equality_is_that_of_the_values(left: str, right: str) -> None:
    """Secrets can be compared and looked up without being revealed."""
    assert (left == right) == (Secret(left) == Secret(right))
    assert hash(Secret(left)) == hash(Secret(left))


def test_a_secret_is_not_its_value() -> None:
    """A plain text never equals a secret by accident."""
    secret: object = Secret(VALUE)

    assert secret != VALUE


def test_copies_are_secrets_too() -> None:
    """Nothing is lost on the way through a copy."""
    secret = Secret(VALUE)

    assert secret == copy.deepcopy(secret)
    assert secret == pickle.loads(pickle.dumps(secret))


# redaction

LOOKS_SECRET = [
    f"Authorization: Bearer {CANARY}",
    f"authorization=Basic {CANARY}",
    f'{{"token": "{CANARY}"}}',
    f"'refreshToken': '{CANARY}'",
    f"api_key={CANARY}",
    f"https://host/cb?token={CANARY}&x=1",
    f"https://host/cb?auth={CANARY}",
    f"securityOauthToken={CANARY}",
    f"personal_token: {CANARY}",
    f"Cosy-MachineToken: {CANARY}",
    f"X-Api-Key: {CANARY}",
    f"password = {CANARY}",
    f"Cookie: {CANARY}",
    f"lgm-{CANARY}",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJjYW5hcnkifQ.canary-signature",
]


@pytest.mark.parametrize("text", LOOKS_SECRET)
def test_what_looks_like_a_credential_is_hidden(text: str) -> None:
    """Whoever logs it, and however it is spelled."""
    shown = Redactor()(text)

    assert "canary" not in shown
    assert DOTS in shown


@pytest.mark.parametrize(
    "text",
    [
        "used 1200 tokens",
        "max_tokens=4096",
        "input_tokens=12345678",
        "the key is in the file",
        "caller=key-1 model=org_auto",
        "author: someone",
        "/v1/chat/completions 200",
    ],
)
def test_ordinary_words_stay(text: str) -> None:
    """A log that hides everything is no log."""
    assert text == Redactor()(text)


def test_the_longer_of_two_secrets_goes_first() -> None:
    """No tail of a secret stays behind because another one is its beginning."""
    redact = Redactor([Secret("abcdef"), Secret("abcdef-ghijkl")])

    assert redact("abcdef-ghijkl") == DOTS


def test_short_secrets_do_not_blot_out_words() -> None:
    """A key of few characters is left to the patterns."""
    assert Redactor([Secret("a")])("a cat") == "a cat"
