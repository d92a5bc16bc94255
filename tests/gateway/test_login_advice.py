"""What a client is told when a login is missing."""

from __future__ import annotations

import pytest

from lingma_cli.core.events import Failed, Started
from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.gateway.login_advice import LoginAdvice
from tests.support.house import House
from tests.support.scripted_engine import ScriptedEngine
from tests.support.virtual_time import run

EXPIRED = LingmaError(ErrorKind.LOGIN_REQUIRED, "the login is expired", hint="sign in")
HINT = "run `lingma login --account work`"


def test_only_failures_are_touched() -> None:
    """Everything else goes through as it is."""
    stage = LoginAdvice(lambda error: LingmaError(error.kind, error.message, hint=HINT))
    started, failed = Started(model="m"), Failed(error=EXPIRED)

    first, second = stage.feed([started, failed])

    assert first is started
    assert isinstance(second, Failed)
    assert second.error.advice == f"the login is expired; {HINT}"


@pytest.mark.parametrize("when", ["at the door", "in the answer"])
def test_a_client_reads_the_command(when: str) -> None:
    """Before the first event it is raised, later it is the last event."""
    engine = ScriptedEngine([[Started(model="m")], EXPIRED])
    if when == "at the door":
        engine.refusal = EXPIRED
    house = House(engine)
    house.registry.slots[0].login_hint = HINT

    async def main() -> str:
        try:
            last = (await house.ask())[-1]
        except LingmaError as error:
            return error.advice
        assert isinstance(last, Failed)
        return f"event: {last.error.advice}"

    told = run(main())

    assert told.removeprefix("event: ") == f"the login is expired; {HINT}"
    assert told.startswith("event") == (when == "in the answer")
