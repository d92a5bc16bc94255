"""The methods of the binary except chat/ask's stream: a table from name to handler.

Source: Lingma local protocol, sections 4.1 to 4.3, 4.6 and 4.7. Handlers are plain functions from
params to a result; what is not in the table is -32601.
"""

from collections.abc import Callable
from dataclasses import dataclass

from lingma_cli.demo import authcalls, models, rpc
from lingma_cli.demo.asks import Asks
from lingma_cli.demo.images import Images
from lingma_cli.demo.logins import Logins
from lingma_cli.demo.rpc import Params, RpcError
from lingma_cli.demo.sessions import Sessions
from lingma_cli.demo.switches import Login, Sides

WITHOUT_PARAMS = frozenset({"shutdown", "exit"})


@dataclass(slots=True, kw_only=True)
class State:
    """What handlers look at."""

    version: str
    endpoint: str
    sides: Sides
    login: Login
    logins: Logins
    sessions: Sessions
    asks: Asks
    images: Images


Handler = Callable[[State, Params], object]


def _initialize(state: State, params: Params) -> object:
    shapes = {"lsp": "capabilities", "acp": "protocolVersion"}
    wanted = shapes.get(state.sides.initialize)
    if wanted is not None and wanted not in params:
        raise RpcError(rpc.INVALID_PARAMS, f"initialize needs {wanted}")
    return {
        "capabilities": {"textDocumentSync": 1},
        "serverInfo": {"name": "lingma", "version": state.version},
        "simulator": True,
    }


def _initialized(state: State, params: Params) -> object:
    del params
    if state.sides.initialized == "unknown":
        raise _unknown("initialized")
    return None


def _query_models(state: State, params: Params) -> object:
    del params
    return models.scenes() if state.logins.is_in else {}


def _plan(state: State, params: Params) -> object:
    del state, params
    raise RpcError(rpc.INTERNAL_ERROR, "request failed: 404 Not Found")


def _stop(state: State, params: Params) -> object:
    del state, params  # the stream is stopped after the answer went out
    return {}


def _list_sessions(state: State, params: Params) -> object:
    del params
    return [session.render() for session in state.sessions.all()]


def _get_session(state: State, params: Params) -> object:
    session = state.sessions.get(params.get("sessionId"))
    return None if session is None else session.render()


def _delete_session(state: State, params: Params) -> object:
    state.sessions.delete(params.get("sessionId"))
    return {}


def _approve(state: State, params: Params) -> object:
    state.asks.waits.deliver("tool/call/approve", params)
    state.asks.tools.deliver("tool/call/approve", params)
    return {}


def _invoke_result(state: State, params: Params) -> object:
    if not params.get("toolCallId"):
        raise RpcError(rpc.INVALID_PARAMS, "toolCallId is empty")
    state.asks.waits.deliver("tool/invokeResult", params)
    state.asks.tools.deliver("tool/invokeResult", params)
    return {"errorCode": None, "errorMessage": None}


def _tool_results(state: State, params: Params) -> object:
    results = state.asks.tool_results(params.get("sessionId"))
    return {"successful": True, "errorMessage": "", "toolResults": results}


def _upload(state: State, params: Params) -> object:
    if state.sides.images == "off":
        raise _unknown("image/upload")
    return state.images.upload(params)


def _always(value: object) -> Handler:
    return lambda _state, _params: value


HANDLERS: dict[str, Handler] = {
    "initialize": _initialize,
    "initialized": _initialized,
    "shutdown": _always(None),
    "exit": _always(None),
    "ping": _always({"success": True}),
    "auth/status": lambda state, _params: state.logins.status(),
    "config/queryModels": _query_models,
    "config/getEndpoint": lambda state, _params: {"endpoint": state.endpoint},
    "user/plan": _plan,
    "chat/stop": _stop,
    "chat/stopSession": _stop,
    "chat/listAllSessions": _list_sessions,
    "chat/getSessionById": _get_session,
    "chat/deleteSessionById": _delete_session,
    "tool/call/approve": _approve,
    "tool/invokeResult": _invoke_result,
    "tool/call/results": _tool_results,
    "image/upload": _upload,
}


def _auth(method: str) -> Handler:
    return lambda state, params: authcalls.call(state.logins, method, params, state.login.spelling)


def _unknown(method: str) -> RpcError:
    return RpcError(rpc.UNKNOWN_METHOD, f"method not found: {method}")


def call(state: State, method: str, params: object) -> object:
    """Call a method and return its result.

    Raises:
        RpcError: for unknown methods, params that are no object, and refusals.
    """
    handler = _auth(method) if method in authcalls.METHODS else HANDLERS.get(method)
    if handler is None or method in state.login.lacks.split(","):
        raise _unknown(method)
    if method in WITHOUT_PARAMS:
        return handler(state, {})
    return handler(state, rpc.object_params(params, "EmptyRequest"))
