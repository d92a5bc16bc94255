"""A text that must not be seen."""

from __future__ import annotations

import copy
import pickle
import traceback
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from lingma_cli.secret import DOTS, Secret

VALUE = "lgm-canary-value"


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
