"""The methods around the login."""

import base64
import hashlib
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.demo.client import Demo, running
from tests.demo.test_logins import REAL, TOKEN, calls, status

Json = dict[str, Any]
KEY = {"loginType": "aksks", "accessKey": "demo-access-key", "secretKey": "demo-secret-key"}
TEAM = {"loginType": "personalToken", "personalToken": "team-personal-token"}


def call(demo: Demo, method: str, **params: object) -> Json:
    """Call once."""
    return calls(demo, (method, params))[0]


def test_a_login_page_is_named(tmp_path: Path) -> None:
    """Every field, and the query that the page needs."""
    with running(tmp_path, login=REAL) as demo:
        said = call(demo, "login/generateUrl")
        listening = demo.note("listening")

    url = urlsplit(said.pop("loginUrl"))
    query = {name: values[0] for name, values in parse_qs(url.query).items()}
    digest = hashlib.sha256(said["verifier"].encode()).digest()
    assert url.netloc == f"127.0.0.1:{listening['sitePort']}"
    assert query == {
        "nonce": said["nonce"],
        "port": str(listening["httpPort"]),
        "state": query["state"],
        "challenge": said["challenge"],
        "challenge_method": "S256",
        "machine_id": (tmp_path / "cache/id").read_text(),
    }
    assert query["state"].startswith("2-")
    assert said["challenge"] == base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
    assert (said["success"], said["errorCode"], said["errorMsg"]) == (True, "", "")


@pytest.mark.parametrize("params", [TOKEN, KEY], ids=["token", "key"])
def test_ways_in_without_a_page(tmp_path: Path, params: Json) -> None:
    """Personal token and access key log in at once; wrong ones are told."""
    with running(tmp_path, login=REAL) as demo:
        for name in params.keys() - {"loginType"}:
            said = call(demo, "auth/login", **params | {name: "wrong-one"})
            assert (said["success"], status(demo)["status"]) == (False, 1)
            assert said["errorCode"]
            assert said["errorMsg"]

        assert call(demo, "auth/login", **params)["success"] is True
        assert status(demo)["status"] == 2


def test_a_refusal_repeats_the_token(tmp_path: Path) -> None:
    """As services do: nobody may show these words as they are."""
    with running(tmp_path, login=REAL) as demo:
        assert (
            "canary" in call(demo, "auth/login", **TOKEN | {"personalToken": "canary"})["errorMsg"]
        )


def test_an_organisation_may_have_to_be_chosen(tmp_path: Path) -> None:
    """Until then the status is 1; a wrong one is refused."""
    with running(tmp_path, login=REAL) as demo:
        assert call(demo, "auth/grantInfos")["grantInfos"] == []
        assert call(demo, "auth/login", **TEAM)["success"] is True
        assert status(demo)["status"] == 1
        offered = call(demo, "auth/grantInfos")["grantInfos"]
        assert call(demo, "auth/switchAccount", orgId="org-green")["success"] is False
        assert call(demo, "auth/switchAccount", orgId="org-blue")["success"] is True
        said = status(demo)

    assert offered == [
        {"orgId": "org-red", "orgName": "Org Red"},
        {"orgId": "org-blue", "orgName": "Org Blue"},
    ]
    assert (said["status"], said["orgId"], said["orgName"]) == (2, "org-blue", "Org Blue")


def test_an_organisation_may_be_named_and_changed(tmp_path: Path) -> None:
    """At once with the token; later another one, with the same login."""
    with running(tmp_path, login=REAL) as demo:
        assert call(demo, "auth/login", **TEAM, orgId="org-green")["success"] is False
        assert call(demo, "auth/login", **TEAM, orgId="org-red")["success"] is True
        before = status(demo)
        call(demo, "auth/switchAccount", orgId="org-blue")
        after = status(demo)

    assert (before["orgId"], after["orgId"]) == ("org-red", "org-blue")
    assert before["token"] == after["token"]


def test_a_refresh_token_is_good_once(tmp_path: Path) -> None:
    """The answer has a field of its own for words."""
    with running(tmp_path) as demo:
        old = status(demo)["refreshToken"]
        first = call(demo, "auth/refreshToken", refreshToken=old)
        second = call(demo, "auth/refreshToken", refreshToken=old)

    assert (first["success"], first["uid"], first["name"]) == (True, "demo-user", "demo")
    assert first["tokenExpireTime"] > 0
    assert (second["success"], "errorMsg" in second) == (False, False)
    assert second["errorMessage"]


def test_tokens_of_another_login_may_log_in(tmp_path: Path) -> None:
    """Only such as belong together."""
    with running(tmp_path / "a") as demo:
        said = status(demo)
    params = {
        "token": said["token"],
        "refreshToken": said["refreshToken"],
        "expireTime": said["expireTime"],
        "userId": said["id"],
        "username": said["name"],
    }
    with running(tmp_path / "b", login=REAL) as demo:
        assert call(demo, "auth/device_login", **params | {"token": "pt-x"})["success"] is False
        assert call(demo, "auth/device_login", **params)["success"] is True
        assert status(demo)["token"] == said["token"]


def test_a_dedicated_service_needs_its_address(tmp_path: Path) -> None:
    """Without `--endpoint` there is no page."""
    dedicated = {"loginDedicatedType": "dedicated"}
    flags = ("--socketPort=0", "--httpPort=0", "--endpoint=https://own.example")
    with running(tmp_path / "a", login=REAL) as demo:
        assert call(demo, "login/generateUrl", **dedicated)["success"] is False
    with running(tmp_path / "b", *flags, login=REAL) as demo:
        assert call(demo, "login/generateUrl", **dedicated)["success"] is True


@pytest.mark.parametrize("kind", ["fail", "evil"])
def test_a_login_page_may_be_bad(tmp_path: Path, kind: str) -> None:
    """There is none, or it is somebody else's."""
    with running(tmp_path, login=f"{REAL} generate={kind}") as demo:
        said = call(demo, "login/generateUrl")

    assert said["success"] is (kind == "evil")
    assert said.get("loginUrl", "").startswith("https://login.evil.invalid/") is (kind == "evil")


def test_the_other_spelling(tmp_path: Path) -> None:
    """Names differ between builds, in answers and refusals."""
    with running(tmp_path, login=f"{REAL} spelling=other") as demo:
        page = call(demo, "login/generateUrl")
        refused = call(demo, "auth/login", loginType="odd")
        offered = call(demo, "auth/grantInfos")

    assert page["url"].startswith("http://127.0.0.1:")
    assert (refused["isSuccess"], bool(refused["errorMessage"])) == (False, True)
    assert offered["data"] == []
    assert {"success", "errorMsg", "loginUrl"}.isdisjoint({*page, *refused, *offered})


def test_methods_may_be_missing(tmp_path: Path) -> None:
    """Those that are named, and no others."""
    with running(tmp_path, login="lacks=auth/logout,auth/status") as demo:
        with pytest.raises(KeyError, match="result"):
            call(demo, "auth/logout")
        with pytest.raises(KeyError, match="result"):
            call(demo, "auth/status")
        assert call(demo, "auth/grantInfos")["success"] is True


def test_whoever_is_not_on_the_list(tmp_path: Path) -> None:
    """The status tells who may not use the service."""
    account = "user=guest token=guest-token whitelist=1"
    with running(tmp_path, login=REAL, account=account) as demo:
        call(demo, "auth/login", loginType="personalToken", personalToken="guest-token")
        said = status(demo)

    assert (said["status"], said["name"], said["whitelist"]) == (2, "guest", 1)
