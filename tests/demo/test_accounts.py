"""The accounts of the simulated service."""

import hashlib

import pytest

from lingma_cli.demo.accounts import DEMO, TEAM, Account, Accounts

HASHED = "sha256:" + hashlib.sha256(b"canary").hexdigest()
EXTRA = Account(user="x", password=HASHED, token=HASHED, key="k", secret=HASHED)


def test_each_secret_lets_its_account_in() -> None:
    """Password, token and key pair."""
    accounts = Accounts()

    assert accounts.by_password("demo", "demo-password") == DEMO
    assert accounts.by_token("team-personal-token") == TEAM
    assert accounts.by_key("demo-access-key", "demo-secret-key") == DEMO


@pytest.mark.parametrize("wrong", ["", "demo-passwor", "demo-password ", "team-password", "密"])
def test_nothing_else_does(wrong: str) -> None:
    """Wrong secrets, empty ones, and those of others."""
    accounts = Accounts()

    assert accounts.by_password("demo", wrong) is None
    assert accounts.by_password("nobody", wrong) is None
    assert accounts.by_token(wrong) is None
    assert accounts.by_key("demo-access-key", wrong) is None
    assert accounts.by_key(wrong, "demo-secret-key") is None


def test_secrets_may_be_hashed() -> None:
    """So a test's secret need not stand in the environment; the hash itself opens nothing."""
    accounts = Accounts(EXTRA)

    assert accounts.by_password("x", "canary") == EXTRA
    assert accounts.by_token("canary") == EXTRA
    assert accounts.by_key("k", "canary") == EXTRA
    assert accounts.by_token(HASHED) is None


def test_the_extra_account_comes_first() -> None:
    """It may stand in for one of the table."""
    other = Account(user="demo", password="another")

    assert Accounts(other).by_password("demo", "demo-password") is None
    assert Accounts(other).by_password("demo", "another") == other


def test_organisations_are_a_list() -> None:
    """None, or several; they make the plan."""
    assert (DEMO.choices, DEMO.kind) == ((), "personal_standard")
    assert (TEAM.choices, TEAM.kind) == (("org-red", "org-blue"), "enterprise_standard")
