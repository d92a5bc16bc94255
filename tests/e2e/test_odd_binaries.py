"""Binaries with odd habits: whatever Lingma does, requests end properly and the server stays."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import psutil
import pytest

from tests.e2e.test_faults import streamed_text
from tests.e2e.test_starts import run
from tests.support import odd_lingma
from tests.support.raw_http import RawClient
from tests.support.serving import Serving, program_environment, serving, wait_until


def launcher(folder: Path) -> str:
    """Write an executable that becomes the odd Lingma, and return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    script = folder / "lingma"
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{odd_lingma.__file__}" "$@"\n')
    script.chmod(0o700)
    return str(script)


@contextlib.contextmanager
def odd(
    home: Path, habit: str, *arguments: str, work_dir: Path | None = None, ready: bool = True
) -> Iterator[Serving]:
    """Serve an odd Lingma whose work folder is `work` in `home`."""
    ours = ("--bin", launcher(home), "--no-auth", "--work-dir", str(work_dir or home / "work"))
    environ = {"LINGMA_DEMO_ODD": habit}
    with serving(home, *ours, *arguments, environ=environ, ready=ready) as server:
        yield server


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """An odd Lingma without a habit of its own: the questions choose."""
    with odd(tmp_path_factory.mktemp("plain"), "") as server:
        yield server


def journal(server: Serving) -> list[dict[str, Any]]:
    """Return what the odd Lingma noted so far."""
    path = server.home / "work" / "odd.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    return [json.loads(line) for line in lines]


def heard(server: Serving, method: str) -> list[dict[str, Any]]:
    """Return the journal's lines about `method`."""
    return [entry for entry in journal(server) if entry.get("method") == method]


def connections(server: Serving) -> int:
    """Return how often somebody connected."""
    return sum("connected" in entry for entry in journal(server))


def error_of(answer: httpx.Response) -> dict[str, Any]:
    """Return the error object, in the envelope that OpenAI's clients read."""
    assert answer.headers["content-type"] == "application/json"
    error: dict[str, Any] = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    return error


def text_of(answer: httpx.Response) -> str:
    """Return the text of a good answer."""
    assert answer.status_code == 200, answer.text
    text: str = answer.json()["choices"][0]["message"]["content"]
    return text


def connect(server: Serving) -> RawClient:
    """Open a connection on which the test chooses the bytes."""
    address = urlsplit(server.url)
    return RawClient((address.hostname or "", address.port or 0))


def chat_head(length: int) -> bytes:
    """Return the head of a chat request with a body of `length` bytes."""
    start = "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n"
    return f"{start}Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n".encode()


def chat_request(question: str) -> bytes:
    """Return a chat request that is not streamed, as bytes."""
    message = {"role": "user", "content": question}
    body = json.dumps({"model": "org_auto", "messages": [message]}).encode()
    return chat_head(len(body)) + body


def tells_no_traceback(log: str) -> bool:
    """Tell whether `log` is free of tracebacks, in lines of text and of JSON."""
    return "traceback" not in log.lower()


# Starts


@pytest.mark.parametrize("habit", ["handshake-silence", "handshake-garbage"])
def test_a_handshake_that_fails(tmp_path: Path, habit: str) -> None:
    """The request is told so, and the server stays up."""
    with odd(tmp_path, habit, "--startup-timeout", "1", ready=False) as server:
        answer = server.ask("hello")

        assert answer.status_code in {503, 504}
        assert error_of(answer)["code"] in {"engine_unavailable", "engine_timeout"}
        assert server.get("/healthz").status_code == 200
        assert server.stop() == 0
        assert tells_no_traceback(server.log)


def test_a_signal_during_the_handshake(tmp_path: Path) -> None:
    """A server whose engine never comes up can be stopped."""
    with odd(tmp_path, "handshake-silence", ready=False) as server:
        wait_until(lambda: connections(server) > 0, within=5)

        assert server.stop() == 0
        assert tells_no_traceback(server.log)


def test_an_info_file_that_is_a_folder(tmp_path: Path) -> None:
    """The request is told what is wrong with the work folder, and the server stays up."""
    (tmp_path / "work").mkdir(mode=0o700)
    (tmp_path / "work" / ".info").mkdir()
    with odd(tmp_path, "", ready=False) as server:
        answer = server.ask("hello")

        assert answer.status_code == 503
        assert ".info" in error_of(answer)["message"]
        assert server.get("/healthz").status_code == 200
        assert server.stop() == 0
        assert tells_no_traceback(server.log)


@pytest.mark.skipif(os.name != "posix", reason="file modes are a POSIX matter")
def test_a_work_folder_that_others_can_write(tmp_path: Path) -> None:
    """Nobody else may put files before the binary: the server does not start."""
    work_dir = tmp_path / "work"
    work_dir.mkdir()
    work_dir.chmod(0o777)

    arguments = ("--bin", launcher(tmp_path / "bin"), "--work-dir", str(work_dir), "--port", "0")
    done = run(tmp_path / "home", "serve", "--no-auth", *arguments)

    assert done.returncode == 2
    assert str(work_dir) in done.stderr
    assert "hint: " in done.stderr


def test_a_stranger_on_the_port(tmp_path: Path) -> None:
    """Who listens on the same port of another address is told nothing."""
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        port = str(stranger.getsockname()[1])
        arguments = ("--socket-port", port, "--startup-timeout", "1")
        with odd(tmp_path, "other-loopback", *arguments, ready=False) as server:
            answer = server.ask("hello")

            assert answer.status_code == 503
            assert error_of(answer)["code"] == "engine_unavailable"
        stranger.settimeout(0)
        with contextlib.suppress(BlockingIOError):
            visitor, _ = stranger.accept()
            with visitor:
                assert visitor.recv(1) == b""


def test_secrets_in_the_last_words(tmp_path: Path) -> None:
    """What a dying binary prints reaches neither a client nor the log with its secrets."""
    with odd(tmp_path, "last-words", ready=False) as server:
        answer = server.ask("hello")

        assert answer.status_code == 503
        assert "status 3" in error_of(answer)["message"]
        told = answer.text + server.log
        assert [secret for secret in odd_lingma.SECRETS if secret in told] == []


def test_a_work_folder_in_use(tmp_path: Path) -> None:
    """A second server on one work folder fails clearly and leaves the first alone."""
    work_dir = tmp_path / "one" / "work"
    with odd(tmp_path / "one", "") as first:
        before = {name: (work_dir / name).read_bytes() for name in (".info", ".info.json")}

        told = refusal_of_second(tmp_path / "two", work_dir)

        assert str(work_dir) in told
        assert before == {name: (work_dir / name).read_bytes() for name in before}
        assert len([entry for entry in journal(first) if "started" in entry]) == 1
        assert text_of(first.ask("hello")) == "fine"


def refusal_of_second(home: Path, work_dir: Path) -> str:
    """Serve on `work_dir` as well; return what the start or the first request is told."""
    home.mkdir()
    address = home / "run" / "server.json"
    ours = ("--bin", launcher(home), "--no-auth", "--work-dir", str(work_dir), "--port", "0")
    command = [sys.executable, "-m", "lingma_cli", "serve", *ours]
    with subprocess.Popen(
        command, env=program_environment(home), stderr=subprocess.PIPE, text=True
    ) as second:
        try:
            wait_until(lambda: second.poll() is not None or address.exists(), within=5)
            if second.poll() is not None:
                assert second.returncode in {2, 3}
                return second.communicate(timeout=5)[1]
            answer = Serving(second, home, json.loads(address.read_text())["url"]).ask("hello")  # type: ignore[arg-type]
            assert answer.status_code == 503
            message: str = error_of(answer)["message"]
            return message
        finally:
            second.terminate()


# Login and models


@pytest.mark.parametrize("habit", ["id-null", "id-number"])
def test_an_account_without_a_name(tmp_path: Path, habit: str) -> None:
    """Who is logged in does not matter, only whether somebody is."""
    with odd(tmp_path, habit) as server:
        assert text_of(server.ask("hello")) == "fine"


def test_a_login_that_is_never_decided(tmp_path: Path) -> None:
    """Only the start waits for it; no request does."""
    with odd(tmp_path, "undecided", "--rpc-timeout", "2", ready=False) as server:
        server.ask("hello")
        for _ in range(2):
            started = time.monotonic()
            answer = server.ask("hello")

            assert time.monotonic() - started < 1
            assert answer.status_code in {200, 503}
            assert "x-should-retry" not in answer.headers


def test_a_refused_model_list(tmp_path: Path) -> None:
    """Answers need no list: the default model serves."""
    with odd(tmp_path, "models-refused", ready=False) as server:
        assert text_of(server.ask("hello")) == "fine"


def test_a_refused_login_state(tmp_path: Path) -> None:
    """A refusal that speaks of the login is one."""
    with odd(tmp_path, "login-refused", ready=False) as server:
        answer = server.ask("hello")

        assert answer.status_code == 401
        assert error_of(answer)["code"] == "login_required"
        assert answer.headers["x-should-retry"] == "false"


def test_a_configured_key_closes_every_tier(tmp_path: Path) -> None:
    """The demo is open only as long as nobody has configured a secret."""
    environ = {"LINGMA_API_KEYS": "abcdefghijklmnopqrstuvwx"}
    with serving(tmp_path, "--demo", environ=environ, ready=False) as server:
        paths = ("/v1/models", "/internal/stats", "/metrics")

        assert {path: server.get(path).status_code for path in paths} == dict.fromkeys(paths, 401)


# Answers


@pytest.mark.parametrize("question", [*odd_lingma.ODD_PUSHES, "reason-number"])
def test_odd_types_hurt_nobody(plain: Serving, question: str) -> None:
    """A push with a field of the wrong type is acknowledged, and every answer completes."""
    answer, bystander = ask_beside_a_stream(plain, question)

    assert text_of(answer) == "fine"
    assert streamed_text(bystander) == "one two"
    wait_until(lambda: not unacknowledged(plain, question), within=2, what="acknowledgements")


@pytest.mark.parametrize(
    ("question", "codes"),
    [
        ("code-text", {"engine_failed", "insufficient_quota"}),
        ("message-null", {"engine_failed"}),
    ],
)
def test_odd_refusals_hurt_one_answer(plain: Serving, question: str, codes: set[str]) -> None:
    """An error object with a field of the wrong type fails the ask that it answers."""
    answer, bystander = ask_beside_a_stream(plain, question)

    assert error_of(answer)["code"] in codes
    assert "lost" not in error_of(answer)["message"]
    assert streamed_text(bystander) == "one two"


def ask_beside_a_stream(server: Serving, question: str) -> tuple[httpx.Response, str]:
    """Ask while another answer is under way; return the answer and the other's stream."""
    message = {"role": "user", "content": "hold"}
    body = {"model": "org_auto", "messages": [message], "stream": True}
    url = f"{server.url}/v1/chat/completions"
    with httpx.stream("POST", url, json=body, trust_env=False, timeout=5) as bystander:
        lines = bystander.iter_lines()
        seen = [next(line for line in lines if "one" in line)]
        answer = server.ask(question)
        server.ask("release")
        return answer, "\n".join([*seen, *lines])


def unacknowledged(server: Serving, question: str) -> set[int]:
    """Return the ids of pushes for `question` that got no answer yet."""
    entries = journal(server)
    pushed = {entry["pushed"] for entry in entries if entry.get("question") == question}
    assert pushed
    return pushed - {entry.get("acknowledged") for entry in entries}


def test_all_at_once_and_goodbye(plain: Serving) -> None:
    """A tool call, the whole answer and the close in one packet: the answer is whole."""
    before = len(plain.log)

    assert text_of(plain.ask("tool-and-close")) == "a whole answer"
    assert text_of(plain.ask("hello")) == "fine"
    assert tells_no_traceback(plain.log[before:])


def test_an_empty_text_beside_content(plain: Serving) -> None:
    """The piece is where the words are."""
    assert text_of(plain.ask("content")) == "abc"


def test_a_flood(plain: Serving) -> None:
    """20 MB that come at once reach a client that reads."""
    text = streamed_text(plain.ask("flood", stream=True).text)

    assert len(text) == odd_lingma.FLOOD_PUSHES * len(odd_lingma.FLOOD_PIECE)


@pytest.mark.parametrize(
    ("question", "code"), [("busy", "overloaded"), ("used-up", "insufficient_quota")]
)
def test_two_kinds_of_too_much(plain: Serving, question: str, code: str) -> None:
    """Too many requests and a used-up quota share a status, and the reason tells them apart."""
    answer = plain.ask(question)

    assert answer.status_code == 429
    assert error_of(answer)["code"] == code
    assert float(answer.headers["retry-after"]) > 0


FUNCTION = {"type": "function", "function": {"name": "f", "parameters": {}}}
ALLOWED = {"mode": "auto", "tools": [{"type": "function", "function": {"name": "f"}}]}
CUSTOM_CALL = {"id": "c1", "type": "custom", "custom": {"name": "x", "input": "words"}}
CUSTOM_TURNS = [
    {"role": "assistant", "content": None, "tool_calls": [CUSTOM_CALL]},
    {"role": "tool", "tool_call_id": "c1", "content": "ok"},
]


@pytest.mark.parametrize(
    "fields",
    [
        {
            "tools": [FUNCTION],
            "tool_choice": {"type": "allowed_tools", "allowed_tools": ALLOWED},
        },
        {
            "tools": [{"type": "custom", "custom": {"name": "x"}}],
            "tool_choice": {"type": "custom", "custom": {"name": "x"}},
        },
        {"messages": [{"role": "user", "content": "hello"}, *CUSTOM_TURNS]},
    ],
    ids=["allowed-tools", "custom-choice", "custom-call"],
)
def test_newer_tool_forms_are_noted(plain: Serving, fields: dict[str, Any]) -> None:
    """Forms of tools that cannot be honoured cost a note, not the request."""
    messages = [{"role": "user", "content": "hello"}]
    answer = plain.post({"model": "org_auto", "messages": messages} | fields)

    assert text_of(answer) == "fine"
    assert answer.headers["x-lingma-notes"]


# Shutdown


def test_half_a_body_at_shutdown(tmp_path: Path) -> None:
    """Who is still sending is told that the server goes, or is cut off."""
    with (
        odd(tmp_path, "", "--drain-timeout", "0.5") as server,
        connect(server) as client,
    ):
        client.send(chat_head(100) + b"{")
        # What was sent before has been read when this is answered.
        server.get("/healthz")

        assert server.stop() == 0
        assert_told_to_go(client)
        assert tells_no_traceback(server.log)


@pytest.mark.skipif(os.name != "posix", reason="stopping a process is a POSIX matter")
def test_models_of_a_stopped_process_at_shutdown(tmp_path: Path) -> None:
    """A list that never comes does not hold up the shutdown."""
    with odd(tmp_path, "", "--drain-timeout", "0.5") as server:
        with connect(server) as client, stopped(journal(server)[0]["started"]):
            client.send(b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\n\r\n")
            server.get("/healthz")
            server.process.send_signal(signal.SIGTERM)

            assert_told_to_go(client)
        assert server.process.wait(5) == 0
        assert tells_no_traceback(server.log)


@contextlib.contextmanager
def stopped(pid: int) -> Iterator[None]:
    """Stop a process for this context."""
    process = psutil.Process(pid)
    process.suspend()
    try:
        yield
    finally:
        process.resume()


def assert_told_to_go(client: RawClient) -> None:
    """Read to the end: `shutting_down` in the envelope, or nothing at all."""
    rest = b""
    with contextlib.suppress(ConnectionError):
        rest = client.rest()
    if rest:
        head, _, body = rest.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 503 ")
        assert json.loads(body)["error"]["code"] == "shutting_down"


# What takes seconds to show; watched side by side


def sessions_of_cancelled_asks_go(home: Path) -> None:
    """Every session is removed, also when no stop is ever confirmed."""
    with odd(home, "never-stops", "--max-in-flight", "20") as server:
        with contextlib.ExitStack() as clients:
            for _ in range(20):
                clients.enter_context(connect(server)).send(chat_request("silent"))
            wait_until(lambda: len(heard(server, "chat/ask")) == 20, within=5)
        asked = {entry["session"] for entry in heard(server, "chat/ask")}

        def left() -> set[str]:
            return asked - {entry["session"] for entry in heard(server, "chat/deleteSessionById")}

        wait_until(lambda: not left(), within=8, what="deleted sessions")
        assert len(heard(server, "chat/deleteSessionById")) == 20


def deafness_is_no_death(home: Path) -> None:
    """A process that knows no `ping` lives as long as its WebSocket does."""
    with odd(home, "deaf") as server:
        with connect(server) as client:
            client.send(chat_request("silent"))
            wait_until(lambda: heard(server, "chat/ask"), within=5)

        assert text_of(server.ask("late")) == "fine"
        assert connections(server) == 1


def reconnecting_slows_down(home: Path) -> None:
    """A connection that never lasts is not opened over and over."""
    with odd(home, "cycle", ready=False) as server:
        wait_until(lambda: connections(server) > 0, within=5)
        deadline = time.monotonic() + 4
        wait_until(lambda: connections(server) > 8 or time.monotonic() > deadline)

        assert connections(server) <= 8
        assert server.get("/healthz").status_code == 200


SLOW: list[Callable[[Path], None]] = [
    sessions_of_cancelled_asks_go,
    deafness_is_no_death,
    reconnecting_slows_down,
]


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Future[None]]]:
    """All of `SLOW`, started together."""
    homes = tmp_path_factory.mktemp("slow")
    with ThreadPoolExecutor() as pool:
        yield {promise.__name__: pool.submit(promise, homes / promise.__name__) for promise in SLOW}


@pytest.mark.parametrize("promise", [promise.__name__ for promise in SLOW])
def test_in_the_long_run(watched: dict[str, Future[None]], promise: str) -> None:
    """Each of them holds."""
    watched[promise].result()
