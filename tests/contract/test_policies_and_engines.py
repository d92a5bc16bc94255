"""Every policy chooses among engines of every kind, in a running server."""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lingma_cli.routing.registry import POLICY_NAMES
from tests.support.openai_server import OpenAiServer, answer, json_reply, openai_server
from tests.support.serving import Serving, serving, wait_until

TURNS = 6
# A server that is started from a template: well at once, with one model and one word to say.
PROGRAM = """
import json, sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        self.reply({"data": [{"id": "started"}]})
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        choice = {"index": 0, "delta": {"content": "hi"}, "finish_reason": "stop"}
        self.reply({"choices": [choice]}, "data: %s\\n\\ndata: [DONE]\\n\\n", "text/event-stream")
    def reply(self, value, form="%s", type_="application/json"):
        body = (form % json.dumps(value)).encode()
        self.send_response(200)
        self.send_header("content-type", type_)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_): pass
ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


@contextmanager
def added() -> Iterator[OpenAiServer]:
    """Run a server of somebody else's, with one model."""
    models = json_reply({"data": [{"id": "added"}]})
    with openai_server(models=models, engine_health=json_reply({}), chat=answer("hi")) as server:
        yield server


@contextmanager
def two_of_each(folder: Path, policy: str) -> Iterator[Serving]:
    """Serve two engines of each kind with `policy`."""
    (folder / "server.py").write_text(PROGRAM, encoding="utf-8")
    command = [sys.executable, "-S", str(folder / "server.py"), "{port}"]
    template = {"name": "own", "command": command, "serves_label": False}
    started = [{"id": f"started-{n}", "template": "own", "model": "started"} for n in range(2)]
    with added() as one, added() as other:
        urls = [{"id": f"added-{n}", "url": each.url} for n, each in enumerate((one, other))]
        environ = {
            "LINGMA_ENGINES": json.dumps([*urls, *started]),
            "LINGMA_ENGINE_TEMPLATES": json.dumps([template]),
        }
        home = folder / "home"
        said = ("--demo", "--no-auth", "--engines", "2", "--policy", policy)
        with serving(home, *said, environ=environ) as it:
            wait_until(lambda: it.get("/healthz").json()["pool_ready"] == 6, what="all six")
            yield it


@pytest.mark.parametrize("policy", POLICY_NAMES)
def test_every_policy_serves_every_kind(tmp_path: Path, policy: str) -> None:
    """Each request is served, by an engine that has its model, and each choice is counted."""
    with two_of_each(tmp_path, policy) as server:
        for model in ("org_auto", "added", "started"):
            for turn in range(TURNS):
                messages = [{"role": "user", "content": f"{turn} " + "x" * 2000 * turn}]
                reply = server.post({"model": model, "messages": messages})
                assert (reply.status_code, reply.json()["model"]) == (200, model), reply.text
        page = json.loads(server.get("/metrics", headers={"accept": "application/json"}).text)
        wait_until(lambda: server.in_flight() == 0, what="leases and tickets")
        served = Counter(
            line["engine"].rpartition("-")[0]
            for line in map(json.loads, re.findall(r"^{.*}$", server.log, re.MULTILINE))
            if line.get("end") == "stop"
        )

    assert served == {"demo": TURNS, "added": TURNS, "started": TURNS}
    assert sum(page["policies"][policy].values()) == 3 * TURNS
