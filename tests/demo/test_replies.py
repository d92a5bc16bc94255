"""The ways chat/ask answers."""

import json

import pytest

from lingma_cli.demo import replies


@pytest.mark.parametrize(
    ("form", "part"),
    [
        ("success", {"success": True, "errorCode": "", "errorMessage": ""}),
        ("failure", {"success": False, "errorCode": "500", "errorMessage": "simulated refusal"}),
        ("result", {"requestId": "R", "isSuccess": True, "status": 200, "errorMessage": ""}),
        (
            "result-failure",
            {
                "requestId": "R",
                "isSuccess": False,
                "status": 500,
                "errorMessage": "simulated refusal",
            },
        ),
    ],
)
def test_results(form: str, part: dict[str, object]) -> None:
    """Both result shapes exist in a good and a bad variant."""
    body = replies.render(form, "a", "R")

    assert body is not None
    assert json.loads(body) == {"jsonrpc": "2.0", "id": "a", "result": part}


@pytest.mark.parametrize(("form", "code"), [("error", -32603), ("unknown", -32601)])
def test_errors(form: str, code: int) -> None:
    """A refusal may be a JSON-RPC error, or the method may be unknown."""
    body = replies.render(form, 1, "R")

    assert body is not None
    assert json.loads(body)["error"]["code"] == code


def test_none_is_silence() -> None:
    """One source never saw an answer."""
    assert replies.render("none", 1, "R") is None
