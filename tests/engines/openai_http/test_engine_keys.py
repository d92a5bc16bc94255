"""The key of an HTTP engine: where it goes, where it does not, and what its refusal means."""

from __future__ import annotations

import logging

import pytest

from lingma_cli.core.login import LoginState
from lingma_cli.engines.openai_http.engine import OpenAiHttpEngine
from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.secret import Secret
from tests.engines.openai_http.live import MODELS, WELL, living, options
from tests.support.openai_server import answer, error_reply, openai_server

KEY = "sk-hunter2-hunter2"


@pytest.mark.parametrize("key", ["", "a b", "a\r\nx: y", "schlüssel"])
def test_keys_that_no_header_can_hold_are_refused(key: str) -> None:
    """Before anything is sent, and without being shown."""
    with pytest.raises(LingmaError) as raised:
        OpenAiHttpEngine("e", options("http://h", find_key=lambda: Secret(key)), lambda: "0")

    assert raised.value.kind is ErrorKind.USAGE
    assert not key or key not in raised.value.advice


def test_the_key_goes_to_the_server_and_nowhere_else(caplog: pytest.LogCaptureFixture) -> None:
    """Errors, logs and what the engine looks like do not hold it."""
    caplog.set_level(logging.DEBUG)
    echo = error_reply(400, f"bad request with Authorization: Bearer {KEY}", "x")
    with (
        openai_server(engine_health=WELL, models=MODELS, chat=echo) as server,
        living(server.url, find_key=lambda: Secret(KEY)) as live,
    ):
        error = live.refusal()

        assert all(asked.headers["authorization"] == f"Bearer {KEY}" for asked in server.asked)
        assert "hunter2" not in f"{error.advice} {error!r} {live.engine!r}" + caplog.text


def test_each_life_looks_for_the_key() -> None:
    """One that was renewed counts from the restart on, and is hidden like the first."""
    keys = ["sk-old-old", "sk-old-old", "sk-new-new"]
    echo = error_reply(400, "not sk-new-new", "x")
    with (
        openai_server(engine_health=WELL, models=MODELS, chat=echo) as server,
        living(server.url, find_key=lambda: Secret(keys.pop(0))) as live,
    ):
        live.restart()
        error = live.refusal()

        shown = [asked.headers["authorization"].split("-")[1] for asked in server.asked]
        assert shown == ["old", "old", "new", "new", "new"]
        assert "sk-new" not in error.message


def test_without_a_key_none_is_sent() -> None:
    """Not even an empty one."""
    with (
        openai_server(engine_health=WELL, models=MODELS, chat=answer("a")) as server,
        living(server.url) as live,
    ):
        live.ask()

        assert all("authorization" not in asked.headers for asked in server.asked)


def test_a_wrong_key_is_not_tried_again_and_again() -> None:
    """It stays wrong; the error says what to do."""
    refused = error_reply(401, f"no such key {KEY}", "invalid_api_key")
    with (
        openai_server(engine_health=WELL, models=refused) as server,
        living(server.url, ready=False, find_key=lambda: Secret(KEY)) as live,
    ):
        error = live.death()

        assert error.kind is ErrorKind.LOGIN_REQUIRED
        assert "lingma engine restart local" in str(error.hint)
        assert "hunter2" not in error.advice
        assert [asked.path for asked in server.asked].count("/v1/models") == 1


@pytest.mark.parametrize("status", [401, 403])
def test_a_key_that_is_refused_is_a_missing_login(status: int) -> None:
    """Until an answer tells otherwise; a path that anybody may ask tells nothing."""
    refused = error_reply(status, "no", "")
    with (
        openai_server(
            engine_health=WELL, models=MODELS, chat=[refused, answer("a"), refused]
        ) as server,
        living(server.url) as live,
    ):
        known = []

        def note() -> None:
            known.append(live.engine.login.value)

        assert live.refusal().kind is ErrorKind.LOGIN_REQUIRED
        note()
        live.run(live.engine.check())
        live.run(live.engine.refresh_models())
        note()
        live.ask()
        note()
        live.refusal()
        note()
        live.restart()
        note()

        assert known == ["out", "out", "in", "out", "in"]
        assert server.asked[-1].path == "/v1/models"


def test_a_check_that_was_refused_tells_when_the_key_is_good_again() -> None:
    """What it asks is known to need one."""
    with openai_server(models=MODELS) as server, living(server.url) as live:
        server.replies["/v1/models"] = [error_reply(401, "no", ""), MODELS]

        live.raised(lambda: live.run(live.engine.check()))
        known = [live.engine.login]
        live.run(live.engine.check())

        assert [*known, live.engine.login] == [LoginState.OUT, LoginState.IN]
