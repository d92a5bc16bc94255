"""Files that are used only while they are certainly the user's own; see also the keys' file."""

from __future__ import annotations

from pathlib import Path

import pytest

from lingma_cli.auth.private_file import read_private
from lingma_cli.errors import LingmaError
from lingma_cli.paths import write_private


def test_a_private_file_is_read_up_to_its_limit(tmp_path: Path) -> None:
    """Whole or not at all."""
    path = tmp_path / "file"
    assert read_private(path, 10) is None
    write_private(path, b"0123456789")

    assert read_private(path, 10) == b"0123456789"
    with pytest.raises(LingmaError, match="larger than 9 bytes"):
        read_private(path, 9)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o777])
def test_a_file_that_others_may_open_is_refused(tmp_path: Path, mode: int) -> None:
    """With the command that makes it right."""
    path = tmp_path / "file"
    write_private(path, b"x")
    path.chmod(mode)

    with pytest.raises(LingmaError, match="others may open it") as caught:
        read_private(path, 10)

    assert f"chmod 600 {path}" in (caught.value.hint or "")
