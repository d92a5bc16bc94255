"""The pages of the binary's own HTTP port: the callback, the chooser and the profile.

Source: Lingma local protocol, sections 4.2, 5 and 6.
"""

from urllib.parse import urlencode

from lingma_cli.demo import pages
from lingma_cli.demo.httpdoor import Request, Response, not_found
from lingma_cli.demo.logins import Logins, RefusedError


def answer(logins: Logins, request: Request) -> Response:
    """Answer one request; a WebSocket handshake gets 404 as well."""
    try:
        match request.path:
            case "/auth/start":
                one = logins.new_try(is_dedicated=False)
                return Response(location=logins.url_of(one))
            case "/auth/callback":
                return _callback(logins, request)
            case "/auth/loginWithOrganization":
                logins.choose(request.fields.get("organizationId", ""))
                return Response(body=pages.notice("You are logged in", "Close this page."))
            case "/profile":
                return _profile(logins, request)
            case _:
                return not_found()
    except RefusedError as refused:
        return Response(status=400, body=pages.notice("Login failed", refused.words))


def _callback(logins: Logins, request: Request) -> Response:
    fields = request.fields
    one = logins.try_of(fields.get("state", ""))
    came = logins.redeem(one, fields.get("auth", ""), fields.get("token", ""))
    if came != "choose":
        return Response(body=pages.notice("You are logged in", "Close this page."))
    choices = [
        (
            "/auth/loginWithOrganization?" + urlencode({"organizationId": choice["orgId"]}),
            choice["orgName"],
        )
        for choice in logins.organisations()
    ]
    return Response(body=pages.chooser(choices))


def _profile(logins: Logins, request: Request) -> Response:
    state = logins.profile_state
    if not state or request.fields.get("state") != state:
        return Response(status=403, body=pages.notice("Forbidden", "This link is not valid."))
    record = logins.record
    return Response(body=pages.notice("Profile", record.user if record else "Not logged in"))
