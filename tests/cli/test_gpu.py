"""`lingma gpu`, with a stand-in for NVIDIA's binding on the path; and without."""

from __future__ import annotations

import json
from pathlib import Path

from tests.support.cli import run_lingma

# What the program finds under the name of the binding.
BINDING = """
from types import SimpleNamespace as Value
class NVMLError(Exception): pass
nvmlMemory_v2 = 2
GIB = 1024 ** 3
def nvmlInit(): {init}
def nvmlShutdown(): pass
def nvmlDeviceGetCount(): return 2
def nvmlDeviceGetHandleByIndex(index): return index
def nvmlDeviceGetName(handle): return "Card %d\\x1b[2J" % handle
def nvmlDeviceGetMemoryInfo(handle, version=1):
    if handle: raise NVMLError("not supported")
    return Value(total=24 * GIB, used=6 * GIB, free=17 * GIB, reserved=GIB)
def nvmlDeviceGetUtilizationRates(handle):
    if handle: raise NVMLError("not supported")
    return Value(gpu=37)
def nvmlDeviceGetComputeRunningProcesses(handle):
    return [] if handle else [Value(pid=7), Value(pid=8)]
"""


def _binding(folder: Path, init: str = "pass") -> dict[str, str]:
    """Write the stand-in and return the environment that leads to it, before this program."""
    (folder / "binding").mkdir()
    (folder / "binding" / "pynvml.py").write_text(BINDING.format(init=init))
    root = Path(__file__).parents[2]
    return {"PYTHONPATH": f"{folder / 'binding'}:{root}"}


def test_gpus_are_listed_in_columns(tmp_path: Path) -> None:
    """Memory, load and processes; what a card does not tell is a dash, and none has control."""
    result = run_lingma("gpu", home=tmp_path, env=_binding(tmp_path))

    assert result.code == 0
    assert [" ".join(line.split()) for line in result.out.splitlines()] == [
        "GPU NAME MEMORY USED FREE LOAD PROCESSES",
        "0 Card 0 24 GiB 6 GiB 17 GiB 37 % 7 8",
        "1 Card 1 - - - - -",
    ]


def test_gpus_as_json(tmp_path: Path) -> None:
    """As the server's own page gives them."""
    result = run_lingma("gpu", "--json", home=tmp_path, env=_binding(tmp_path))
    answer = json.loads(result.out)

    assert [card["memory_used_gb"] for card in answer["gpus"]] == [6.0, None]
    assert answer["message"] is None


def test_no_gpu(tmp_path: Path) -> None:
    """It is said plainly, and is no failure."""
    init = "raise NVMLError('Driver Not Loaded')"
    environ = _binding(tmp_path, init)

    result = run_lingma("gpu", home=tmp_path, env=environ)
    as_json = run_lingma("gpu", "--json", home=tmp_path, env=environ)

    assert (result.code, result.out) == (0, "")
    assert "no GPU found: no NVIDIA driver answers: Driver Not Loaded" in result.err
    assert json.loads(as_json.out)["gpus"] == []
