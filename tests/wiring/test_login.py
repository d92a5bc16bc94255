"""The steps of a login that need no engine; the whole of it is in `tests/e2e/test_login.py`."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.paths import Paths, find_paths
from lingma_cli.wiring.login import agree_to_terms, selectors_of
from tests.support.people import ScriptedPerson

NOW = 1_800_000_000.0


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    """An empty home."""
    return find_paths({"LINGMA_HOME": str(tmp_path / "home")})


def test_terms(paths: Paths) -> None:
    """A yes and the option count, and are remembered; then nobody is asked."""
    yes, silent = ScriptedPerson(["YES"]), ScriptedPerson(is_there=False)
    asyncio.run(agree_to_terms(yes, paths, accepts=False, now=NOW))
    asyncio.run(agree_to_terms(silent, paths, accepts=False, now=NOW))

    assert "not made, endorsed or supported by Alibaba Cloud" in yes.said[0]
    assert (yes.asked, silent.asked) == (["Do you accept this? [yes/no] "], [])
    assert "2027-01-15" in (paths.state / "terms.json").read_text()


@pytest.mark.parametrize(
    "person", [ScriptedPerson(["no"]), ScriptedPerson([""]), ScriptedPerson(is_there=False)]
)
def test_terms_that_are_not_accepted(paths: Paths, person: ScriptedPerson) -> None:
    """It is a usage error with the option in its hint, and nothing is recorded."""
    with pytest.raises(LingmaError) as caught:
        asyncio.run(agree_to_terms(person, paths, accepts=False, now=NOW))

    assert caught.value.kind is ErrorKind.USAGE
    assert "--accept-terms" in str(caught.value.hint)
    assert not paths.state.exists()


def test_the_selectors_that_are_kept(paths: Paths, tmp_path: Path) -> None:
    """A file in the config folder counts, unless another is named."""
    plain = selectors_of(paths)
    kept, named = paths.config / "login-selectors.toml", tmp_path / "named.toml"
    kept.parent.mkdir(parents=True)
    kept.write_text('username = ["#kept"]')
    named.write_text('username = ["#named"]')

    assert selectors_of(paths).username == ("#kept",)
    assert selectors_of(paths).password == plain.password
    assert selectors_of(paths, named).username == ("#named",)
