"""The sealed bundle: one passphrase opens it, until its day; strangers learn only the header."""

from __future__ import annotations

import base64
from collections.abc import Callable
from functools import cache

import pytest

from lingma_cli.auth.bundles.bundle import MAX_TEXT, Bundle, pack, to_text
from lingma_cli.auth.bundles.sealed import BundleInfo, inspect, open_any, open_sealed, seal
from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.secret import Secret
from tests.support.evil_bundles import evil_bundles

DAY = 86_400.0
BUNDLE = Bundle(files={"id": b"canary-id", "user": b"canary-user"})
PASSPHRASE = Secret("correct horse")
EVIL = [pytest.param(make, id=case) for case, make in evil_bundles()]


@cache
def sealed() -> bytes:
    return seal(BUNDLE, PASSPHRASE, account="work", created=100.0, expires=100.0 + 7 * DAY)


def never() -> Secret:
    raise AssertionError("the passphrase was asked for")


def test_what_is_sealed_opens() -> None:
    """As bytes and as text, up to the last moment."""
    assert open_sealed(sealed(), PASSPHRASE, now=100.0) == BUNDLE

    text = to_text(sealed(), width=76).encode()
    assert open_any(text, passphrase=lambda: PASSPHRASE, now=99.9 + 7 * DAY) == BUNDLE


def test_a_plain_bundle_opens_without_a_passphrase() -> None:
    """As bytes and as text."""
    for data in (pack(BUNDLE), to_text(pack(BUNDLE)).encode()):
        assert open_any(data, passphrase=never, now=1e10) == BUNDLE


def test_the_header_tells_account_and_dates_only() -> None:
    """Nothing of the login can be read; a plain bundle tells nothing but its size."""
    assert inspect(sealed()) == BundleInfo(
        is_encrypted=True,
        account="work",
        created=100.0,
        expires=100.0 + 7 * DAY,
        size=len(sealed()),
    )
    assert inspect(pack(BUNDLE)) == BundleInfo(
        is_encrypted=False, account="", created=0, expires=0, size=len(pack(BUNDLE))
    )
    assert b"canary" not in sealed()
    assert pack(BUNDLE) not in sealed()


def test_an_expired_bundle_is_refused_before_anybody_is_asked() -> None:
    """With or without the right passphrase."""
    with pytest.raises(LingmaError, match="has expired"):
        open_any(sealed(), passphrase=never, now=100.0 + 7 * DAY)
    with pytest.raises(LingmaError, match="has expired"):
        open_sealed(sealed(), PASSPHRASE, now=100.0 + 7 * DAY)


def test_another_passphrase_does_not_open() -> None:
    """And the error holds neither."""
    with pytest.raises(LingmaError, match="does not open") as caught:
        open_sealed(sealed(), Secret("correct house"), now=100.0)

    assert "house" not in caught.value.advice


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"expires":604900.0', b'"expires":904900.0'),
        (b'"account":"work"', b'"account":"play"'),
        (b'"created":100.0', b'"created":1e2  '),
        (b'"n":131072', b'"n":65536 '),
    ],
)
def test_a_changed_header_does_not_open(old: bytes, new: bytes) -> None:
    """No byte of it may be another, not even where it means the same."""
    changed = sealed().replace(old, new)
    assert changed != sealed()

    with pytest.raises(LingmaError, match="does not open"):
        open_sealed(changed, PASSPHRASE, now=100.0)


@pytest.mark.parametrize("at", [-1, -20, -60])
def test_a_changed_body_does_not_open(at: int) -> None:
    """Neither login nor tag."""
    changed = bytearray(sealed())
    changed[at] ^= 1

    with pytest.raises(LingmaError, match="does not open"):
        open_sealed(bytes(changed), PASSPHRASE, now=100.0)


def test_each_sealing_is_another() -> None:
    """Salt and nonce are drawn anew."""
    taken: list[int] = []

    def draw(size: int) -> bytes:
        taken.append(size)
        return bytes([len(taken)]) * size

    data = seal(BUNDLE, PASSPHRASE, account="work", created=100.0, expires=200.0, random_bytes=draw)

    assert taken == [16, 12]
    assert base64.b64encode(bytes([1]) * 16) in data
    assert open_sealed(data, PASSPHRASE, now=100.0) == BUNDLE


def test_the_largest_bundle_fits_sealed() -> None:
    """In lines, too."""
    content = bytes(range(256)) * ((4 * 1024 - 16) * 4 - 1)
    bundle = Bundle(files={"id": b"i", "user": b"u", "quota": content})

    data = seal(bundle, PASSPHRASE, account="work", created=1.0, expires=2.0)

    assert len(to_text(data, width=76)) <= MAX_TEXT
    assert open_sealed(data, PASSPHRASE, now=1.0) == bundle


@pytest.mark.parametrize("make", EVIL)
def test_evil_is_refused_before_anybody_is_asked(make: Callable[[], bytes]) -> None:
    """As text, as archive, as a sealed bundle with an odd header."""
    with pytest.raises(LingmaError) as caught:
        open_any(make(), passphrase=never, now=100.0)

    assert caught.value.kind is ErrorKind.USAGE
    assert caught.value.hint
