"""Who answers: a person at a terminal, or standard input."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

PROGRAM = """
import asyncio, sys
from lingma_cli.cli.person import TerminalPerson
from lingma_cli.errors import LingmaError
async def main():
    person = TerminalPerson()
    try:
        for number in range(int(sys.argv[1])):
            print((await person.ask(f"Question {number}: ", secret=True)).reveal(), flush=True)
    except LingmaError as error:
        print(f"{error.kind.value}: {error.message}")
asyncio.run(main())
"""


def asked(count: int, stdin: bytes | int) -> str:
    """Return what the answers to `count` questions were."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(count)],
        input=stdin if isinstance(stdin, bytes) else None,
        stdin=stdin if isinstance(stdin, int) else None,
        capture_output=True,
        timeout=20,
        check=True,
    )
    assert done.stderr == b""
    return done.stdout.decode()


@pytest.mark.parametrize(
    ("count", "stdin", "said"),
    [
        (1, b"one\n", "one\n"),
        (2, b" one \r\ntwo\n", "one\ntwo\n"),
        (2, b"one\ntwo", "one\ntwo\n"),
        (1, "键\n".encode(), "键\n"),
        (1, b"\nrest\n", "\n"),
    ],
)
def test_lines_of_standard_input(count: int, stdin: bytes, said: str) -> None:
    """A line an answer, without the white space around it; the rest is left."""
    assert asked(count, stdin) == said


@pytest.mark.parametrize("stdin", [b"one\n", subprocess.DEVNULL], ids=["short", "nothing"])
def test_an_input_that_ends(stdin: bytes | int) -> None:
    """The question that nobody answers is named."""
    number = 1 if isinstance(stdin, bytes) else 0
    said = f"usage: nothing came in answer to `Question {number}:`"

    assert asked(3, stdin).splitlines()[-1] == said


def test_an_endless_line() -> None:
    """It is not read for ever."""
    assert "usage: nothing came" in asked(2, b"x" * 1_000_000)


def test_an_open_question_does_not_hold_the_program() -> None:
    """A program that ends while it waits for a line ends at once."""
    program = (
        "import asyncio\nfrom lingma_cli.cli.person import TerminalPerson\n"
        "async def main():\n"
        "    asked = asyncio.ensure_future(TerminalPerson().ask('Question: '))\n"
        "    await asyncio.wait([asked], timeout=0.1)\n"
        "    asked.cancel()\n"
        "asyncio.run(main())\n"
    )
    reading, writing = os.pipe()
    try:
        done = subprocess.run(
            [sys.executable, "-c", program],
            stdin=reading,
            capture_output=True,
            timeout=20,
            check=False,
        )
    finally:
        os.close(reading)
        os.close(writing)

    assert (done.returncode, done.stderr) == (0, b"")


def test_where_nobody_is_nobody_consents() -> None:
    """Standard input is for answers to other questions: it is not read."""
    program = "from lingma_cli.cli.person import TerminalPerson as P; print(P().consents('so?'))"
    done = subprocess.run(
        [sys.executable, "-c", program], input=b"y\n", capture_output=True, timeout=20, check=True
    )

    assert (done.stdout, done.stderr) == (b"False\n", b"")
