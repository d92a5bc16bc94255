"""The file of generated keys: made once, and trusted only when it is the user's own."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lingma_cli.auth.keys import check_configured
from lingma_cli.auth.keys_file import load, load_or_create
from lingma_cli.errors import ErrorKind, LingmaError


def new_token() -> str:
    return secrets.token_urlsafe(32)


@pytest.fixture
def keys_file(tmp_path: Path) -> Path:
    return tmp_path / "state" / "keys.json"


@pytest.fixture
def _any_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.mark.usefixtures("_any_umask")
def test_keys_are_made_once(keys_file: Path) -> None:
    """The first call makes them, private whatever the umask; later ones find the same."""
    first = load_or_create(keys_file, new_token)
    second = load_or_create(keys_file, new_token)

    assert (first.is_new, second.is_new) == (True, False)
    assert (first.api_key, first.admin_token) == (second.api_key, second.admin_token)
    assert keys_file.stat().st_mode & 0o777 == 0o600
    assert keys_file.parent.stat().st_mode & 0o777 == 0o700
    assert json.loads(keys_file.read_text()) == {
        "api_key": first.api_key.reveal(),
        "admin_token": first.admin_token.reveal(),
    }
    check_configured([first.api_key, first.admin_token])
    assert first.api_key.reveal().startswith("lgm-")
    assert first.admin_token.reveal().startswith("lga-")


def test_looking_makes_no_keys(keys_file: Path) -> None:
    """Who only reads finds what was made, or nothing, and leaves no trace."""
    assert load(keys_file) is None
    assert not keys_file.parent.exists()

    made = load_or_create(keys_file, new_token)
    found = load(keys_file)

    assert found is not None
    assert (made.api_key, made.admin_token) == (found.api_key, found.admin_token)
    assert not found.is_new


def _readable_by_others(path: Path) -> None:
    path.chmod(0o604)


def _writable_by_group(path: Path) -> None:
    path.chmod(0o620)


def _a_link(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")


def _a_dangling_link(path: Path) -> None:
    path.unlink()
    path.symlink_to("nowhere")


def _a_fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path, 0o600)


def _a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir(mode=0o700)


Reader = Callable[[Path], object]
READERS: list[Reader] = [load, lambda path: load_or_create(path, new_token)]


@pytest.mark.parametrize("take", READERS)
@pytest.mark.parametrize(
    "spoil",
    [_readable_by_others, _writable_by_group, _a_link, _a_dangling_link, _a_fifo, _a_folder],
)
def test_keys_of_doubtful_origin_are_refused(
    keys_file: Path, spoil: Callable[[Path], None], take: Reader
) -> None:
    """A file that others may have read or planted is not used, and not replaced either."""
    load_or_create(keys_file, new_token)
    spoil(keys_file)
    before = keys_file.lstat()

    with pytest.raises(LingmaError) as caught:
        take(keys_file)

    assert caught.value.kind is ErrorKind.USAGE
    assert caught.value.hint
    assert keys_file.lstat().st_ino == before.st_ino


def test_no_keys_are_made_in_an_open_folder(keys_file: Path) -> None:
    """Where others may write, they could put keys of their own."""
    load_or_create(keys_file, new_token)
    keys_file.parent.chmod(0o777)

    with pytest.raises(LingmaError, match="others may write in it"):
        load_or_create(keys_file, new_token)


@pytest.mark.parametrize("take", READERS)
def test_keys_of_somebody_else_are_refused(keys_file: Path, take: Reader) -> None:
    """A file of another user is not ours to use."""
    load_or_create(keys_file, new_token)
    if os.getuid() == 0:
        os.chown(keys_file, 65534, 65534)
    else:
        keys_file = Path("/etc/passwd")

    with pytest.raises(LingmaError, match="belongs to somebody else"):
        take(keys_file)


@pytest.mark.parametrize("take", READERS)
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"lgm-"',
        b"{}",
        b'{"api_key": "lgm-0123456789abcdef"}',
        b'{"api_key": "", "admin_token": ""}',
        b'{"api_key": 1, "admin_token": 2}',
        b'{"api_key": "lgm-short", "admin_token": "lga-0123456789abcdef"}',
        b'{"api_key": "lgm-0123456789\xff\xff\xff", "admin_token": "lga-0123456789abcdef"}',
        b"\x00" * 100,
    ],
)
def test_corrupt_keys_are_not_made_anew(keys_file: Path, content: bytes, take: Reader) -> None:
    """Clients hold the old key, so a person has to decide."""
    load_or_create(keys_file, new_token)
    keys_file.write_bytes(content)

    with pytest.raises(LingmaError, match="it is corrupt") as caught:
        take(keys_file)

    assert caught.value.kind is ErrorKind.USAGE
    assert keys_file.read_bytes() == content
