"""Golden wire cases of every protocol."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lingma_cli.core.collect import Collector
from lingma_cli.core.grammar import Seal
from lingma_cli.protocols.registry import PROTOCOLS
from lingma_cli.protocols.wire import WireProtocol
from tests.support.golden import case_files, read_case

CASES = [
    pytest.param(protocol, path, id=f"{protocol.name}-{path.stem}")
    for protocol in PROTOCOLS
    for path in case_files(protocol.name)
]


def test_every_protocol_has_cases() -> None:
    """Registering a protocol means writing its golden cases."""
    assert [protocol.name for protocol in PROTOCOLS if not case_files(protocol.name)] == []


@pytest.mark.parametrize(("protocol", "path"), CASES)
def test_the_stream_is_as_written(protocol: WireProtocol, path: Path) -> None:
    """Every byte of the stream is the file's, fed at once or event by event."""
    case = read_case(path)
    request = protocol.parse(case.request)
    events = Seal(request.model).feed(case.events)

    for batches in ([events], [[event] for event in events]):
        encoder = protocol.encoder(request, response_id="golden", created=1_700_000_000)
        written = b"".join(encoder.feed(batch) for batch in batches)
        assert case.sse.decode() == written.decode()


@pytest.mark.parametrize(("protocol", "path"), CASES)
def test_the_body_is_as_written(protocol: WireProtocol, path: Path) -> None:
    """The whole answer, or the error's body, is the file's."""
    case = read_case(path)
    request = protocol.parse(case.request)
    answer = Collector()
    answer.feed(Seal(request.model).feed(case.events))

    body = (
        protocol.render([answer], request, response_id="golden", created=1_700_000_000)
        if answer.error is None
        else protocol.encode_error(answer.error)
    )

    assert case.json == json.loads(body)
