"""A small OpenAI-compatible server as a process of its own, that plays the storm's directives.

Run as a script: `http_engine.py PORT LOG MODEL…`. It shares no code with the package or the tests,
so that it starts in no time. Each chat request leaves one JSON line in LOG: `mark`, `done` (results
that it brings) and `at` (seconds since 1970).
"""

from __future__ import annotations

import json
import re
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

_DIRECTIVE = re.compile(r"(?P<mark>m\d+) \[\[demo: (?P<words>.*)\]\]", re.DOTALL)
_SAY = re.compile(r'say=("(?:[^"\\]|\\.)*")')
_CALLS = re.compile(r"calls='((?:[^'\\]|\\.)*)'")
_NUMBER = r"{}=([\d.]+)"


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    # Else the small pieces of an answer wait for acknowledgements.
    disable_nagle_algorithm = True
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer `/health` and `/v1/models`."""
        models = [{"id": name, "object": "model"} for name in sys.argv[3:]]
        body = json.dumps({"object": "list", "data": models}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        """Stream an answer, whatever the path."""
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        texts = [text for turn in asked["messages"] if isinstance(text := turn["content"], str)]
        found = [found.group("mark", "words") for found in map(_DIRECTIVE.search, texts) if found]
        mark, words = found[-1] if found else ("", 'say="hello"')
        done = sum(turn["role"] == "tool" for turn in asked["messages"])
        note = {"mark": mark, "done": done, "at": time.time()}
        with Path(sys.argv[2]).open("a") as log:
            log.write(json.dumps(note) + "\n")
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        try:
            self._play(words, done)
        except ConnectionError:
            self.close_connection = True

    def _play(self, words: str, done: int) -> None:
        quoted = _CALLS.search(words)
        steps = json.loads(quoted[1].replace("\\'", "'")) if quoted else []
        time.sleep(_number("first", words))
        if done < len(steps):
            call = steps[done][0]
            function = {"name": call["name"], "arguments": json.dumps(call["arguments"])}
            made = {"index": 0, "id": f"own-{time.time_ns()}", "type": "function"}
            self._send(_chunk({"role": "assistant", "tool_calls": [made | {"function": function}]}))
            self._end("tool_calls")
            return
        said = _SAY.search(words)
        text = json.loads(said[1]) if said else ""
        size = max(1, len(text) // max(1, int(_number("chunks", words))))
        for start in range(0, len(text), size):
            time.sleep(_number("delay", words))
            self._send(_chunk({"content": text[start : start + size]}))
        self._end("stop")

    def _end(self, reason: str) -> None:
        self._send(_chunk({}, reason))
        usage = {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8}
        self._send(json.dumps({"choices": [], "usage": usage}))
        self._send("[DONE]")
        self.wfile.write(b"0\r\n\r\n")

    def _send(self, data: str) -> None:
        piece = f"data: {data}\n\n".encode()
        self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))

    def log_message(self, *_: object) -> None:
        """Stay silent."""


def _number(name: str, words: str) -> float:
    found = re.search(_NUMBER.format(name), words)
    return float(found[1]) if found else 0.0


def _chunk(delta: dict[str, Any], finish: str | None = None) -> str:
    return json.dumps({"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})


if __name__ == "__main__":
    ThreadingHTTPServer.daemon_threads = True
    ThreadingHTTPServer.request_queue_size = 128
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
