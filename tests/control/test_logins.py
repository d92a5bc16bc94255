"""What is done about the logins of a pool."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from lingma_cli.auth.bundles.bundle import Bundle, pack
from lingma_cli.auth.bundles.folder import lay, take
from lingma_cli.auth.keeping import LoginKeeper, RunVault
from lingma_cli.control.logins import Logins, Post
from lingma_cli.control.registry import EngineState, Registry, Slot
from lingma_cli.core.login import LoginState
from lingma_cli.errors import ErrorKind, LingmaError
from tests.support.scripted_engine import ScriptedEngine
from tests.support.serving import wait_until
from tests.support.virtual_time import now, run, settle

IN, OUT, UNKNOWN = LoginState.IN, LoginState.OUT, LoginState.UNKNOWN
READY, STARTING = EngineState.READY, EngineState.STARTING
OLD = Bundle(files={"id": b"i", "user": b"old"})
NEW = Bundle(files={"id": b"i", "user": b"new"})
REFUSED = LingmaError(ErrorKind.LOGIN_REQUIRED, "the page refuses")


@dataclass
class Scene:
    """A pool whose engines say of their logins what the test wants."""

    posts: Sequence[Post]
    max_retry: int = 2
    troubles: list[LingmaError] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.registry = Registry([post.slot for post in self.posts])
        self.logins = Logins(
            self.registry,
            self.posts,
            max_retry=self.max_retry,
            on_trouble=self.troubles.append,
        )

    def say(self, login: LoginState, post: Post | None = None) -> None:
        """Let an engine be ready with this login."""
        post = post or self.posts[0]
        assert isinstance(post.slot.engine, ScriptedEngine)
        post.slot.engine.login = login
        self.registry.move(post.slot, READY)

    def play(self, main: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run `main` beside what sees to the logins, in virtual time."""
        run(self._beside(main))

    async def _beside(self, main: Callable[[], Coroutine[Any, Any, None]]) -> None:
        seeing = asyncio.ensure_future(self.logins.run())
        await settle()
        await main()
        await settle()
        seeing.cancel()
        await asyncio.wait([seeing])
        assert seeing.cancelled()


class Door:
    """A login by password that notes when it is tried.

    Attributes:
        opens: which try succeeds, the first is 1; 0 for none.
    """

    def __init__(self, opens: int = 0, error: Exception = REFUSED) -> None:
        self.opens = opens
        self.error = error
        self.times: list[float] = []
        self.post = _post("inst-0", account="work", log_in=self)

    async def __call__(self) -> None:
        self.times.append(now())
        await asyncio.sleep(1)
        if len(self.times) != self.opens:
            raise self.error
        engine = self.post.slot.engine
        assert isinstance(engine, ScriptedEngine)
        engine.login = IN


def _post(name: str, *, account: str = "", **more: Any) -> Post:
    hint = f"run `lingma login --account {account}`" if account else ""
    slot = Slot(engine=ScriptedEngine(name=name), account=account, login_hint=hint)
    return Post(slot=slot, read=lambda: None, **more)


def test_a_person_is_called_once() -> None:
    """With the command to run; not again when the engine comes back as it was."""
    scene = Scene([_post("inst-0", account="work"), _post("inst-1", account="play")])

    async def main() -> None:
        scene.say(OUT)
        scene.say(IN, scene.posts[1])
        await settle()
        scene.registry.move(scene.posts[0].slot, STARTING)
        await settle()
        scene.say(OUT)

    scene.play(main)

    (trouble,) = scene.troubles
    assert trouble.kind is ErrorKind.LOGIN_REQUIRED
    assert trouble.message == "the account `work` is not logged in"
    assert trouble.hint == "run `lingma login --account work`"


def test_a_person_is_called_again_for_another_loss() -> None:
    """In between it was logged in."""
    scene = Scene([_post("inst-0", account="work")])

    async def main() -> None:
        for login in (OUT, IN, OUT):
            scene.say(login)
            await settle()

    scene.play(main)

    assert len(scene.troubles) == 2


def test_a_doubt_calls_nobody() -> None:
    """An ask will tell."""
    scene = Scene([_post("inst-0", account="work")])

    async def main() -> None:
        scene.say(UNKNOWN)

    scene.play(main)

    assert scene.troubles == []


def test_a_password_is_tried_twice_in_ten_minutes() -> None:
    """After five seconds once more, then long not; a person hears of that at once."""
    door = Door()
    scene = Scene([door.post], max_retry=3)
    told: list[int] = []

    async def main() -> None:
        scene.say(OUT)
        await asyncio.sleep(100)
        told.append(len(scene.troubles))
        await asyncio.sleep(3000)

    scene.play(main)

    assert door.times == [0.0, 6.0, 600.0, 621.0]
    assert told == [1]
    assert [error.message for error in scene.troubles] == [
        "the account `work` is not logged in: the page refuses"
    ]


def test_a_password_that_works_is_enough() -> None:
    """No more tries, no trouble, and the tries count from nothing again."""
    door = Door(opens=2)
    scene = Scene([door.post])
    seen: list[tuple[str, int]] = []

    async def main() -> None:
        scene.say(OUT)
        await asyncio.sleep(0.5)
        seen.append((scene.logins.views()[0].state, scene.logins.views()[0].tries))
        await asyncio.sleep(20)
        seen.append((scene.logins.views()[0].state, scene.logins.views()[0].tries))

    scene.play(main)

    assert door.times == [0.0, 6.0]
    assert seen == [("logging_in", 1), ("in", 0)]
    assert (scene.troubles, scene.logins.views()[0].method) == ([], "password")


def test_the_window_outlives_a_success() -> None:
    """A login that is lost at once is not got back over and over."""
    door = Door(opens=1)
    scene = Scene([door.post])

    async def main() -> None:
        for _ in range(4):
            scene.say(OUT)
            await asyncio.sleep(10)
            door.opens = len(door.times) + 1
        await asyncio.sleep(500)

    scene.play(main)

    assert len(door.times) == 2


def test_an_engine_that_goes_ends_the_tries() -> None:
    """Its next life begins with what the vault has."""
    door = Door()
    scene = Scene([door.post])

    async def main() -> None:
        scene.say(OUT)
        await asyncio.sleep(2)
        scene.registry.move(door.post.slot, STARTING)
        await asyncio.sleep(700)

    scene.play(main)

    assert door.times == [0.0]


def test_a_new_life_goes_on_with_the_tries() -> None:
    """Even if a person has been told; not more often than the account allows."""
    door = Door()
    scene = Scene([door.post], max_retry=2)

    async def main() -> None:
        scene.say(OUT)
        await asyncio.sleep(20)
        scene.registry.move(door.post.slot, STARTING)
        await asyncio.sleep(20)
        scene.say(OUT)
        await asyncio.sleep(3000)

    scene.play(main)

    assert door.times == [0.0, 6.0, 600.0]
    assert len(scene.troubles) == 1


def test_requests_wait_for_a_login_under_way() -> None:
    """Not for one that is not, and not if another engine can serve."""
    door = Door(opens=1)
    scene = Scene([door.post])
    waited: list[float] = []

    async def main() -> None:
        scene.say(OUT)
        await settle()
        await scene.registry.wait_ready(40)
        waited.append(now())

    scene.play(main)

    assert waited == [1.0]


def test_an_unexpected_failure_shows_no_words(caplog: pytest.LogCaptureFixture) -> None:
    """They may be what was typed; the other logins are seen to as before."""
    door = Door(error=RuntimeError("typed p4ssw0rd"))
    scene = Scene([door.post, _post("inst-1", account="play")], max_retry=0)

    async def main() -> None:
        scene.say(OUT)
        await asyncio.sleep(5)
        scene.say(OUT, scene.posts[1])

    scene.play(main)

    assert "p4ssw0rd" not in caplog.text + "".join(one.advice for one in scene.troubles)
    assert len(scene.troubles) == 2


def test_a_start_on_demand_tries_again() -> None:
    """After the person has done something about it; not sooner than the account allows."""
    door = Door()
    scene = Scene([door.post], max_retry=0)

    async def main() -> None:
        scene.say(OUT)
        await asyncio.sleep(20)
        await scene.logins.start()
        await asyncio.sleep(20)
        await scene.logins.start()
        await asyncio.sleep(20)

    scene.play(main)

    assert door.times == [0.0, 20.0]


# names


def test_finding_one() -> None:
    """By instance, by account, or the only one."""
    one, two = _post("inst-0", account="a"), _post("inst-1", account="b")
    logins = Scene([one, two]).logins

    assert logins.find(instance="inst-1") is two
    assert logins.find(account="a") is one
    assert Scene([one]).logins.find() is one
    for query, kind in (
        ({}, ErrorKind.INVALID_REQUEST),
        ({"account": "c"}, ErrorKind.NOT_FOUND),
        ({"instance": "inst-0", "account": "b"}, ErrorKind.NOT_FOUND),
    ):
        with pytest.raises(LingmaError) as caught:
            logins.find(**query)
        assert caught.value.kind is kind


# the vault


@dataclass
class Kept:
    """One engine whose login is kept in a vault."""

    work_dir: Path
    vault: RunVault = field(default_factory=RunVault)
    warnings: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        keeper = LoginKeeper(self.vault, "work", self.work_dir, warn=self.warnings.append)
        self.post = _post("inst-0", account="work", keeper=keeper)
        self.post.read = lambda: take(self.work_dir)
        self.scene = Scene([self.post])
        self.hold(OLD)

    def hold(self, bundle: Bundle) -> None:
        self.vault.put("login/work", pack(bundle))

    def play(self, main: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run in real time: vaults are asked in threads."""
        asyncio.run(self.scene._beside(main))


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    return Kept(tmp_path)


def test_a_life_is_surrounded_by_its_login(kept: Kept) -> None:
    """Laid before, away after, however the life ends."""
    laid: list[Bundle | None] = []

    async def main() -> None:
        async def live() -> None:
            async with kept.scene.logins.kept(kept.post.slot):
                laid.append(take(kept.work_dir))
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await live()
        laid.append(take(kept.work_dir))

    kept.play(main)

    assert laid == [OLD, None]


def test_an_end_during_the_laying_leaves_nothing(kept: Kept) -> None:
    """A thread cannot be stopped, but it is waited for."""

    async def main() -> None:
        async def live() -> None:
            async with kept.scene.logins.kept(kept.post.slot):
                raise AssertionError

        life = asyncio.ensure_future(live())
        await asyncio.sleep(0)
        life.cancel()
        await asyncio.wait([life])
        assert life.cancelled()

    kept.play(main)

    assert take(kept.work_dir) is None


def test_a_refreshed_login_is_taken_back(kept: Kept) -> None:
    """When the engine says that it may be another one."""

    async def main() -> None:
        async with kept.scene.logins.kept(kept.post.slot):
            kept.scene.say(IN)
            lay(NEW, kept.work_dir, replace=True)
            kept.scene.logins.suspect(kept.post.slot)
            await asyncio.to_thread(
                wait_until, lambda: kept.vault.get("login/work") == pack(NEW), what="the newer one"
            )

    kept.play(main)


def test_news_of_the_vault_start_the_engine_again(kept: Kept) -> None:
    """And nothing else does."""
    wanted: list[bool] = []

    async def main() -> None:
        async with kept.scene.logins.kept(kept.post.slot):
            kept.scene.say(OUT)
            for bundle in (OLD, NEW):
                kept.hold(bundle)
                await kept.scene.logins.start()
                wanted.append(kept.post.slot.again.is_set())

    kept.play(main)

    assert wanted == [False, True]


def test_a_login_is_exported_while_it_is_one(kept: Kept) -> None:
    """Else the refusal names the command."""
    exported: list[Bundle] = []

    async def main() -> None:
        async with kept.scene.logins.kept(kept.post.slot):
            kept.scene.say(IN)
            exported.append(await kept.scene.logins.export(kept.post))
            kept.scene.say(OUT)
            with pytest.raises(LingmaError, match="`inst-0` is not logged in") as caught:
                await kept.scene.logins.export(kept.post)
            assert caught.value.kind is ErrorKind.CONFLICT
            assert caught.value.hint == "run `lingma login --account work`"

    kept.play(main)

    assert exported == [OLD]


def test_a_fault_around_a_login_is_told_once(kept: Kept, caplog: pytest.LogCaptureFixture) -> None:
    """Not over and over, and the others are seen to as before."""

    async def main() -> None:
        async with kept.scene.logins.kept(kept.post.slot):
            kept.post.keeper = Broken(kept.vault, "work", kept.work_dir, warn=print)
            kept.scene.say(IN)
            kept.scene.logins.suspect(kept.post.slot)
            await asyncio.sleep(0.2)

    kept.play(main)

    assert len(caplog.records) == 1


class Broken(LoginKeeper):
    """A keeper with a fault."""

    def take_back(self) -> None:
        raise ZeroDivisionError
