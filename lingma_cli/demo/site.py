"""The login site: the simulated web login of the vendor, on a port of its own.

Its pages end where the real ones do, at the local callback, or leave it to the process to find out.
`POST /demo/person` is the hand of a person who does the next step: scans, slides, types, agrees.
"""

import json
from urllib.parse import urlencode

from lingma_cli.demo import pages
from lingma_cli.demo.accounts import DEMO
from lingma_cli.demo.httpdoor import Request, Response, not_found
from lingma_cli.demo.logins import Logins, RefusedError, Try
from lingma_cli.demo.switches import Pages

_WRONG_PASSWORD = "The account name or the password is incorrect"  # noqa: S105 - a sentence


class Site:
    """The site; it knows the tries of one process only."""

    def __init__(self, logins: Logins, wish: Pages) -> None:
        self._logins = logins
        self._wish = wish

    def answer(self, request: Request) -> Response | None:
        """Answer one request, or never."""
        if request.path == "/demo/person":
            return self._lend_a_hand(request)
        if self._wish.layout == "dead":
            return None
        if self._wish.layout == "error":
            return Response(status=502, body=pages.notice("502 Bad Gateway", "Try again later."))
        one = self._logins.try_of(request.fields.get("nonce", ""))
        if one is None or one.is_used:
            return Response(status=400, body=pages.notice("Expired", "This link has expired."))
        return self._show(one, request)

    def _show(self, one: Try, request: Request) -> Response:
        match request.path, request.method:
            case "/lingma/login", "GET":
                return self._begin(one)
            case "/lingma/form", "GET":
                return Response(body=pages.frame(one.nonce))
            case "/lingma/signin", "POST":
                return self._sign_in(one, request)
            case "/lingma/step", "GET":
                return self._go_on(one)
            case "/lingma/step", "POST":
                return self._do_step(one, request)
            case "/lingma/poll", "GET":
                return Response(body=self._poll(one), kind="text/plain")
            case _:
                return not_found()

    def _begin(self, one: Try) -> Response:
        if one.account is not None:
            return self._go_on(one)
        match self._wish.layout:
            case "qr":
                return Response(body=pages.step("qr", one.nonce, ""))
            case "tabs":
                return Response(body=pages.tabs(one.nonce))
            case "iframe":
                # Another name for the same port makes it another site to the browser.
                query = urlencode({"nonce": one.nonce})
                url = f"http://localhost:{self._logins.site_port}/lingma/form?{query}"
                return Response(body=pages.framed(url))
            case _:
                return Response(body=pages.form(one.nonce, ""))

    def _sign_in(self, one: Try, request: Request) -> Response:
        fields = request.fields
        user, password = fields.get("loginId", ""), fields.get("password", "")
        account = self._logins.accounts.by_password(user, password)
        one.account = account or one.account
        if "frame" in fields:
            own = f"http://127.0.0.1:{self._logins.site_port}/lingma/step"
            goes_to = f"{own}?{urlencode({'nonce': one.nonce})}"
            said = {"next": goes_to} if account else {"words": _WRONG_PASSWORD}
            return Response(body=json.dumps(said), kind="application/json")
        if account is None:
            return Response(body=pages.form(one.nonce, _WRONG_PASSWORD))
        return Response(location=f"/lingma/step?{urlencode({'nonce': one.nonce})}")

    def _go_on(self, one: Try) -> Response:
        if one.account is None:
            return Response(location=f"/lingma/login?{urlencode({'nonce': one.nonce})}")
        if one.steps:
            return Response(body=pages.step(one.steps[0], one.nonce, ""))
        self._logins.grant(one)
        if self._wish.grant == "poll":
            self._find_out(one)
            return Response(body=pages.notice("You are signed in", "Return to your editor."))
        query = {"state": one.state, "auth": one.auth, "token": one.token}
        callback = f"http://127.0.0.1:{self._logins.http_port}/auth/callback?{urlencode(query)}"
        return Response(location=callback)

    def _find_out(self, one: Try) -> None:
        """Let the process see the grant, unless it was told to look no more."""
        if self._logins.is_polling:
            try:
                self._logins.redeem(one, one.auth, one.token)
            except RefusedError:
                return

    def _do_step(self, one: Try, request: Request) -> Response:
        fields = request.fields
        done = {
            "captcha": fields.get("captcha") == "slid",
            "sms": fields.get("smsCode") == pages.SMS_CODE,
            "consent": fields.get("consent") == "on",
        }
        if one.account is not None and one.steps:
            if not done[one.steps[0]]:
                return Response(body=pages.step(one.steps[0], one.nonce, "Please try again"))
            one.steps.pop(0)
        return Response(location=f"/lingma/step?{urlencode({'nonce': one.nonce})}")

    def _poll(self, one: Try) -> str:
        """Tell a page that waits whether a person has done its step elsewhere."""
        if one.helped:
            one.helped = False
            return "go"
        return "wait"

    def _lend_a_hand(self, request: Request) -> Response:
        if request.method != "POST":
            return not_found()
        user = request.fields.get("user", DEMO.user)
        for one in self._logins.tries:
            if one.account is None and self._wish.layout in {"qr", "tabs"}:
                one.account, one.helped = self._logins.accounts.named(user), True
            elif one.account is not None and one.steps:
                one.steps.pop(0)
                one.helped = True
        return Response(body="done\n", kind="text/plain")
