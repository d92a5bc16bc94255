"""The official `openai` package against the running program."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import openai
import pytest
from openai.types.chat import ChatCompletionMessageParam, ChatCompletionUserMessageParam

from tests.support.serving import Serving


def user(text: str) -> list[ChatCompletionMessageParam]:
    """Return a conversation of one user turn."""
    return [ChatCompletionUserMessageParam(role="user", content=text)]


QUESTION = user('[[demo: say="你好，世界 🙂 ok" chunks=8 cut=1]]')
ANSWER = "你好，世界 🙂 ok"


@pytest.fixture
def client(demo: Serving) -> Iterator[openai.OpenAI]:
    """A client of the running demo."""
    with openai.OpenAI(base_url=f"{demo.url}/v1", api_key="any", max_retries=0) as client:
        yield client


def test_answers_without_streaming(client: openai.OpenAI) -> None:
    """`create` returns text, finish reason and usage."""
    answer = client.chat.completions.create(model="org_auto", messages=QUESTION)

    assert answer.choices[0].message.content == ANSWER
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert answer.usage.total_tokens > 2
    assert answer.model == "org_auto"


def test_streams_text_and_usage(client: openai.OpenAI) -> None:
    """`stream=True` yields the same text in pieces, and usage in the last chunk when asked."""
    chunks = list(
        client.chat.completions.create(
            model="org_auto",
            messages=QUESTION,
            stream=True,
            stream_options={"include_usage": True},
        )
    )

    pieces = [chunk.choices[0].delta.content for chunk in chunks if chunk.choices]
    assert "".join(piece or "" for piece in pieces) == ANSWER
    assert len([piece for piece in pieces if piece]) > 1
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"
    assert len({chunk.id for chunk in chunks}) == 1


def test_lists_models(client: openai.OpenAI) -> None:
    """`models.list` shows the process's live list."""
    keys = [model.id for model in client.models.list()]

    assert "org_auto" in keys
    assert len(keys) > 1


def test_async_client_gets_the_same(demo: Serving) -> None:
    """The asynchronous client works in both modes."""

    async def both() -> tuple[str | None, str]:
        async with openai.AsyncOpenAI(base_url=f"{demo.url}/v1", api_key="any") as client:
            whole = await client.chat.completions.create(
                model="org_auto",
                messages=QUESTION,
            )
            stream = await client.chat.completions.create(
                model="org_auto",
                messages=QUESTION,
                stream=True,
            )
            pieces = [chunk.choices[0].delta.content or "" async for chunk in stream]
            return whole.choices[0].message.content, "".join(pieces)

    assert asyncio.run(both()) == (ANSWER, ANSWER)


def test_errors_are_typed(client: openai.OpenAI) -> None:
    """A quota ending is a `RateLimitError` with `retry-after`, before and without streaming."""
    for stream in (False, True):
        with pytest.raises(openai.RateLimitError) as caught:
            client.chat.completions.create(
                model="org_auto",
                messages=user("[[demo: finish=403 after=0]]"),
                stream=stream,
            )
        assert caught.value.code == "insufficient_quota"
        assert int(caught.value.response.headers["retry-after"]) > 0


def test_a_break_in_mid_stream_raises(client: openai.OpenAI) -> None:
    """An error after text has come reaches the SDK as an error, not as a clean end."""
    pieces: list[str] = []

    def read() -> None:
        for chunk in client.chat.completions.create(
            model="org_auto", messages=user("[[demo: finish=500 after=2]]"), stream=True
        ):
            pieces.append(chunk.choices[0].delta.content or "")  # noqa: PERF401 - kept on a break

    with pytest.raises(openai.APIError):
        read()

    assert "".join(pieces)
