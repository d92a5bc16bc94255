"""Login records and what the service remembers."""

import base64
import json
from pathlib import Path

import pytest

from lingma_cli.demo import records
from lingma_cli.demo.records import Cloud, Record

RECORD = Record(user="demo", family="a" * 24, expires_ms=7, organisation="o")


def test_a_record_opens_for_its_machine_only() -> None:
    """It is opaque text without the tokens in it."""
    sealed = records.seal(RECORD, "machine")

    assert records.unseal(sealed, "machine") == RECORD
    assert records.unseal(sealed, "another") is None
    assert RECORD.token not in base64.b64decode(sealed).decode()


@pytest.mark.parametrize(
    "content",
    ["", "?", "[]", '{"simulator":false}', '{"simulator":true}', '{"simulator":true,"odd":1}'],
)
def test_other_texts_are_no_records(content: str) -> None:
    """Whatever stands in the file, nothing breaks."""
    assert records.unseal(content, "machine") is None
    assert records.unseal(base64.b64encode(content.encode()).decode(), "machine") is None


def test_only_a_simulators_text_is_ours() -> None:
    """A record that is bound to another machine is, too."""
    assert records.is_ours(records.seal(RECORD, "another"))
    assert not records.is_ours(base64.b64encode(json.dumps({"user": "x"}).encode()).decode())


def test_tokens_lead_back_to_their_record() -> None:
    """Both have to fit."""
    found = records.of_tokens("demo", RECORD.token, RECORD.refresh_token, 7)

    assert found == Record(user="demo", family="a" * 24, expires_ms=7)
    assert records.of_tokens("demo", RECORD.token, "rt-x", 7) is None
    assert records.of_tokens("demo", "pt-short", RECORD.refresh_token, 7) is None


def test_a_refresh_token_is_good_once(tmp_path: Path) -> None:
    """Whoever comes second has nothing any more."""
    one, other = Cloud(tmp_path), Cloud(tmp_path)
    fresh = one.rotate(RECORD, 8)

    assert fresh is not None
    assert (fresh.serial, fresh.expires_ms, fresh.family) == (2, 8, RECORD.family)
    assert fresh.token != RECORD.token
    assert other.rotate(RECORD, 9) is None
    assert (other.accepts(RECORD), other.accepts(fresh)) == (False, True)


def test_services_apart_know_nothing_of_each_other(tmp_path: Path) -> None:
    """A folder of its own is a service of its own."""
    Cloud(tmp_path / "a").revoke(RECORD)

    assert Cloud(tmp_path / "b").accepts(RECORD)
