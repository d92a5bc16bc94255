"""Version numbers."""

from __future__ import annotations

from random import Random

import pytest

from lingma_cli.install.versions import is_newer, is_version, version_order

ASCENDING = ["junk", "2.5.20", "2.6.9", "2.6.10-demo", "2.6.10", "2.11.1", "2.11.1.1", "10.0"]


def test_versions_are_compared_as_numbers() -> None:
    """2.11 is newer than 2.6; a suffix goes before the plain version; junk is oldest."""
    shuffled = list(ASCENDING)
    Random(3).shuffle(shuffled)

    assert sorted(shuffled, key=version_order) == ASCENDING


def test_trailing_zeros_do_not_make_it_newer() -> None:
    """2.6 and 2.6.0 are the same."""
    assert not is_newer("2.6.0", "2.6")
    assert not is_newer("2.6", "2.6.0")
    assert is_newer("2.6.0.1", "2.6")


@pytest.mark.parametrize("text", ["2.6", "2.6.10", "2.11.1-demo", "1.2.3-rc.1"])
def test_versions_are_known(text: str) -> None:
    """Dotted numbers, perhaps with a suffix."""
    assert is_version(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2",
        "..",
        "2..6",
        "2.6/..",
        "v2.6",
        "2.6-",
        "2.6.",
        "2.6-a.",
        "٢.٦",
        "2.6\n",
        "1." + "1" * 60,
    ],
)
def test_what_could_harm_as_a_folder_is_no_version(text: str) -> None:
    """Nothing with slashes, dots at its ends, line breaks or without measure."""
    assert not is_version(text)
