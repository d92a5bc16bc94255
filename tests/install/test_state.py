"""What is remembered of installed versions."""

from __future__ import annotations

import msgspec
import pytest

from lingma_cli.errors import LingmaError
from lingma_cli.install.state import File, Release, State, Trial

SHA = "a" * 64


def release(folder: str, **more: object) -> Release:
    values: dict[str, object] = {
        "folder": folder,
        "version": folder.partition("~")[0],
        "platform": "x86_64_linux",
        "files": (File(name="Lingma", size=1, sha256=SHA),),
        "source": "a test",
        "package_version": "",
        "package_sha256": "",
        "tag": "",
        "installed": 1.0,
    }
    return msgspec.convert({**values, **more}, Release)


def with_all(*folders: str) -> State:
    state = State()
    for folder in folders:
        state = state.with_release(release(folder)).switched_to(folder)
    return state


def test_switching_remembers_the_one_before() -> None:
    """And switching to it swaps them."""
    state = with_all("1.0", "2.0")
    assert (state.current, state.previous) == ("2.0", "1.0")

    back = state.switched_to("1.0")
    assert (back.current, back.previous) == ("1.0", "2.0")


def test_switching_to_the_same_changes_nothing() -> None:
    """The one before stays."""
    state = with_all("1.0", "2.0")
    assert state.switched_to("2.0") == state


def test_switching_forgets_the_named_one() -> None:
    """A release counts again."""
    state = msgspec.structs.replace(with_all("1.0"), named="/usr/bin/mine")
    assert state.switched_to("1.0").named == ""


def test_releases_stay_in_the_order_of_their_installation() -> None:
    """Whatever is remembered of one later."""
    state = State().with_release(release("1.0", installed=1.0))
    state = state.with_release(release("2.0", installed=2.0))
    state = state.with_release(release("1.0", installed=1.0, trial="passed"))
    assert [one.folder for one in state.releases] == ["1.0", "2.0"]


def test_three_are_kept() -> None:
    """The current one, the one before, and the newest of the others."""
    state = with_all("1.0", "2.0", "3.0")
    assert state.superfluous() == ()

    state = with_all("1.0", "2.0", "3.0", "4.0", "5.0")
    assert [one.folder for one in state.superfluous()] == ["1.0", "2.0"]
    assert [one.folder for one in state.switched_to("1.0").superfluous()] == ["2.0", "3.0"]


def test_removing_the_one_that_counts() -> None:
    """Then none counts."""
    state = with_all("1.0", "2.0").without("2.0")
    assert (state.current, state.previous, len(state.releases)) == ("", "1.0", 1)


def test_pins_hold_what_was_seen_first() -> None:
    """The same passes, other things pass, a change does not."""
    state = State().pinned({"Lingma 1.0": SHA})
    state.check_pins({"Lingma 1.0": SHA, "Lingma 2.0": "b" * 64})

    with pytest.raises(LingmaError, match=f"was {SHA}, now it is {'b' * 64}") as failure:
        state.check_pins({"Lingma 1.0": "b" * 64})
    assert "--accept-changed" in failure.value.advice


def test_it_survives_a_file() -> None:
    """Byte for byte."""
    state = with_all("1.0", "2.0~2").with_release(release("3.0", trial="failed"))
    state = state.pinned({"Lingma 1.0": SHA})

    assert msgspec.json.decode(msgspec.json.encode(state), type=State) == state
    assert state.releases[-1].trial is Trial.FAILED


@pytest.mark.parametrize("folder", ["..", "../x", "/tmp", "", ".new-x", "a/b", "x" * 65])
def test_a_folder_in_a_file_cannot_lead_elsewhere(folder: str) -> None:
    """It is a plain name."""
    with pytest.raises(msgspec.ValidationError):
        release(folder, version="1.0")
