"""Keys: what opens what, what is too weak, and the file of generated ones."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lingma_cli.auth.keys import (
    KeyRing,
    Tier,
    caller_label,
    check_bind,
    check_configured,
    is_loopback,
    load_or_create,
)
from lingma_cli.errors import FACES, ErrorKind, LingmaError
from lingma_cli.secret import Secret

API = "lgm-an-api-key-of-some-length"
ADMIN = "lga-an-admin-token-of-some-length"
METRICS = "a-metrics-token-of-some-length"


def opened_by(ring: KeyRing) -> dict[str, set[Tier]]:
    """Return what each key opens, and what stands open without one."""
    offers = {"none": None, "wrong": b"wrong", "api": API.encode()}
    offers |= {"admin": ADMIN.encode(), "metrics": METRICS.encode()}
    return {
        name: {tier for tier in Tier if ring.allows(tier, offer)} for name, offer in offers.items()
    }


def test_tiers_do_not_fall_back() -> None:
    """Each secret opens its own tier only; nothing else opens any."""
    ring = KeyRing(
        api_keys=(Secret("another-key-entirely"), Secret(API)),
        admin_token=Secret(ADMIN),
        metrics_token=Secret(METRICS),
    )

    assert opened_by(ring) == {
        "none": {Tier.NONE},
        "wrong": {Tier.NONE},
        "api": {Tier.NONE, Tier.API},
        "admin": {Tier.NONE, Tier.ADMIN},
        "metrics": {Tier.NONE, Tier.METRICS},
    }
    assert ring.required


def test_unset_metrics_token_means_admin() -> None:
    """Without a token of its own `/metrics` belongs to the administrator."""
    ring = KeyRing(api_keys=(Secret(API),), admin_token=Secret(ADMIN))

    assert opened_by(ring)["admin"] == {Tier.NONE, Tier.METRICS, Tier.ADMIN}
    assert opened_by(ring)["api"] == {Tier.NONE, Tier.API}


def test_nothing_configured_opens_nothing() -> None:
    """A ring without secrets is shut, not open."""
    assert all(tiers == {Tier.NONE} for tiers in opened_by(KeyRing()).values())


def test_without_auth_all_tiers_stand_open() -> None:
    """Demo mode and `--no-auth` ask for nothing while nothing is configured."""
    assert all(tiers == set(Tier) for tiers in opened_by(KeyRing(no_auth=True)).values())
    assert not KeyRing(no_auth=True).required


def test_configured_secrets_count_without_auth() -> None:
    """What the user has configured guards its tier in every mode."""
    keyed = KeyRing(api_keys=(Secret(API),), no_auth=True)
    administered = KeyRing(admin_token=Secret(ADMIN), no_auth=True)
    measured = KeyRing(metrics_token=Secret(METRICS), no_auth=True)

    assert opened_by(keyed)["wrong"] == set(Tier) - {Tier.API}
    assert opened_by(keyed)["api"] == set(Tier)
    assert keyed.required
    assert opened_by(administered)["none"] == {Tier.NONE, Tier.API}
    assert opened_by(administered)["admin"] == set(Tier)
    assert opened_by(measured)["none"] == set(Tier) - {Tier.METRICS}
    assert opened_by(measured)["metrics"] == set(Tier)


@pytest.mark.parametrize(
    "near",
    [
        b"",
        API.encode()[:-1],
        API.encode()[1:],
        API.encode() + b"\x00",
        b"\x00" + API.encode(),
        API.encode() + b" ",
        API.upper().encode(),
        API.replace("a", "а").encode(),
        API.encode("utf-16"),
        b"\xff\xfe\xfd" * 10,
        API.encode() * 2,
    ],
)
def test_near_misses_do_not_match(near: bytes) -> None:
    """Only the very same bytes open a tier."""
    ring = KeyRing(api_keys=(Secret(API),), admin_token=Secret(API), metrics_token=Secret(API))

    assert {tier for tier in Tier if ring.allows(tier, near)} == {Tier.NONE}


def test_ring_and_labels_show_no_secret() -> None:
    """Neither the ring's text nor a caller's label gives a key away."""
    ring = KeyRing(api_keys=(Secret(API),), admin_token=Secret(ADMIN))

    assert API not in repr(ring)
    assert ADMIN not in repr(ring)
    assert ring.secrets() == (Secret(API), Secret(ADMIN))
    assert caller_label(API.encode()) == caller_label(API.encode())
    assert caller_label(API.encode()) != caller_label(ADMIN.encode())
    assert len(caller_label(API.encode())) == len("key-12345678")


@pytest.mark.parametrize(
    ("weak", "reason"),
    [
        ("", "shorter than 16"),
        ("fifteen-letters", "shorter than 16"),
        ("changeme-changeme", "placeholder"),
        ("CHANGE_ME_PLEASE_1", "placeholder"),
        ("sk-xxxxxxxxxxxxxxxxxxxxxxxx", "placeholder"),
        ("your-api-key-here", "placeholder"),
        ("sk-YOUR_SECRET_KEY", "placeholder"),
        ("<put your key in here>", "ASCII"),
        ("<put-a-key-in-here>", "placeholder"),
        ("my-placeholder-key", "placeholder"),
        ("aaaaaaaaaaaaaaaaaaaaaaaa", "placeholder"),
        ("1234123412341234", "placeholder"),
        ("a key with some spaces", "ASCII"),
        ("一把很长很长很长很长很长很长的钥匙", "ASCII"),
        ("a-key-with-a-line-end\n", "ASCII"),
    ],
)
def test_weak_secrets_are_refused(weak: str, reason: str) -> None:
    """A secret that can be guessed or never be sent stops the start, and is not repeated."""
    with pytest.raises(LingmaError) as caught:
        check_configured([Secret(secrets.token_urlsafe(32)), Secret(weak)], "api_keys")

    assert caught.value.kind is ErrorKind.USAGE
    assert "`api_keys`" in caught.value.message
    assert reason in caught.value.message
    assert not weak or weak not in f"{caught.value.message} {caught.value.hint}"


def test_strong_secrets_pass() -> None:
    """Random texts and keys in the usual shapes are fine."""
    tokens = [secrets.token_urlsafe(12) for _ in range(200)]

    check_configured(
        [Secret(token) for token in [*tokens, secrets.token_hex(16), API, "sk-proj-0aB1cD2eF3gH4"]]
    )


LOOPBACK = ["127.0.0.1", "127.0.0.2", "127.255.255.254", "::1", "localhost", "LOCALHOST"]
BEYOND = ["0.0.0.0", "::", "", "192.168.1.5", "box", "localhost.evil.example", "localhost."]
BEYOND += ["127.0.0.1.evil.example", "127.1", "128.0.0.1", "::2", "[::1]", "fe80::1"]


@pytest.mark.parametrize("host", LOOPBACK)
def test_loopback_needs_nothing(host: str) -> None:
    """On loopback the user may do without keys."""
    assert is_loopback(host)
    check_bind(host, has_keys=False, no_auth=True)
    check_bind(host, has_keys=False, no_auth=False)


@pytest.mark.parametrize("host", BEYOND)
def test_no_listening_beyond_loopback_without_keys(host: str) -> None:
    """Elsewhere keys must exist and must not be switched off; else exit code 2 and a way out."""
    assert not is_loopback(host)
    check_bind(host, has_keys=True, no_auth=False)
    for has_keys, no_auth in ((False, False), (True, True), (False, True)):
        with pytest.raises(LingmaError) as caught:
            check_bind(host, has_keys=has_keys, no_auth=no_auth)
        assert FACES[caught.value.kind].exit_code == 2
        assert "127.0.0.1" in str(caught.value.hint)
    with pytest.raises(LingmaError, match="without keys") as missing:
        check_bind(host, has_keys=False, no_auth=False)
    assert "LINGMA_API_KEYS" in str(missing.value.hint)


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


def _in_an_open_folder(path: Path) -> None:
    path.parent.chmod(0o777)


@pytest.mark.parametrize(
    "spoil",
    [
        _readable_by_others,
        _writable_by_group,
        _a_link,
        _a_dangling_link,
        _a_fifo,
        _a_folder,
        _in_an_open_folder,
    ],
)
def test_keys_of_doubtful_origin_are_refused(
    keys_file: Path, spoil: Callable[[Path], None]
) -> None:
    """A file that others may have read or planted is not used, and not replaced either."""
    load_or_create(keys_file, new_token)
    spoil(keys_file)
    before = keys_file.lstat()

    with pytest.raises(LingmaError) as caught:
        load_or_create(keys_file, new_token)

    assert caught.value.kind is ErrorKind.USAGE
    assert caught.value.hint
    assert keys_file.lstat().st_ino == before.st_ino


def test_keys_of_somebody_else_are_refused(keys_file: Path) -> None:
    """A file of another user is not ours to use."""
    load_or_create(keys_file, new_token)
    if os.getuid() == 0:
        os.chown(keys_file, 65534, 65534)
    else:
        keys_file = Path("/etc/passwd")

    with pytest.raises(LingmaError, match="belongs to somebody else"):
        load_or_create(keys_file, new_token)


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
def test_corrupt_keys_are_not_made_anew(keys_file: Path, content: bytes) -> None:
    """Clients hold the old key, so a person has to decide."""
    load_or_create(keys_file, new_token)
    keys_file.write_bytes(content)

    with pytest.raises(LingmaError, match="it is corrupt") as caught:
        load_or_create(keys_file, new_token)

    assert caught.value.kind is ErrorKind.USAGE
    assert keys_file.read_bytes() == content
