"""What programs import, and what that costs those who need less."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

import lingma_cli.client


@pytest.mark.parametrize("name", lingma_cli.client.__all__)
def test_what_is_promised_is_there(name: str) -> None:
    """Each public name leads to what bears it."""
    assert getattr(importlib.import_module("lingma_cli.client"), name).__name__ == name


def test_anything_else_is_not() -> None:
    """An unknown name is an error of Python's own kind."""
    with pytest.raises(ImportError):
        exec("from lingma_cli.client import Nothing")


def test_nothing_is_loaded_before_it_is_asked_for() -> None:
    """Neither httpx by the room itself, nor an event loop or processes by our own commands."""
    program = (
        "import sys; import lingma_cli.client\n"
        "print(sorted({'httpx', 'msgspec', 'asyncio'} & set(sys.modules)))\n"
        "import lingma_cli.client.server\n"
        "print(sorted({'httpx', 'asyncio', 'psutil'} & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert done.stdout.splitlines() == ["[]", "['httpx']"]
