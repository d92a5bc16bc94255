"""The ways `chat/ask` may answer: the sources disagree, so each can be played. Pure.

Source: Lingma local protocol, sections 4.4 and 10.
"""

from lingma_cli.demo import rpc

REFUSALS = frozenset({"failure", "result-failure", "error", "unknown"})
_REASON = "simulated refusal"


def render(form: str, call_id: rpc.Id, request_id: str) -> bytes | None:
    """Render the answer of a form of the `reply` directive; None is no answer."""
    match form:
        case "none":
            return None
        case "error":
            return rpc.error(call_id, rpc.INTERNAL_ERROR, _REASON)
        case "unknown":
            return rpc.error(call_id, rpc.UNKNOWN_METHOD, "method not found: chat/ask")
        case "result" | "result-failure":
            return rpc.result(call_id, _plugin_class(request_id, failed=form != "result"))
        case _:
            return rpc.result(call_id, _success(failed=form == "failure"))


def _success(*, failed: bool) -> dict[str, object]:
    return {
        "success": not failed,
        "errorCode": "500" if failed else "",
        "errorMessage": _REASON if failed else "",
    }


def _plugin_class(request_id: str, *, failed: bool) -> dict[str, object]:
    return {
        "requestId": request_id,
        "isSuccess": not failed,
        "status": 500 if failed else 200,
        "errorMessage": _REASON if failed else "",
    }
