"""The binary's own HTTP port."""

from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit

from tests.demo.client import Demo, running
from tests.demo.test_authcalls import call
from tests.demo.test_logins import REAL, status
from tests.demo.web import Page, visit


def local(demo: Demo, path: str, **query: str) -> Page:
    """Open a local page."""
    port = demo.note("listening")["httpPort"]
    return visit(f"http://127.0.0.1:{port}{path}?{urlencode(query)}")


def state_of(demo: Demo) -> str:
    """Begin a try and return its state."""
    url = call(demo, "login/generateUrl")["loginUrl"]
    return parse_qs(urlsplit(url).query)["state"][0]


def test_start_leads_to_a_fresh_login_page(tmp_path: Path) -> None:
    """Each time to another one."""
    with running(tmp_path, login=REAL) as demo:
        one, other = local(demo, "/auth/start"), local(demo, "/auth/start")

    assert (one.path, other.path) == ("/lingma/login", "/lingma/login")
    assert one.url != other.url


def test_a_callback_that_nobody_asked_for(tmp_path: Path) -> None:
    """Neither an unknown state nor codes that were never given out log in."""
    with running(tmp_path, login=REAL) as demo:
        strange = local(demo, "/auth/callback", state="2-x", auth="a", token="t")
        known = local(demo, "/auth/callback", state=state_of(demo), auth="", token="")
        after = status(demo)["status"]

    assert (strange.status, known.status, after) == (400, 400, 1)


def test_an_organisation_nobody_may_choose(tmp_path: Path) -> None:
    """Without a login there is nothing to choose from."""
    with running(tmp_path, login=REAL) as demo:
        page = local(demo, "/auth/loginWithOrganization", organizationId="org-red")

        assert (page.status, status(demo)["status"]) == (400, 1)


def test_the_profile_wants_its_link(demo: Demo) -> None:
    """The link is good until the next one."""
    old = call(demo, "auth/profile/getUrl")["url"]
    new = call(demo, "auth/profile/getUrl")["url"]

    assert urlsplit(new).path == "/profile"
    assert len(parse_qs(urlsplit(new).query)["state"][0]) == 32
    assert [visit(old).status, visit(new).status, local(demo, "/profile").status] == [403, 200, 403]
    assert "demo" in visit(new).text
