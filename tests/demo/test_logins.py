"""The login of a process: how it changes and ends."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from tests.demo.client import Client, Demo, running, talking

Json = dict[str, Any]
REAL = "state=file"
TOKEN = {"loginType": "personalToken", "personalToken": "demo-personal-token"}


def calls(demo: Demo, *wanted: tuple[str, Json]) -> list[Json]:
    """Call one method after another on one connection and return the results."""

    async def main() -> list[Json]:
        async with talking(demo) as client:
            return [(await client.call(name, params))["result"] for name, params in wanted]

    return asyncio.run(main())


def status(demo: Demo) -> Json:
    """Ask for the login."""
    return calls(demo, ("auth/status", {}))[0]


def asked(demo: Demo, count: int) -> list[int]:
    """Ask so many questions and return the codes of their ends."""

    async def main() -> list[int]:
        async with talking(demo) as client:
            return [
                int((await client.ask("hi", requestId=f"R{place}")).finish["statusCode"])
                for place in range(count)
            ]

    return asyncio.run(main())


def test_an_empty_home_may_need_a_login(tmp_path: Path) -> None:
    """With `state=file` nothing is there at first, and a login makes it work."""
    with running(tmp_path, login=REAL) as demo:
        assert status(demo)["status"] == 1
        assert asked(demo, 1) == [401]

        calls(demo, ("auth/login", TOKEN))

        said = status(demo)
        assert (said["status"], said["name"], said["userType"]) == (2, "demo", "personal_standard")
        assert asked(demo, 1) == [200]
        assert {path.name for path in (tmp_path / "cache").iterdir()} >= {
            *("id", "user", "quota", "config.json")
        }


def test_a_login_outlives_the_process(tmp_path: Path) -> None:
    """The record is all there is of it."""
    with running(tmp_path, login=REAL) as demo:
        calls(demo, ("auth/login", TOKEN))
        before = status(demo)
    with running(tmp_path, login=REAL) as demo:
        assert status(demo)["token"] == before["token"] != ""


def test_a_login_does_not_move_without_its_id(tmp_path: Path) -> None:
    """`cache/user` alone is worth nothing; with `cache/id` it is a login."""
    with running(tmp_path / "a", login=REAL) as demo:
        calls(demo, ("auth/login", TOKEN))
    with running(tmp_path / "b", login=f"{REAL} machine=other") as demo:
        for name, expected in (("user", 1), ("id", 2)):
            text = (tmp_path / "a/cache" / name).read_text()
            (tmp_path / "b/cache" / name).write_text(text)
            assert status(demo)["status"] == expected


def test_a_logout_leaves_nothing(tmp_path: Path) -> None:
    """The record goes, and a copy of it is good for nothing."""
    with running(tmp_path, login=REAL) as demo:
        calls(demo, ("auth/login", TOKEN))
        record = (tmp_path / "cache/user").read_text()

        assert calls(demo, ("auth/logout", {}))[0]["success"] is True
        assert not (tmp_path / "cache/user").exists()
        (tmp_path / "cache/user").write_text(record)
        assert status(demo)["status"] == 1


@pytest.mark.parametrize(
    ("expire", "codes"), [(0, [401, 401]), (2, [200, 200, 401, 401])], ids=["at once", "later"]
)
def test_a_login_may_expire(tmp_path: Path, expire: int, codes: list[int]) -> None:
    """Asks end with 401 and the status is 1, though the file is there."""
    with running(tmp_path, login=f"expire={expire}") as demo:
        assert status(demo)["status"] == 2
        assert asked(demo, len(codes)) == codes
        assert status(demo)["status"] == 1
        assert (tmp_path / "cache/user").read_text()
        assert len(demo.notes("login-expired")) == 1


def test_a_refresh_rotates_everything(tmp_path: Path) -> None:
    """In the middle of the work: tokens, record, push."""
    with running(tmp_path, login="refresh=2") as demo:
        first = (tmp_path / "cache/user").read_text()
        assert asked(demo, 1) == [200]
        assert (tmp_path / "cache/user").read_text() == first

        async def main() -> Json:
            async with talking(demo) as client:
                stream = await client.ask("hi")
                return dict(stream.pushes("auth/syncTokenUpdate")[0])

        pushed = asyncio.run(main())
        assert (tmp_path / "cache/user").read_text() != first
        assert (pushed["token"], pushed["status"]) == (status(demo)["token"], 2)


def test_two_copies_of_a_login_end_each_other(tmp_path: Path) -> None:
    """Whoever refreshes first has it; the other one is out."""
    shared = f'cloud="{tmp_path / "cloud"}"'
    with running(tmp_path / "a", login=f"{shared} refresh=1") as one:
        for name in ("id", "user"):
            (tmp_path / "b/cache").mkdir(parents=True, exist_ok=True)
            text = (tmp_path / "a/cache" / name).read_text()
            (tmp_path / "b/cache" / name).write_text(text)
        with running(tmp_path / "b", login=f"{shared} refresh=1") as other:
            assert (status(one)["status"], status(other)["status"]) == (2, 2)
            assert asked(one, 1) == [200]
            assert asked(other, 1) == [401]
            assert (status(one)["status"], status(other)["status"]) == (2, 1)


def test_a_new_login_may_settle_slowly(tmp_path: Path) -> None:
    """Other statuses with an id come before the 2."""
    with running(tmp_path, login=f"{REAL} unsettled=2") as demo:
        calls(demo, ("auth/login", TOKEN))
        said = [status(demo) for _ in range(3)]

    assert [one["status"] for one in said] == [4, 4, 2]
    assert [one["id"] for one in said] == ["demo-user"] * 3


@pytest.mark.parametrize(("reports", "count"), [("on", 2), ("off", 0)])
def test_changes_are_reported_to_everybody(tmp_path: Path, reports: str, count: int) -> None:
    """Each connection hears of a login and a logout, unless it is switched off."""

    async def main(demo: Demo) -> list[Json]:
        async with talking(demo) as actor, talking(demo) as listener:
            await actor.call("auth/login", TOKEN)
            await actor.call("auth/logout")
            return await _heard(listener)

    with running(tmp_path, login=f"{REAL} reports={reports}") as demo:
        heard = asyncio.run(main(demo))

    assert [one["method"] for one in heard] == ["auth/report"] * count
    assert [one["params"]["status"] for one in heard] == [2, 1][:count]


async def _heard(client: Client) -> list[Json]:
    await client.send({"jsonrpc": "2.0", "id": "last", "method": "ping", "params": {}})
    messages = await client.until(lambda one: one.get("id") == "last" and "method" not in one)
    return messages[:-1]


def test_no_token_is_in_journal_or_log(tmp_path: Path) -> None:
    """Whatever was given or made."""
    with running(tmp_path, login=f"{REAL} refresh=1") as demo:
        calls(demo, ("auth/login", TOKEN))
        asked(demo, 1)
        said = status(demo)
        calls(demo, ("auth/login", TOKEN | {"personalToken": "canary-token"}))
        written = demo.log() + json.dumps((tmp_path / "logs/demo.jsonl").read_text())

    given = (TOKEN["personalToken"], "canary-token")
    assert [one for one in (said["token"], said["refreshToken"], *given) if one in written] == []
