"""The login site, page by page, up to the login."""

import hashlib
import socket
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.demo.client import Demo, running
from tests.demo.test_authcalls import call
from tests.demo.test_logins import REAL, status
from tests.demo.web import Page, origin, visit

RIGHT = {"loginId": "demo", "password": "demo-password"}
DONE = {
    "captcha": {"captcha": "slid"},
    "sms": {"smsCode": "123456"},
    "consent": {"consent": "on"},
}


def begin(demo: Demo) -> Page:
    """Ask for a login page and open it."""
    return visit(call(demo, "login/generateUrl")["loginUrl"])


def help_out(page: Page, **fields: str) -> None:
    """Be the person who does the step elsewhere."""
    assert visit(f"{origin(page.url)}/demo/person", **fields or {"x": ""}).status == 200


def polled(page: Page) -> str:
    """Ask what the page's script asks."""
    nonce = parse_qs(urlsplit(page.url).query)["nonce"][0]
    return visit(f"{origin(page.url)}/lingma/poll?nonce={nonce}").text


def test_the_form_ends_at_the_callback(tmp_path: Path) -> None:
    """Name and password, a redirect to the local port, and one is logged in."""
    with running(tmp_path, login=REAL) as demo:
        end = begin(demo).submit(**RIGHT)
        query = parse_qs(urlsplit(end.url).query)

        assert origin(end.url) == f"http://127.0.0.1:{demo.note('listening')['httpPort']}"
        assert (end.path, end.status) == ("/auth/callback", 200)
        assert set(query) == {"state", "auth", "token"}
        assert status(demo)["status"] == 2
        assert demo.note("login")["via"] == "page"


@pytest.mark.parametrize(
    "fields", [RIGHT | {"password": "wrong"}, RIGHT | {"loginId": "nobody"}, {"loginId": "demo"}]
)
def test_a_wrong_password_is_told_and_may_be_tried_again(
    tmp_path: Path, fields: dict[str, str]
) -> None:
    """The form comes back with a message; the next try counts."""
    with running(tmp_path, login=REAL) as demo:
        again = begin(demo).submit(**fields)

        assert "password is incorrect" in again.text
        assert status(demo)["status"] == 1
        assert again.submit(**RIGHT).path == "/auth/callback"


def test_a_form_in_a_frame(tmp_path: Path) -> None:
    """The frame is another site; its script is told where to go, or what was wrong."""
    with running(tmp_path, login=REAL, pages="layout=iframe") as demo:
        outer = begin(demo)
        frame = visit(outer.links("src")[0])
        sent_to = frame.links("action")[0] + "&frame=1"

        assert "password" not in outer.text
        assert (origin(frame.url), origin(outer.url)) == (
            origin(outer.url).replace("127.0.0.1", "localhost"),
            origin(outer.url),
        )
        assert "incorrect" in visit(sent_to, **RIGHT | {"password": "x"}).text
        answer: Any = visit(sent_to, **RIGHT).text
        assert visit(answer.split('"')[3]).path == "/auth/callback"
        assert status(demo)["status"] == 2


@pytest.mark.parametrize("steps", ["captcha", "sms", "consent", "captcha,sms,consent"])
def test_steps_after_the_password(tmp_path: Path, steps: str) -> None:
    """Each wants its own answer, and nothing else will do."""
    with running(tmp_path, login=REAL, pages=f"then={steps}") as demo:
        page = begin(demo).submit(**RIGHT)
        for name in steps.split(","):
            page = page.submit(other="thing")
            assert (page.path, "Please try again" in page.text) == ("/lingma/step", True)
            assert status(demo)["status"] == 1
            page = page.submit(**DONE[name])

        assert page.path == "/auth/callback"
        assert status(demo)["status"] == 2


@pytest.mark.parametrize("step", ["captcha", "sms", "consent"])
def test_a_person_elsewhere_does_a_step(tmp_path: Path, step: str) -> None:
    """The page waits, hears of it, and goes on when it is loaded again."""
    with running(tmp_path, login=REAL, pages=f"then={step}") as demo:
        page = begin(demo).submit(**RIGHT)
        assert polled(page) == "wait"
        help_out(page)

        assert polled(page) == "go"
        assert visit(page.url).path == "/auth/callback"
        assert status(demo)["status"] == 2


@pytest.mark.parametrize("layout", ["qr", "tabs"])
def test_a_code_is_scanned_elsewhere(tmp_path: Path, layout: str) -> None:
    """By whoever says so."""
    with running(tmp_path, login=REAL, pages=f"layout={layout}") as demo:
        page = begin(demo)
        assert ('type="password"' in page.text) is (layout == "tabs")
        help_out(page, user="blocked")

        assert polled(page) == "go"
        assert visit(page.url).path == "/auth/callback"
        assert status(demo)["name"] == "blocked"


def test_organisations_are_chosen_on_the_local_port(tmp_path: Path) -> None:
    """Before that there is no login."""
    team = {"loginId": "team", "password": "team-password"}
    with running(tmp_path, login=REAL) as demo:
        chooser = begin(demo).submit(**team)
        assert status(demo)["status"] == 1
        link = next(link for link in chooser.links("href") if "org-blue" in link)

        assert urlsplit(link).path == "/auth/loginWithOrganization"
        assert visit(link).status == 200
        assert (status(demo)["status"], status(demo)["orgId"]) == (2, "org-blue")


def test_a_nonce_is_good_once(tmp_path: Path) -> None:
    """Who comes back with it is ignored, and changes nothing."""
    with running(tmp_path, login=REAL) as demo:
        page = begin(demo)
        end = page.submit(**RIGHT)
        call(demo, "auth/logout")

        assert visit(end.url).status == 200
        assert status(demo)["status"] == 1
        assert "Invalid login nonce or consumed, ignore" in demo.log()
        assert visit(page.url).status == 400


def test_the_end_may_be_handed_in(tmp_path: Path) -> None:
    """When the browser cannot reach the local port: its address has all that is needed."""
    with running(tmp_path, login=f"{REAL}", pages="then=consent") as demo:
        said = call(demo, "login/generateUrl")
        page = visit(said["loginUrl"]).submit(**RIGHT)
        query = _codes(page)

        wrong = call(demo, "login/auth_callback", nonce="x", auth="a", tokenString="t")
        right = call(demo, "login/auth_callback", nonce=said["nonce"], **query)

        assert (wrong["success"], right["success"]) == (False, True)
        assert status(demo)["status"] == 2


def _codes(page: Page) -> dict[str, str]:
    """Do the last step without following it, and read where it leads."""
    nonce = parse_qs(urlsplit(page.url).query)["nonce"][0]
    port = urlsplit(page.url).port
    help_out(page)
    head = f"GET /lingma/step?nonce={nonce} HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port), 5) as client:
        client.sendall(head.encode())
        answer = client.makefile("rb").read().decode()
    location = answer.partition("Location: ")[2].split("\r\n")[0]
    query = parse_qs(urlsplit(location).query)
    return {"auth": query["auth"][0], "tokenString": query["token"][0]}


@pytest.mark.parametrize(("kind", "page_status"), [("refused", 400), ("lost", 200)])
def test_a_callback_may_come_to_nothing(tmp_path: Path, kind: str, page_status: int) -> None:
    """It is refused, or taken and forgotten."""
    with running(tmp_path, login=f"{REAL} callback={kind}") as demo:
        assert begin(demo).submit(**RIGHT).status == page_status
        assert status(demo)["status"] == 1


@pytest.mark.parametrize(("stop", "expected"), [(False, 2), (True, 1)])
def test_the_process_may_find_out_by_itself(tmp_path: Path, stop: bool, expected: int) -> None:
    """Without a callback, as long as it looks."""
    with running(tmp_path, login=REAL, pages="grant=poll") as demo:
        page = begin(demo)
        if stop:
            call(demo, "auth/stop_polling")
        end = page.submit(**RIGHT)

        assert (end.path, end.status) == ("/lingma/step", 200)
        assert status(demo)["status"] == expected


def test_a_broken_site(tmp_path: Path) -> None:
    """Every page is an error."""
    with running(tmp_path, login=REAL, pages="layout=error") as demo:
        assert begin(demo).status == 502


def test_a_dead_site(tmp_path: Path) -> None:
    """It takes connections and says nothing; the hand of a person is no page of it."""
    with running(tmp_path, login=REAL, pages="layout=dead") as demo:
        url = call(demo, "login/generateUrl")["loginUrl"]
        parts = urlsplit(url)
        with socket.create_connection(("127.0.0.1", parts.port), 5) as client:
            client.sendall(f"GET {parts.path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            help_out(Page(url=url, status=0, text=""))
            client.setblocking(False)
            with pytest.raises(BlockingIOError):
                client.recv(1)


def test_pages_of_no_try(tmp_path: Path) -> None:
    """Without a nonce there is nothing to see."""
    with running(tmp_path, login=REAL) as demo:
        site = f"http://127.0.0.1:{demo.note('listening')['sitePort']}"

        assert visit(f"{site}/lingma/login").status == 400
        assert visit(f"{site}/lingma/login?nonce=x").status == 400


def test_a_password_that_stands_nowhere(tmp_path: Path) -> None:
    """An account whose password only its hash is told of."""
    digest = hashlib.sha256(b"canary").hexdigest()
    account = f"user=me password=sha256:{digest}"
    with running(tmp_path, login=REAL, account=account) as demo:
        assert begin(demo).submit(loginId="me", password="canary").path == "/auth/callback"
        assert status(demo)["name"] == "me"
