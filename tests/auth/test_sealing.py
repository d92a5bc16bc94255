"""Sealed bytes: what opens them, what does not, and what a header may ask of its reader."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from lingma_cli.auth.sealing import OVERHEAD, Derivation, Seal, WrongPassphraseError, split
from lingma_cli.secret import Secret

# The least that a reader accepts, so that the tests are quick.
QUICK = 2**14
CONTENT = b"canary" * 100


class Header(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The header of a test."""

    said: str
    key: Derivation


def seal(passphrase: str = "correct horse") -> Seal:
    return Seal(Secret(passphrase), n=QUICK)


def sealed(said: str = "hello") -> bytes:
    return seal().close(lambda key: Header(said=said, key=key), CONTENT)


def test_what_is_sealed_opens() -> None:
    """With the passphrase; the header can be read without, the content cannot."""
    data = sealed()
    header, line, body = split(data, Header)

    assert (header.said, line + body) == ("hello", data)
    assert seal().open(header.key, line, body) == CONTENT
    assert b"canary" not in data
    assert len(data) <= len(CONTENT) + OVERHEAD


@pytest.mark.parametrize("phrase", ["正确的马", "\udcff"])
def test_any_text_is_a_passphrase(phrase: str) -> None:
    """Also one that is no ASCII, or came out of bytes that are no text."""
    data = seal(phrase).close(lambda key: Header(said="", key=key), CONTENT)
    header, line, body = split(data, Header)

    assert seal(phrase).open(header.key, line, body) == CONTENT


def test_nothing_else_opens_it() -> None:
    """Another passphrase, a changed header that means the same, another body."""
    header, line, body = split(sealed(), Header)

    for key, phrase, changed, rest in (
        (header.key, "correct house", line, body),
        (header.key, "correct horse", line.replace(b":", b": ", 1), body),
        (header.key, "correct horse", line, bytes([body[0] ^ 1]) + body[1:]),
    ):
        with pytest.raises(WrongPassphraseError):
            seal(phrase).open(key, changed, rest)


def test_the_same_seal_shares_a_salt_and_never_a_nonce() -> None:
    """Its key is derived once."""
    one = seal()
    headers = [
        split(one.close(lambda key: Header(said="", key=key), CONTENT), Header)[0] for _ in "ab"
    ]

    assert headers[0].key.salt == headers[1].key.salt
    assert headers[0].key.nonce != headers[1].key.nonce


@pytest.mark.parametrize(
    "change",
    [{"n": 2**18}, {"n": 2**13}, {"n": 2**14 + 1}, {"r": 9}, {"p": 2}, {"salt": "AAAA"}, {"x": 1}],
    ids=str,
)
def test_a_header_that_asks_too_much(change: dict[str, Any]) -> None:
    """It is malformed, before any key is derived."""
    line, _, body = sealed().partition(b"\n")
    header = json.loads(line)
    header["key"] |= change

    with pytest.raises(ValueError, match="key"):
        split(json.dumps(header).encode() + b"\n" + body, Header)


@pytest.mark.parametrize(
    "data",
    [b"", b"\n", b"{}" * 600 + b"\n" + bytes(64), sealed()[:60]],
    ids=["empty", "line", "long", "cut"],
)
def test_what_is_no_sealed_thing(data: bytes) -> None:
    """Without an end of the line, without room for the tag."""
    with pytest.raises(ValueError, match="cut off"):
        split(data, Header)
