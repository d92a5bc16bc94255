"""Keys: what opens what, and what is too weak."""

from __future__ import annotations

import secrets

import pytest

from lingma_cli.auth.keys import (
    KeyRing,
    Tier,
    caller_label,
    check_configured,
)
from lingma_cli.errors import ErrorKind, LingmaError
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
