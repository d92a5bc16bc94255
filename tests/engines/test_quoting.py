"""Words of an engine in our errors."""

from __future__ import annotations

from lingma_cli.engines.quoting import quoted
from lingma_cli.secret import DOTS, Redactor, Secret

KEY = "plain-key-of-an-engine"


def test_quotes_are_one_short_line_without_secrets() -> None:
    """Whatever an engine says, no token and no novel reaches a client."""
    text = quoted("a\r\nb\t token=abcdef123456 " + "x" * 1000)

    assert text.startswith("a b token=••••")
    assert len(text) == 300


def test_nothing_in_a_quote_moves_the_cursor() -> None:
    """Terminals obey control bytes, and some take the other side of Unicode for them."""
    assert quoted("bad \x1b[31mthing\x07\u202e\x9b") == "bad [31mthing"


def test_a_known_secret_is_hidden_wherever_the_cut_is() -> None:
    """Half a key is not known as one, so the cut comes last."""
    redact = Redactor([Secret(KEY)])

    for blanks in (280, 295, 4795):
        text = quoted("x" + "y" * blanks + " " * 4795 + KEY, redact)
        assert "plain" not in text
    assert quoted(f"not {KEY}", redact) == f"not {DOTS}"
