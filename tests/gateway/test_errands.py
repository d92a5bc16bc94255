"""Which engines take what is passed on, and which model is meant."""

from __future__ import annotations

import pytest

from lingma_cli.control.registry import EngineState, Slot
from lingma_cli.core.events import Usage
from lingma_cli.core.notes import NoteCode, codes
from lingma_cli.errors import FACES, ErrorKind, LingmaError
from lingma_cli.gateway.model_names import ModelRules
from lingma_cli.gateway.router import PolicyRules
from tests.support.house import REQUEST
from tests.support.passing_engine import (
    VECTORS,
    Passing,
    PassingEngine,
    bodies,
    completer,
    embedder,
    refused,
)
from tests.support.scripted_engine import ScriptedEngine
from tests.support.virtual_time import run

BROKEN = LingmaError(ErrorKind.ENGINE_FAILED, "it broke")


def test_embeddings_of_a_named_model() -> None:
    """Engines for embeddings go before others that offer the same model."""
    other, own = completer([VECTORS], models=("bge",)), embedder()
    house = Passing(other, own)

    assert run(house.embed("bge")) == VECTORS
    assert bodies(own) == [{"model": "bge", "input": "hi"}]
    assert (house.record.protocol, house.record.end) == ("openai_embeddings", "stop")
    assert house.record.usage == Usage(input_tokens=7, output_tokens=0)
    assert not house.record.notes


def test_embeddings_of_a_model_that_only_a_chat_engine_has() -> None:
    """It is the one that was named."""
    other, own = completer([VECTORS], models=("tiny",)), embedder()

    assert run(Passing(other, own).embed("tiny")) == VECTORS
    assert bodies(other) == [{"model": "tiny", "input": "hi"}]


@pytest.mark.parametrize("name", ["text-embedding-3-small", ""])
def test_embeddings_of_a_model_that_nobody_knows(name: str) -> None:
    """The first engine for embeddings decides the model; vectors of two cannot be compared."""
    other, first, second = completer(), embedder("e", "bge"), embedder("f", "gte", "bge")
    house = Passing(other, second, first)

    for _ in range(2):
        run(house.embed(name))
    house.registry.move(second, EngineState.ERROR, BROKEN)
    assert refused(lambda: house.embed(name)).message == BROKEN.message

    assert bodies(second) == [{"model": "gte", "input": "hi"}] * 2
    assert not bodies(first)
    assert codes(house.records[0].notes) == ((NoteCode.MODEL_FALLBACK.value,) if name else ())


@pytest.mark.parametrize("state", [EngineState.STARTING, EngineState.STOPPED, EngineState.ERROR])
def test_the_first_engine_for_embeddings_has_not_told_its_models(state: EngineState) -> None:
    """Vectors of the next one's model could not be compared with those of a moment later."""
    first, second = Slot(engine=PassingEngine(name="e", models=()), kind="embedding"), embedder("f")
    house = Passing(first, second, ready=False)
    house.registry.move(second, EngineState.READY)
    if state is not EngineState.STARTING:
        house.registry.move(first, state, BROKEN)

    error = refused(lambda: house.embed("text-embedding-3-small"))

    assert FACES[error.kind].status == 503
    assert "`e`" in error.message
    assert run(house.embed("bge")) == VECTORS
    assert len(bodies(second)) == 1


def test_an_engine_for_embeddings_that_lists_no_models() -> None:
    """It may know the name all the same."""
    own = Slot(engine=PassingEngine([VECTORS], name="e", models=()), kind="embedding")

    run(Passing(own).embed("text-embedding-3-small"))

    assert bodies(own)[0]["model"] == "text-embedding-3-small"


def test_nobody_embeds() -> None:
    """The client is told what is missing and how it is had."""
    house = Passing(Slot(engine=ScriptedEngine()))

    error = refused(lambda: house.embed("bge"))

    assert (FACES[error.kind].status, error.param) == (404, "model")
    assert "lingma engine add URL --kind embedding" in error.advice
    assert (house.record.end, house.record.attempts) == ("not_found", ())


def test_nobody_embeds_with_that_model() -> None:
    """Chat engines are not asked for what they do not offer."""
    error = refused(lambda: Passing(completer()).embed("bge"))

    assert "`bge`" in error.message
    assert "--kind embedding" in error.advice


def test_who_embeds_is_away() -> None:
    """That is another matter: it may come back."""
    own, lingma = embedder(), Slot(engine=ScriptedEngine())
    house = Passing(lingma, own, ready=False)
    house.registry.move(lingma, EngineState.READY)
    house.registry.move(own, EngineState.STOPPED)

    error = refused(lambda: house.embed("bge"))

    assert FACES[error.kind].status == 503
    assert "lingma engine list" in error.advice


def test_lingma_completes_nothing() -> None:
    """Alone, or as the only one with that model, it is named with the way that works."""
    lingma = Slot(engine=ScriptedEngine(name="lingma"))

    for house in (Passing(lingma), Passing(Slot(engine=ScriptedEngine()), completer())):
        error = refused(lambda house=house: house.complete("org_auto"))  # type: ignore[misc]
        assert (FACES[error.kind].status, error.param) == (404, "model")
        assert "/v1/chat/completions" in error.advice


def test_an_unknown_model_is_completed_by_whoever_can() -> None:
    """As in chat, with a note."""
    able = completer()
    house = Passing(Slot(engine=ScriptedEngine()), able)

    run(house.complete("gpt-3.5-turbo-instruct"))

    assert bodies(able)[0]["model"] == "m"
    assert codes(house.record.notes) == ("model_fallback",)


def test_embedding_engines_complete_nothing() -> None:
    """They are there for something else."""
    assert refused(Passing(embedder()).complete).kind is ErrorKind.NOT_FOUND


def test_aliases_and_fallbacks_count() -> None:
    """The same rules as in chat."""
    rules = ModelRules(
        default="x", aliases=[("ada-*", "m")], fallbacks=[("m", "n"), ("bge", "gte")]
    )
    able, other = completer(), completer(name="b", models=("n",))
    house = Passing(able, other, names=rules)

    run(house.complete("ada-2"))
    house.registry.move(able, EngineState.ERROR, BROKEN)
    run(house.complete("ada-2"))

    assert [record.engine for record in house.records] == ["a", "b"]
    assert [codes(record.notes) for record in house.records] == [(), ("model_fallback",)]
    assert bodies(other)[0]["model"] == "n"


def test_routing_headers_are_obeyed() -> None:
    """A target names one by its place."""
    house = Passing(
        completer(name="a"), completer(name="b"), rules=PolicyRules(policy="consistent_hashing")
    )

    run(house.complete(x_smg_target_worker="1"))
    run(house.complete(x_smg_target_worker="0"))

    assert [record.engine for record in house.records] == ["b", "a"]


def test_completions_do_not_disturb_the_policy_of_chat() -> None:
    """Who cannot complete has not left the pool, and no turn of it is used up."""
    lingma, able = Slot(engine=ScriptedEngine(name="lingma")), completer(models=("org_auto",))
    house = Passing(lingma, able, rules=PolicyRules(policy="round_robin"))
    (goal,) = house.router.goals("org_auto")

    def chat() -> str:
        choose = house.router.chooser(REQUEST, goal, {})
        with house.registry.lease(choose, serves=house.router.serving(goal)) as slot:
            return slot.engine.name

    turns = [chat()]
    run(house.complete("org_auto"))
    turns.append(chat())

    assert sorted(turns) == ["a", "lingma"]
    assert len(bodies(able)) == 1


@pytest.mark.parametrize("name", ["", "bge"])
def test_nobody_who_is_there_for_embeddings(name: str) -> None:
    """Engines that could do it must be named by their model, and that is said."""
    error = refused(lambda: Passing(completer(models=("tiny",))).embed(name))

    assert error.kind is ErrorKind.NOT_FOUND
    assert ("`bge`" in error.message) == bool(name)
    assert ("name the model" in error.message) == (not name)
    assert "``" not in error.advice
