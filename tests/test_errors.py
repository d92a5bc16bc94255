"""The one tree of errors."""

from __future__ import annotations

import pytest

from lingma_cli.errors import FACES, ErrorKind, LingmaError


def test_every_kind_has_a_face() -> None:
    """The table is complete."""
    assert set(ErrorKind) == set(FACES)


@pytest.mark.parametrize("kind", ErrorKind)
def test_faces_are_plausible(kind: ErrorKind) -> None:
    """An error status, the types of both wires, a documented exit code, short of success."""
    face = FACES[kind]

    assert 400 <= face.status <= 599
    assert face.openai_type in {
        "invalid_request_error",
        "rate_limit_error",
        "insufficient_quota",
        "server_error",
    }
    assert face.anthropic_type.endswith("_error") or face.anthropic_type == "request_too_large"
    assert face.exit_code in {1, 2, 3, 4, 5, 6}


@pytest.mark.parametrize(
    ("kind", "status", "retryable"),
    [
        (ErrorKind.INVALID_REQUEST, 400, False),
        (ErrorKind.UNAUTHENTICATED, 401, False),
        (ErrorKind.BODY_TOO_LARGE, 413, False),
        (ErrorKind.MISDIRECTED, 421, False),
        (ErrorKind.OVERLOADED, 429, True),
        (ErrorKind.QUOTA_EXCEEDED, 429, True),
        (ErrorKind.ENGINE_UNSUPPORTED, 501, False),
        (ErrorKind.ENGINE_FAILED, 502, True),
        (ErrorKind.ENGINE_UNAVAILABLE, 503, True),
        (ErrorKind.SHUTTING_DOWN, 503, True),
        (ErrorKind.ENGINE_TIMEOUT, 504, True),
    ],
)
def test_what_clients_act_upon(kind: ErrorKind, status: int, retryable: bool) -> None:
    """Status, and whether another try can succeed."""
    assert (status, retryable) == (FACES[kind].status, FACES[kind].retryable)


@pytest.mark.parametrize("kind", ErrorKind)
def test_what_the_client_did_wrong_is_not_retried(kind: ErrorKind) -> None:
    """A fault on our side may pass; one on the client's side comes back, save for its timing."""
    face = FACES[kind]
    about_time = {408, 429}

    assert not face.retryable or face.status >= 500 or face.status in about_time


def test_an_error_carries_what_its_readers_need() -> None:
    """Its text is the sentence, the rest stands beside it."""
    error = LingmaError(ErrorKind.OVERLOADED, "busy", hint="wait", param="p", retry_after=1.5)

    assert (
        str(error),
        error.message,
        error.hint,
        error.param,
        error.retry_after,
    ) == ("busy", "busy", "wait", "p", 1.5)


def test_a_copy_says_the_same_and_remembers_nothing() -> None:
    """What was raised holds on to the frames that it went through; its copy does not."""
    kept = LingmaError(
        ErrorKind.OVERLOADED, "busy", hint="wait", param="p", retry_after=1.5, details={"a": 1}
    )
    with pytest.raises(LingmaError):
        raise kept from ValueError("x")

    copy = kept.copy()

    assert vars(copy) == vars(kept)
    assert (copy.args, copy.__traceback__, copy.__cause__, copy.__context__) == (
        kept.args,
        None,
        None,
        None,
    )
