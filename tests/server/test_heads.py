"""What a request head must be, without a connection; the wire has its tests next door."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.server.heads import check_head

HOST = (b"host", b"localhost")
CHUNKED = (b"transfer-encoding", b"chunked")


@pytest.mark.parametrize(
    "target", [b"/", b"//a", b"/a?b=/c?d", b"/%E4%BD%A0", b"/?q=%ff", b"/a;b@c:d,e", b"/%2F"]
)
def test_good_heads_pass(target: bytes) -> None:
    """Any path with whole escapes of UTF-8, and bodies in chunks, in HTTP/1.1."""
    check_head(b"GET", target, "1.0", [HOST])
    check_head(b"POST", target, "1.1", [HOST, (b"transfer-encoding", b"Chunked ")])


@pytest.mark.parametrize(
    ("kind", "method", "target", "version", "header"),
    [
        (ErrorKind.MISDIRECTED, b"GET", b"http://localhost/", "1.1", HOST),
        (ErrorKind.MISDIRECTED, b"GET", b"localhost:80", "1.1", HOST),
        (ErrorKind.MISDIRECTED, b"GET", b"", "1.1", HOST),
        (ErrorKind.MISDIRECTED, b"CONNECT", b"/", "1.1", HOST),
        (ErrorKind.INVALID_REQUEST, b"OPTIONS", b"*", "1.1", HOST),
        (ErrorKind.INVALID_REQUEST, b"GET", b"/%", "1.1", HOST),
        (ErrorKind.INVALID_REQUEST, b"GET", b"/?a=%0", "1.1", HOST),
        (ErrorKind.INVALID_REQUEST, b"GET", b"/%80", "1.1", HOST),
        (ErrorKind.INVALID_REQUEST, b"GET", b"/%7f", "1.1", HOST),
        (ErrorKind.INVALID_REQUEST, b"GET", b"/a#b", "1.1", HOST),
        (ErrorKind.INVALID_REQUEST, b"GET", b"/", "0.9", HOST),
        (ErrorKind.INVALID_REQUEST, b"GET", b"/", "2.0", HOST),
        (ErrorKind.INVALID_REQUEST, b"GET", b"/", "1.1", (b"x-a", b"\xff")),
        (ErrorKind.INVALID_REQUEST, b"POST", b"/", "1.0", CHUNKED),
        (ErrorKind.INVALID_REQUEST, b"POST", b"/", "1.1", (CHUNKED[0], b"gzip, chunked")),
    ],
)
def test_other_heads_are_refused(
    kind: ErrorKind, method: bytes, target: bytes, version: str, header: tuple[bytes, bytes]
) -> None:
    """One fault is enough, and says whose it is."""
    with pytest.raises(LingmaError) as caught:
        check_head(method, target, version, [HOST, header])

    assert caught.value.kind is kind


@given(st.binary(), st.binary())
def test_any_bytes_pass_or_are_refused(target: bytes, value: bytes) -> None:
    """No target and no header value leads to another exception, and what passes is ASCII."""
    try:
        check_head(b"GET", b"/" + target, "1.1", [(b"x-a", value)])
    except LingmaError:
        return
    assert (target + value).isascii()
