"""Small HTTP servers that behave well or badly, as programs that a template starts."""

from __future__ import annotations

import sys
from pathlib import Path

from lingma_cli.engines.managed.templates import EngineKind, Launch, Template

# What a program of a test may use: its port, a server that answers with `status`, notes, a rest.
_PRELUDE = """
import json, os, signal, socket, subprocess, sys, time
from http.server import BaseHTTPRequestHandler, HTTPServer
port, model, label = int(sys.argv[1]), *sys.argv[2:4]
status = [200]
class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(status[0]); self.send_header("content-length", "0"); self.end_headers()
    def log_message(self, *_): pass
def write(name, value):
    with open(name + ".draft", "w") as file:
        json.dump(value, file)
    os.replace(name + ".draft", name)
def child(*options, **more):
    rest = [sys.executable, "-S", "-c", "import time; time.sleep(600)", *options]
    return subprocess.Popen(rest, preexec_fn=ignore_signals, **more).pid
def ignore_signals():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
def rest():
    time.sleep(600)
def serve():
    HTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""


def launch_of(
    folder: Path, body: str, *, port: int = 0, kind: EngineKind = EngineKind.LLM, **more: object
) -> Launch:
    """Write a program and return what starts it."""
    path = folder / "server.py"
    path.write_text(_PRELUDE + body, encoding="utf-8")
    template = Template(
        name="own",
        command=(sys.executable, "-S", str(path), "{port}", "{model}", "{label}"),
        embedding=("--embed",),
        **more,  # type: ignore[arg-type]
    )
    return Launch(template=template, model="some/model", kind=kind, port=port)
