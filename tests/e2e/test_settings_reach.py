"""Every setting reaches whoever must obey it: set it, look at what it changes.

One check a row of the settings table, and a test that no row is without one.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from lingma_cli.settings import environment_name, table
from tests.e2e.test_engine_settings_reach import CHECKED
from tests.e2e.test_login_settings_reach import CHECKS
from tests.e2e.test_session_reuse import deleted
from tests.support.demo_words import NATIVE, entries
from tests.support.serving import Serving, program_environment, serving, wait_until

ENDPOINT = "https://lingma.example.com"
LONG_KEY = "configured-secret-0123"


@dataclass(frozen=True, kw_only=True)
class Reach:
    """A value for one setting, what else to start with, and the check."""

    value: str
    check: Callable[[Serving], None]
    arguments: tuple[str, ...] = ("--demo",)
    environ: dict[str, str] = field(default_factory=dict)
    ready: bool = True


def payload(server: Serving) -> dict[str, object]:
    """Return the parameters with which the simulator was asked."""
    content = server.ask("[[demo: quote=payload]]").json()["choices"][0]["message"]["content"]
    quoted: dict[str, object] = json.loads(content)
    return quoted


def error_of(server: Serving, directive: str) -> str:
    """Return the error code of an answer."""
    return str(server.ask(f"[[demo: {directive}]]").json()["error"]["code"])


def listens_on_ipv6(server: Serving) -> None:
    """Check `host`."""
    assert server.url.startswith("http://[::1]:")
    assert server.get("/healthz").status_code == 200


def listens_on_the_port(server: Serving) -> None:
    """Check `port`: `serving` asks for a free one by flag, so a second server is started."""
    port = free_port()
    environ = program_environment(server.home.parent / "other", LINGMA_PORT=str(port))
    command = [sys.executable, "-m", "lingma_cli", "serve", "--demo"]
    with subprocess.Popen(command, env=environ, stderr=subprocess.DEVNULL) as process:
        try:
            wait_until(lambda: answers_at(port), within=10)
        finally:
            process.terminate()


def answers_at(port: int) -> bool:
    """Tell whether somebody serves there."""
    try:
        return httpx.get(f"http://127.0.0.1:{port}/healthz", trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


def accepts_the_name(server: Serving) -> None:
    """Check `allowed_hosts`."""
    assert server.get("/healthz", headers={"host": "proxy.test"}).status_code == 200
    assert server.get("/healthz", headers={"host": "other.test"}).status_code == 421


def asks_for_no_key(server: Serving) -> None:
    """Check `no_auth`."""
    assert server.get("/v1/models").status_code != 401


def opens(path: str) -> Callable[[Serving], None]:
    """Check a key: it opens `path`, which is shut without it."""

    def check(server: Serving) -> None:
        assert server.get(path).status_code == 401
        assert server.get(path, headers={"x-api-key": LONG_KEY}).status_code == 200

    return check


def shows_metrics(server: Serving) -> None:
    """Check `metrics_public`; without it the admin token would be asked for."""
    assert server.get("/internal/stats").status_code == 401
    assert server.get("/metrics").status_code == 200


def refuses_two_kilobytes(server: Serving) -> None:
    """Check `body_limit`."""
    assert server.ask("x" * 1000).status_code == 200
    assert server.ask("x" * 2000).status_code == 413


def cuts_a_slow_head(server: Serving) -> None:
    """Check `head_timeout`."""
    address = urlsplit(server.url)
    with socket.create_connection((address.hostname, address.port), timeout=5) as client:
        client.sendall(b"GET / HT")
        started = time.monotonic()
        assert client.recv(100).startswith(b"HTTP/1.1 408")
        assert time.monotonic() - started < 3


def drains_briefly(server: Serving) -> None:
    """Check `drain_timeout`."""
    with httpx.stream(
        "POST",
        f"{server.url}/v1/chat/completions",
        json={
            "messages": [{"role": "user", "content": "[[demo: chunks=900 delay=0.1]]"}],
            "stream": True,
        },
        trust_env=False,
    ) as answer:
        lines = answer.iter_lines()
        assert next(lines)
        started = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - started < 5


def logs_no_record(server: Serving) -> None:
    """Check `log_level`; the warning about a crash comes after the record of an answer."""
    server.ask("hello")
    server.ask("[[demo: crash after=0]]")
    wait_until(lambda: "engine demo-0" in server.log, within=5)
    assert "openai_chat stop" not in server.log


def logs_text(server: Serving) -> None:
    """Check `log_format`."""
    server.ask("hello")
    wait_until(lambda: "openai_chat stop" in server.log, within=2)
    lines = [line for line in server.log.splitlines() if "openai_chat stop" in line]
    assert not lines[0].startswith("{")


def limit_is_seven(server: Serving) -> None:
    """Check `gateway_max_in_flight`."""
    assert server.get("/internal/stats").json()["concurrency"]["limit"] == 7


def is_refused_within(seconds: float) -> Callable[[Serving], None]:
    """Check `queue_size` and `gateway_queue_timeout_sec` while the only place is taken."""

    def check(server: Serving) -> None:
        with httpx.stream(
            "POST",
            f"{server.url}/v1/chat/completions",
            json={
                "messages": [{"role": "user", "content": "[[demo: chunks=90 delay=0.1]]"}],
                "stream": True,
            },
            trust_env=False,
        ):
            started = time.monotonic()
            assert server.ask("hello").status_code == 429
            assert time.monotonic() - started < seconds

    return check


def serves_unknown_names_as(key: str) -> Callable[[Serving], None]:
    """Check `default_model`."""

    def check(server: Serving) -> None:
        message = {"role": "user", "content": "hi"}
        answer = server.post({"model": "gpt-4o", "messages": [message]})
        assert answer.json()["model"] == key
        assert "model_fallback" in answer.headers["x-lingma-notes"]

    return check


def is_asked_with(name: str, value: str) -> Callable[[Serving], None]:
    """Check the words of an ask."""

    def check(server: Serving) -> None:
        assert payload(server)[name] == value

    return check


def times_out(directive: str) -> Callable[[Serving], None]:
    """Check a time-out: an answer with `directive` fails with it, and soon."""

    def check(server: Serving) -> None:
        started = time.monotonic()
        assert error_of(server, directive) == "engine_timeout"
        assert time.monotonic() - started < 5

    return check


def answers(server: Serving) -> None:
    """Check that there is somebody to answer."""
    assert server.ask("hello").status_code == 200


def works_in_the_folder(server: Serving) -> None:
    """Check `work_dir`; the folder is a sibling of the home."""
    assert (server.home.parent / "elsewhere" / "logs" / "lingma.log").exists()


def asks_for_the_port(server: Serving) -> None:
    """Check `socket_port`."""
    info = json.loads((server.home / "data" / "demo" / ".info.json").read_text())
    assert info["websocketPort"] == ASKED_PORT


def is_told_the_endpoint(server: Serving) -> None:
    """Check `dedicated_domain_url`."""
    assert any(ENDPOINT in child.cmdline() for child in server.children())


def answers_soon(server: Serving) -> None:
    """Check `rpc_timeout`: a login that stays undecided is waited for no longer than that."""
    started = time.monotonic()
    assert server.ask("hello").status_code == 200
    assert time.monotonic() - started < 5


def fails_soon(server: Serving) -> None:
    """Check `startup_timeout` and `bin`: the engine is given up long before the default."""
    started = time.monotonic()
    assert server.ask("hello").status_code == 503
    assert time.monotonic() - started < 5


TOOL_NAMES = ("kept", "other")


def with_tools(server: Serving, text: str) -> httpx.Response:
    """Ask with two tools on offer."""
    tools = [{"type": "function", "function": {"name": name}} for name in TOOL_NAMES]
    body = {"model": "org_auto", "messages": [{"role": "user", "content": text}], "tools": tools}
    answer = server.post(body)
    assert answer.status_code == 200
    return answer


def asks_natively(server: Serving) -> None:
    """Check `tools`: they go in the request, in agent mode, and not into the prompt."""
    quoted = content_of(with_tools(server, "[[demo: quote=payload]]"))
    assert json.loads(quoted)["mode"] == "agent"
    assert "json action" not in quoted


def content_of(answer: httpx.Response) -> str:
    """Return the text of an answer."""
    return str(answer.json()["choices"][0]["message"]["content"])


def offers_no_tools(server: Serving) -> None:
    """Check `tool_forward_enabled`."""
    answer = with_tools(server, "[[demo: quote=payload]]")
    assert "kept" not in content_of(answer)
    assert "tools_off" in answer.headers["x-lingma-notes"]


def offers_the_one(server: Serving) -> None:
    """Check `tool_allowlist`."""
    quoted = json.loads(content_of(with_tools(server, "[[demo: quote=payload]]")))
    assert [tool["function"]["name"] for tool in quoted["extra"]["tools"]] == ["kept"]


CALL = """[[demo: calls='[[{"name":"kept","arguments":{}}]]']]"""


def parks_nothing(server: Serving) -> None:
    """Check `parked_asks`: the ask is left as soon as its turn is over."""
    assert "tool_calls" in with_tools(server, CALL).text
    wait_until(lambda: server.in_flight() == 0, within=10, what="an empty lot")


def parks_briefly(server: Serving) -> None:
    """Check `parked_timeout`: the ask waits for its client, but not for long."""
    assert "tool_calls" in with_tools(server, CALL).text
    assert server.in_flight() == 1
    wait_until(lambda: server.in_flight() == 0, within=10, what="an empty lot")


def pings_soon(server: Serving) -> None:
    """Check `ping_interval`."""
    assert ": keep-alive" in server.ask("[[demo: first=1]]", stream=True).text


def stored_response(server: Serving, text: str = "hello") -> str:
    """Return the path of a response that was to be stored."""
    answer = server.post({"model": "org_auto", "input": text}, "/v1/responses")
    return f"/v1/responses/{answer.json()['id']}"


def replies(server: Serving) -> list[bool]:
    """Return of each ask whether it went on in a session, after a conversation of two turns."""
    turns = [{"role": "user", "content": "hello"}]
    message = server.post({"model": "org_auto", "messages": turns}).json()["choices"][0]["message"]
    turns += [message, {"role": "user", "content": "and?"}]
    server.post({"model": "org_auto", "messages": turns})
    heard = [entry["params"] for entry in entries(server, "received") if "params" in entry]
    return [ask["isReply"] for ask in heard if "isReply" in ask]


def keeps_no_session(server: Serving) -> None:
    """Check `session_reuse_enabled` and what bounds the sessions."""
    assert replies(server) == [False, False]


def keeps_one_session(server: Serving) -> None:
    """Check `session_cache_max_entries`."""
    assert replies(server) == [False, True]
    server.ask("another conversation")
    wait_until(lambda: deleted(server), within=5, what="a deleted session")


def keeps_it_briefly(server: Serving) -> None:
    """Check `session_cache_ttl_sec`."""
    assert replies(server) == [False, True]
    wait_until(lambda: deleted(server), within=10, what="a deleted session")


def remembers_in_memory(server: Serving) -> None:
    """Check `response_store`."""
    assert server.get(stored_response(server)).status_code == 200
    assert not list((server.home / "state").glob("responses*"))


def forgets_after_seconds(server: Serving) -> None:
    """Check `response_store_days`, of which a few hundred-thousandths are some seconds."""
    path = stored_response(server)
    assert server.get(path).status_code == 200
    wait_until(lambda: server.get(path).status_code == 404, within=10, what="forgetting")


def keeps_three_kilobytes(server: Serving) -> None:
    """Check `response_store_bytes`."""
    assert server.get(stored_response(server)).status_code == 200
    assert server.get(stored_response(server, "x" * 4000)).status_code == 404


def free_port() -> int:
    """Return a port on which nobody listens now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


# Outside the range from which systems hand out ports.
ASKED_PORT = 20_817
ONE_PLACE = ("--demo", "--max-in-flight", "1")
AGENT = {"LINGMA_DEFAULT_ASK_MODE": "agent"}
REACHES: dict[str, Reach] = {
    "host": Reach(value="::1", check=listens_on_ipv6),
    "port": Reach(value="PORT", check=listens_on_the_port),
    "allowed_hosts": Reach(value="proxy.test", check=accepts_the_name),
    "no_auth": Reach(
        value="true", check=asks_for_no_key, arguments=("--bin", "/bin/sleep"), ready=False
    ),
    "api_keys": Reach(value=LONG_KEY, check=opens("/v1/models")),
    "admin_token": Reach(value=LONG_KEY, check=opens("/internal/stats")),
    "metrics_token": Reach(value=LONG_KEY, check=opens("/metrics")),
    "metrics_public": Reach(
        value="true", check=shows_metrics, environ={"LINGMA_ADMIN_TOKEN": LONG_KEY}
    ),
    "body_limit": Reach(value="1500", check=refuses_two_kilobytes),
    "head_timeout": Reach(value="0.3", check=cuts_a_slow_head),
    "drain_timeout": Reach(value="0.1", check=drains_briefly),
    "log_level": Reach(value="WARNING", check=logs_no_record),
    "log_format": Reach(value="text", check=logs_text),
    "gateway_max_in_flight": Reach(value="7", check=limit_is_seven),
    "gateway_queue_timeout_sec": Reach(
        value="0.2", check=is_refused_within(2), arguments=ONE_PLACE
    ),
    "queue_size": Reach(value="0", check=is_refused_within(1), arguments=ONE_PLACE),
    "default_model": Reach(value="kmodel", check=serves_unknown_names_as("kmodel")),
    "default_ask_mode": Reach(value="agent", check=is_asked_with("sessionType", "ask")),
    "first_event_timeout": Reach(value="0.3", check=times_out("first=20")),
    "idle_timeout": Reach(value="0.3", check=times_out("end=silence")),
    "ping_interval": Reach(value="0.1", check=pings_soon),
    "tools": Reach(value="native", check=asks_natively),
    "tool_forward_enabled": Reach(value="false", check=offers_no_tools),
    "tool_allowlist": Reach(value="kept,absent", check=offers_the_one),
    "parked_asks": Reach(value="0", check=parks_nothing, environ=NATIVE),
    "parked_timeout": Reach(value="1", check=parks_briefly, environ=NATIVE),
    "session_reuse_enabled": Reach(value="false", check=keeps_no_session),
    "session_cache_max_entries": Reach(value="1", check=keeps_one_session),
    "session_cache_ttl_sec": Reach(value="1", check=keeps_it_briefly),
    "session_cache_bytes": Reach(value="10", check=keeps_no_session),
    "response_store": Reach(value="memory", check=remembers_in_memory),
    "response_store_days": Reach(value="0.00003", check=forgets_after_seconds),
    "response_store_bytes": Reach(value="3000", check=keeps_three_kilobytes),
    "demo": Reach(value="true", check=answers, arguments=()),
    "bin": Reach(value="/bin/false", check=fails_soon, arguments=("--no-auth",), ready=False),
    "work_dir": Reach(value="ELSEWHERE", check=works_in_the_folder),
    "socket_port": Reach(value=str(ASKED_PORT), check=asks_for_the_port),
    "startup_timeout": Reach(
        value="0.3",
        check=fails_soon,
        environ={"LINGMA_DEMO_START": "delay=30"},
        ready=False,
    ),
    "dedicated_domain_url": Reach(value=ENDPOINT, check=is_told_the_endpoint),
    "rpc_timeout": Reach(
        value="0.3",
        check=answers_soon,
        environ={"LINGMA_DEMO_LOGIN": "status=3 polls=1000000"},
        ready=False,
    ),
    "agent_session_type": Reach(
        value="assistant", check=is_asked_with("sessionType", "assistant"), environ=AGENT
    ),
    "agent_chat_task": Reach(
        value="FREE_INPUT", check=is_asked_with("chatTask", "FREE_INPUT"), environ=AGENT
    ),
    "agent_mode": Reach(value="normal", check=is_asked_with("mode", "normal"), environ=AGENT),
}


def test_every_setting_is_checked() -> None:
    """Here, or among those of engines or of executable and accounts, each has its check."""
    checked = [*REACHES, *CHECKS, *CHECKED]
    assert set(checked) == {item.name for item, _ in table()}
    assert len(set(checked)) == len(checked)


@pytest.mark.parametrize("key", REACHES)
def test_setting_reaches_its_consumer(tmp_path: Path, key: str) -> None:
    """The value, given by the environment, changes what it should."""
    reach = REACHES[key]
    value = str(tmp_path / "elsewhere") if reach.value == "ELSEWHERE" else reach.value
    environ = {environment_name(key): value, **reach.environ}

    with serving(tmp_path / "home", *reach.arguments, environ=environ, ready=reach.ready) as server:
        reach.check(server)


def test_agent_names_ask_in_agent_mode(demo: Serving) -> None:
    """`agent` and `lingma-agent` as model names select agent mode and the default model."""
    for name in ("agent", "lingma-agent"):
        message = {"role": "user", "content": "[[demo: quote=payload]]"}
        answer = demo.post({"model": name, "messages": [message]}).json()

        quoted = json.loads(answer["choices"][0]["message"]["content"])
        assert (quoted["mode"], quoted["sessionType"]) == ("agent", "ask")
        assert answer["model"] == "org_auto"
