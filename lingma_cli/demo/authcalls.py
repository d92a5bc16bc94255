"""The methods around the login: params to logins, refusals to the protocol's fields.

Source: Lingma local protocol, section 4.2.
"""

from collections.abc import Callable

from lingma_cli.demo import records
from lingma_cli.demo.logins import Logins, RefusedError
from lingma_cli.demo.rpc import Params

Handler = Callable[[Logins, Params], dict[str, object]]


def _generate_url(logins: Logins, params: Params) -> dict[str, object]:
    one = logins.new_try(is_dedicated=params.get("loginDedicatedType") == "dedicated")
    return {
        "loginUrl": logins.url_of(one),
        "nonce": one.nonce,
        "verifier": one.verifier,
        "challenge": one.challenge,
        "challengeMethod": "S256",
    }


def _callback(logins: Logins, params: Params) -> dict[str, object]:
    one = logins.try_of(_text(params, "nonce"))
    logins.redeem(one, _text(params, "auth"), _text(params, "tokenString"))
    return {}


def _login(logins: Logins, params: Params) -> dict[str, object]:
    organisation = _text(params, "orgId")
    match params.get("loginType", ""):
        case "":
            is_dedicated = params.get("loginDedicatedType") == "dedicated"
            return {"url": logins.url_of(logins.new_try(is_dedicated=is_dedicated))}
        case "personalToken":
            logins.with_token(_text(params, "personalToken"), organisation)
        case "aksks":
            key, secret = _text(params, "accessKey"), _text(params, "secretKey")
            logins.with_key(key, secret, organisation)
        case _:
            raise RefusedError("LOGIN_TYPE_INVALID", "the login type is unknown")
    return {"url": ""}


def _device_login(logins: Logins, params: Params) -> dict[str, object]:
    expires = params.get("expireTime")
    record = records.of_tokens(
        _text(params, "username"),
        _text(params, "token"),
        _text(params, "refreshToken"),
        expires if isinstance(expires, int) else 0,
    )
    logins.with_record(record)
    return {}


def _refresh(logins: Logins, params: Params) -> dict[str, object]:
    fresh = logins.refresh(_text(params, "refreshToken"))
    account = logins.accounts.named(fresh.user)
    return {"uid": account.id, "name": account.user, "tokenExpireTime": fresh.expires_ms}


def _logout(logins: Logins, params: Params) -> dict[str, object]:
    del params
    logins.leave()
    return {}


def _grants(logins: Logins, params: Params) -> dict[str, object]:
    del params
    return {"grantInfos": logins.organisations()}


def _switch(logins: Logins, params: Params) -> dict[str, object]:
    logins.choose(_text(params, "orgId"))
    return {}


def _profile_url(logins: Logins, params: Params) -> dict[str, object]:
    del params
    return {"url": logins.new_profile_url()}


def _stop_polling(logins: Logins, params: Params) -> dict[str, object]:
    del params
    logins.is_polling = False
    return {}


_HANDLERS: dict[str, Handler] = {
    "login/generateUrl": _generate_url,
    "login/auth_callback": _callback,
    "auth/login": _login,
    "auth/device_login": _device_login,
    "auth/refreshToken": _refresh,
    "auth/logout": _logout,
    "auth/grantInfos": _grants,
    "auth/switchAccount": _switch,
    "auth/profile/getUrl": _profile_url,
    "auth/stop_polling": _stop_polling,
}
METHODS = frozenset(_HANDLERS)
_OTHER_NAMES = {"loginUrl": "url", "grantInfos": "data", "success": "isSuccess"}


def call(logins: Logins, method: str, params: Params, spelling: str) -> dict[str, object]:
    """Call a method of `METHODS`; a refusal is a result too."""
    # quirk: one method of them all spells the field out.
    is_long = (method == "auth/refreshToken") != (spelling == "other")
    words = "errorMessage" if is_long else "errorMsg"
    answer: dict[str, object] = {"success": True, "errorCode": "", words: ""}
    try:
        answer |= _HANDLERS[method](logins, params)
    except RefusedError as refused:
        answer = {"success": False, "errorCode": refused.code, words: refused.words}
    if spelling == "other":
        answer = {_OTHER_NAMES.get(name, name): value for name, value in answer.items()}
    return answer


def _text(params: Params, name: str) -> str:
    value = params.get(name)
    return value if isinstance(value, str) else ""
