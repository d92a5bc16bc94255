"""What the end of an answer means."""

from __future__ import annotations

import pytest

from lingma_cli.engines.lingma.endings import (
    failure,
    filtered,
    not_logged_in,
    unsupported_runtime,
)
from lingma_cli.errors import ErrorKind


@pytest.mark.parametrize(
    ("status", "reason", "kind"),
    [
        (0, "", ErrorKind.ENGINE_FAILED),
        (None, "", ErrorKind.ENGINE_FAILED),
        (110, "", ErrorKind.QUOTA_EXCEEDED),
        (400, "bad", ErrorKind.ENGINE_FAILED),
        (401, "", ErrorKind.LOGIN_REQUIRED),
        (403, "", ErrorKind.QUOTA_EXCEEDED),
        (403, "quota exceeded, log in to buy", ErrorKind.QUOTA_EXCEEDED),
        (403, "please log in", ErrorKind.LOGIN_REQUIRED),
        (403, "user not logged in", ErrorKind.LOGIN_REQUIRED),
        (403, "未登录", ErrorKind.LOGIN_REQUIRED),
        (406, "", ErrorKind.CONTENT_FILTERED),
        (408, "", ErrorKind.ENGINE_TIMEOUT),
        (429, "", ErrorKind.OVERLOADED),
        (500, "boom", ErrorKind.ENGINE_FAILED),
        (500, "code 110: daily limit", ErrorKind.QUOTA_EXCEEDED),
        (500, "今日额度已用完", ErrorKind.QUOTA_EXCEEDED),
        (601, "", ErrorKind.CONTENT_FILTERED),
        (602, "", ErrorKind.ENGINE_FAILED),
        (31404, "", ErrorKind.ENGINE_FAILED),
        (80408, "", ErrorKind.ENGINE_TIMEOUT),
        (90000, "", ErrorKind.ENGINE_FAILED),
    ],
)
def test_statuses(status: int | None, reason: str, kind: ErrorKind) -> None:
    """Each status, and each reason that tells two meanings of one apart, has its kind."""
    assert kind is failure(status, reason).kind


def test_status_and_reason_are_quoted() -> None:
    """The message names both, on one line."""
    error = failure(500, "boom\n  here")

    assert error.message.endswith(": status 500, boom here")


def test_a_bare_failure_has_no_dangling_colon() -> None:
    """Without status and reason the sentence stands alone."""
    assert failure(None, "").message == "Lingma ended the answer with an error"


def test_quota_says_when_to_come_back() -> None:
    """Clients read it as Retry-After."""
    assert failure(403, "").retry_after == 60.0
    assert failure(429, "").retry_after == 10.0
    assert failure(500, "").retry_after is None


def test_errors_without_a_status() -> None:
    """Filter, login and runtime each have a kind, and a hint where a person can help."""
    assert ErrorKind.CONTENT_FILTERED is filtered().kind
    assert (not_logged_in().kind, bool(not_logged_in().hint)) == (ErrorKind.LOGIN_REQUIRED, True)
    assert ErrorKind.ENGINE_UNSUPPORTED is unsupported_runtime().kind
