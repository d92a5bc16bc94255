"""Ids."""

from __future__ import annotations

import pytest

from lingma_cli.core.ids import accepted_request_id, new_call_id, random_hex


def test_random_ids_are_hexadecimal_and_differ() -> None:
    """32 digits, never the same twice."""
    ids = {random_hex() for _ in range(100)}

    assert len(ids) == 100
    assert all(len(id_) == 32 and int(id_, 16) >= 0 for id_ in ids)


def test_ids_of_calls() -> None:
    """24 digits are enough, and a prefix tells what they name."""
    assert new_call_id(lambda: "0123456789abcdef" * 2) == "call_0123456789abcdef01234567"


@pytest.mark.parametrize("candidate", ["a", "req-1_2.3", "x" * 64])
def test_harmless_ids_are_accepted(candidate: str) -> None:
    """Letters, digits, dots, dashes and underscores, up to 64."""
    assert accepted_request_id(candidate)


@pytest.mark.parametrize(
    "candidate", ["", "x" * 65, "a b", "a\n", "a\r\nX: y", "é", "\x1b[31m", "a/b", "a;b"]
)
def test_ids_that_could_forge_a_line_are_not(candidate: str) -> None:
    """Nothing that could break out of a header or a log line."""
    assert not accepted_request_id(candidate)
