"""The ways to a login: what is asked, told and called, against a scripted process."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from lingma_cli.auth.login.addresses import LoginHosts
from lingma_cli.auth.login.flows import (
    BrowserOffer,
    Pace,
    by_access_key,
    by_browser,
    by_token,
    choose_method,
    has_window,
)
from lingma_cli.core.login import LoginState, LoginStatus, Organisation
from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.secret import Secret
from tests.support.login_calls import HOST, IN, OUT, UNKNOWN, ScriptedCalls
from tests.support.people import ScriptedPerson

PACE = Pace(timeout=5.0, pause=0.01, settle=0.05)
CALLBACK = "http://127.0.0.1:37510/auth/callback?"
TWO = (Organisation(id="org-red", name="Red"), Organisation(id="org-blue", name="Blue"))


def offer(*, may_paste: bool = True, **changes: object) -> BrowserOffer:
    """Return an offer without a browser of ours."""
    plain = BrowserOffer(
        hosts=LoginHosts(), is_dedicated=False, open_url=None, advice="", may_paste=may_paste
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


def browse(
    calls: ScriptedCalls,
    person: ScriptedPerson,
    how: BrowserOffer | None = None,
    *,
    pace: Pace = PACE,
    organisation: str = "",
) -> LoginStatus:
    """Run a login with the person's browser."""
    return asyncio.run(by_browser(calls, person, how or offer(), pace, organisation=organisation))


@pytest.mark.parametrize(
    ("environ", "platform", "method"),
    [
        ({}, "linux", "paste"),
        ({"DISPLAY": ":0"}, "linux", "browser"),
        ({"WAYLAND_DISPLAY": "wayland-0"}, "linux", "browser"),
        ({"BROWSER": "w3m"}, "linux", "browser"),
        ({"DISPLAY": ""}, "linux", "paste"),
        ({"DISPLAY": ":0", "SSH_CONNECTION": "a 1 b 22"}, "linux", "paste"),
        ({"SSH_TTY": "/dev/pts/0"}, "darwin", "paste"),
        ({}, "darwin", "browser"),
        ({}, "win32", "browser"),
    ],
)
def test_which_way_is_chosen(environ: dict[str, str], platform: str, method: str) -> None:
    """A browser where a person sits in front of this machine, else a pasted address."""
    assert choose_method(environ, platform) == method


def test_a_named_browser_is_no_window() -> None:
    """A browser for the terminal cannot be driven with a window."""
    assert not has_window({"BROWSER": "w3m"}, "linux")
    assert has_window({"DISPLAY": ":0"}, "linux")


def test_the_callback_ends_it_while_the_prompt_is_open() -> None:
    """The state decides; the question is taken back."""
    person = ScriptedPerson(waits=True)
    opened: list[str] = []
    calls = ScriptedCalls([OUT, UNKNOWN, OUT, IN])

    assert browse(calls, person, offer(open_url=opened.append, advice="over there")) == IN
    assert opened == [f"{HOST}/lingma/login?nonce=n1&state=2-s1&port=37510"]
    assert opened[0] in person.said[0]
    assert person.said[1] == "over there"
    assert person.asked == person.taken_back
    assert calls.log == [("url", "False")]


def test_the_owner_of_the_process_sets_the_pace() -> None:
    """Between two questions there is as long a rest as the owner of the process wants."""
    rests: list[float] = []

    async def rest(seconds: float) -> None:
        rests.append(seconds)

    pace = Pace(timeout=5.0, pause=50.0, rest=rest)
    person = ScriptedPerson(is_there=False)

    assert browse(ScriptedCalls([OUT, IN]), person, offer(may_paste=False), pace=pace) == IN
    assert rests == [50.0]


def test_nobody_is_asked_where_nobody_is() -> None:
    """Without a prompt the state alone is watched."""
    person = ScriptedPerson(is_there=False)

    assert browse(ScriptedCalls([OUT, IN]), person, offer(may_paste=False)) == IN
    assert person.asked == []


def test_a_pasted_address_is_handed_in() -> None:
    """Junk, foreign and empty ones are asked for again, without a new page."""
    answers = [
        "hello",
        "",
        f"{HOST}/lingma/login?nonce=n1&state=2-s1",
        f"{CALLBACK}state=2-other&auth=a&token=t",
        f" <{CALLBACK}state=2-s1&auth=a%2Bb&token=t> ",
    ]
    person, calls = ScriptedPerson(answers), ScriptedCalls()

    assert browse(calls, person) == IN
    assert calls.log == [("url", "False"), ("callback", "n1", "a+b", "t")]
    assert [said.split(":")[0] for said in person.said[1:]] == [
        "That is not the address",
        "That is not the address",
        "That address belongs to another login, or was used before.",
    ]


@pytest.mark.parametrize("how", [{"refusals": 1}, {"is_lost": True}], ids=["refused", "lost"])
def test_each_try_has_a_page_of_its_own(how: dict[str, int]) -> None:
    """What was refused or led nowhere is used up; a second page is shown."""
    answers = [f"{CALLBACK}state=2-s{number}&auth=a&token=t" for number in (1, 1, 2)]
    person, calls = ScriptedPerson(answers, waits=True), ScriptedCalls(**how)  # type: ignore[arg-type]

    if "refusals" in how:
        assert browse(calls, person) == IN
    else:
        with pytest.raises(LingmaError, match="nobody logged in"):
            browse(calls, person, pace=replace(PACE, timeout=1.0))
    tried = [call for call in calls.log if call[0] != "url"]
    assert tried == [("callback", "n1", "a", "t"), ("callback", "n2", "a", "t")]
    assert "nonce=n2" in "".join(person.said)


def test_an_address_without_a_state_belongs_to_the_newest_page() -> None:
    """Older builds name no try."""
    calls = ScriptedCalls()

    assert browse(calls, ScriptedPerson([f"{CALLBACK}auth=a&token=t"])) == IN
    assert calls.log[-1] == ("callback", "n1", "a", "t")


def test_a_page_that_is_not_trusted_is_not_shown() -> None:
    """Nothing is said or opened, and the address is not told."""
    person, opened = ScriptedPerson(), list[str]()
    calls = ScriptedCalls(host="https://aliyun.com.evil.example")

    with pytest.raises(LingmaError, match=r"not trusted: https://aliyun\.com\.evil\.example$"):
        browse(calls, person, offer(open_url=opened.append))
    assert (person.said, opened) == ([], [])


def test_time_is_up() -> None:
    """It is told after how long, and the open question is taken back."""
    person = ScriptedPerson(waits=True)

    with pytest.raises(LingmaError, match=r"nobody logged in within 0\.05 seconds") as caught:
        browse(ScriptedCalls(), person, pace=replace(PACE, timeout=0.05))
    assert caught.value.kind is ErrorKind.LOGIN_REQUIRED
    assert person.taken_back == person.asked


def test_a_dedicated_service_is_asked_for() -> None:
    """The process is told what kind of page is wanted."""
    calls = ScriptedCalls([IN], host="https://lingma.corp.example")
    hosts = LoginHosts(endpoint="https://lingma.corp.example")

    browse(calls, ScriptedPerson(), offer(may_paste=False, is_dedicated=True, hosts=hosts))
    assert calls.log == [("url", "True")]


@pytest.mark.parametrize("method", ["token", "key"])
def test_secrets(method: str) -> None:
    """They are handed in once, and the state is waited for."""
    calls, person = ScriptedCalls(), ScriptedPerson(is_there=False)

    assert _with(method, calls, person) == IN
    assert calls.log == [
        ("token", "s", "") if method == "token" else ("key", "k", "s", ""),
    ]


@pytest.mark.parametrize("method", ["token", "key"])
def test_refused_and_lost_secrets(method: str) -> None:
    """A refusal is the process's own; a login that does not come is told as such."""
    with pytest.raises(LingmaError, match="Lingma could not"):
        _with(method, ScriptedCalls(refusals=1), ScriptedPerson())
    with pytest.raises(LingmaError, match="there is no login"):
        _with(method, ScriptedCalls(is_lost=True), ScriptedPerson())


@pytest.mark.parametrize(
    ("answers", "wanted", "chosen"),
    [
        (["2"], "", "org-blue"),
        (["0", "3", "org-green", "Red"], "", "org-red"),
        ([], "org-red", "org-red"),
        ([], "Blue", "org-blue"),
    ],
)
def test_an_organisation_is_chosen(answers: list[str], wanted: str, chosen: str) -> None:
    """By number, id or name, asked for again after nonsense, or named beforehand."""
    person, calls = ScriptedPerson(answers), ScriptedCalls(organisations=TWO)
    status = asyncio.run(by_token(calls, person, Secret("s"), PACE, organisation=wanted))

    assert status == IN
    assert calls.log[-1] == ("choose", chosen)


def test_an_organisation_that_nobody_can_choose() -> None:
    """Without a person the ids are listed; an unknown one is refused with those that are there."""
    alone = ScriptedPerson(is_there=False)
    with pytest.raises(LingmaError, match=r"org-red \(Red\), org-blue \(Blue\)") as caught:
        _with("token", ScriptedCalls(organisations=TWO), alone)
    calls = ScriptedCalls(organisations=TWO)
    with pytest.raises(LingmaError, match="no organisation `org-green`") as unknown:
        asyncio.run(by_token(calls, alone, Secret("s"), PACE, organisation="org-green"))

    assert caught.value.kind is ErrorKind.USAGE
    assert "org-red, org-blue" in str(unknown.value.hint)


def test_a_pasted_login_waits_for_the_choice() -> None:
    """Where the page with the choice cannot be reached, it is made at the prompt."""
    answers = [f"{CALLBACK}state=2-s1&auth=a&token=t", "1"]
    calls = ScriptedCalls(organisations=TWO)

    assert browse(calls, ScriptedPerson(answers)).state is LoginState.IN
    assert calls.log[-1] == ("choose", "org-red")


def _with(method: str, calls: ScriptedCalls, person: ScriptedPerson) -> LoginStatus:
    if method == "token":
        return asyncio.run(by_token(calls, person, Secret("s"), PACE, organisation=""))
    key = by_access_key(calls, person, Secret("k"), Secret("s"), PACE, organisation="")
    return asyncio.run(key)
