"""What a browser of ours is given."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lingma_cli.auth.login.browser_home import narrow_environment, offer_download
from lingma_cli.errors import ErrorKind, LingmaError
from tests.support.people import ScriptedPerson


def test_the_environment_is_narrow_for_a_while(tmp_path: Path) -> None:
    """Only what a browser needs, with another folder for temporary files; then all is back."""
    before = dict(os.environ)

    async def inside() -> tuple[dict[str, str], dict[str, str]]:
        async with narrow_environment(tmp_path) as environ:
            return environ, dict(os.environ)

    environ, seen = asyncio.run(inside())

    assert environ.items() <= seen.items()
    assert environ["TMPDIR"] == str(tmp_path)
    assert environ["PATH"] == before["PATH"]
    assert not [name for name in environ if name.startswith(("LINGMA_", "PYTEST"))]
    assert not [name for name in seen if name.startswith("PYTEST")]
    assert dict(os.environ) == before


def test_it_comes_back_after_a_failure(tmp_path: Path) -> None:
    """Whatever happens inside."""
    before = dict(os.environ)

    async def fail() -> None:
        async with narrow_environment(tmp_path):
            raise RuntimeError

    with pytest.raises(RuntimeError):
        asyncio.run(fail())
    assert dict(os.environ) == before


def test_two_at_once_wait_for_each_other(tmp_path: Path) -> None:
    """The second begins when the first has put everything back."""
    before = dict(os.environ)
    order: list[str] = []

    async def narrow(name: str, leave: asyncio.Event) -> None:
        async with narrow_environment(tmp_path / name):
            order.append(f"{name} in")
            await leave.wait()
            order.append(f"{name} out")
            assert os.environ["TMPDIR"] == str(tmp_path / name)

    async def both() -> None:
        begun, free = asyncio.Event(), asyncio.Event()
        free.set()
        first = asyncio.create_task(narrow("one", begun))
        await asyncio.sleep(0)
        second = asyncio.create_task(narrow("two", free))
        await asyncio.sleep(0)
        begun.set()
        await asyncio.gather(first, second)

    asyncio.run(both())
    assert order == ["one in", "one out", "two in", "two out"]
    assert dict(os.environ) == before


def test_nothing_talks_about_what_it_does() -> None:
    """The switches of Playwright's logs are gone, in a process that has them set."""
    program = (
        "import os; from lingma_cli.auth.login.browser_home import silence; silence(); "
        "print(sorted(os.environ.keys() & {'DEBUG', 'DEBUGP', 'PWDEBUG', 'HOME'}))"
    )
    talkative = {"DEBUG": "pw:*", "DEBUGP": "1", "PWDEBUG": "1", "HOME": "/"}
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=dict(os.environ) | talkative,
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout == "['HOME']\n"


@pytest.mark.parametrize(
    "person",
    [ScriptedPerson(is_there=False), ScriptedPerson(["n"]), ScriptedPerson([""])],
    ids=["nobody", "no", "nothing said"],
)
def test_nothing_is_downloaded_unasked(person: ScriptedPerson) -> None:
    """Without a yes the error says how to get a browser."""
    with pytest.raises(LingmaError, match="no Chrome, Edge or Chromium") as caught:
        asyncio.run(offer_download(person, {}))

    assert caught.value.kind is ErrorKind.USAGE
    assert "playwright install chromium" in str(caught.value.hint)
    assert len(person.asked) == person.is_there
