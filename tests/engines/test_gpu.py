"""The GPUs, as a stand-in for NVIDIA's library tells; there is none where this runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from lingma_cli.engines.gpu import Gpu, Gpus, find_nvml, gpus_as_json, in_gib, read_gpus

GIB = 1024**3


class NVMLError(Exception):
    """What the library raises."""


class NVMLLibraryMismatchError(Exception):
    """What it raises, unrelated, when the driver is older than the binding."""


@dataclass
class _Values:
    total: int = 24 * GIB
    used: int = 6 * GIB
    free: int = 17 * GIB
    gpu: int = 37
    pid: int = 4711


@dataclass
class _Reserving(_Values):
    reserved: int = GIB


class Nvml:
    """The functions of the binding that are used; those named in `broken` fail."""

    NVMLError = NVMLError
    nvmlMemory_v2 = 2  # noqa: N815 - the binding's name

    def __init__(self, *broken: str, count: int = 1) -> None:
        self._broken = broken
        self._count = count
        self.is_open = False

    def nvmlInit(self) -> None:  # noqa: N802
        self._may("init")
        self.is_open = True

    def nvmlShutdown(self) -> None:  # noqa: N802
        self.is_open = False

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802
        self._may("count")
        return self._count

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:  # noqa: N802
        self._may("handle")
        return index

    def nvmlDeviceGetName(self, handle: int) -> str:  # noqa: N802
        self._may("name")
        return f"Card {handle}"

    def nvmlDeviceGetMemoryInfo(self, _handle: int, version: int = 1) -> _Values:  # noqa: N802
        self._may(f"memory {version}")
        return _Reserving() if version == 2 else _Values()

    def nvmlDeviceGetUtilizationRates(self, _handle: int) -> _Values:  # noqa: N802
        self._may("rates")
        return _Values()

    def nvmlDeviceGetComputeRunningProcesses(self, _handle: int) -> list[_Values]:  # noqa: N802
        self._may("processes")
        return [_Values()]

    def _may(self, what: str) -> None:
        if f"{what} mismatch" in self._broken:
            raise NVMLLibraryMismatchError(what)
        if what in self._broken:
            raise NVMLError(what)


CARD = Gpu(
    index=0,
    name="Card 0",
    memory_total=24 * GIB,
    memory_used=6 * GIB,
    memory_free=17 * GIB,
    memory_reserved=GIB,
    utilization=37,
    processes=(4711,),
)


def test_all_that_a_card_tells() -> None:
    """Memory, load and processes of each; the library is closed again."""
    nvml = Nvml(count=2)

    found = read_gpus(nvml)

    assert found.gpus[0] == CARD
    assert [(gpu.index, gpu.name) for gpu in found.gpus] == [(0, "Card 0"), (1, "Card 1")]
    assert found.message == ""
    assert not nvml.is_open


def test_a_card_that_tells_little() -> None:
    """What it does not tell is `None`, and the rest counts."""
    nvml = Nvml("name", "memory 1", "memory 2", "rates", "processes")

    assert read_gpus(nvml).gpus == (Gpu(index=0, name="GPU 0"),)
    (old,) = read_gpus(Nvml("memory 2", "processes mismatch")).gpus
    assert (old.memory_total, old.memory_reserved, old.processes) == (24 * GIB, None, ())


@pytest.mark.parametrize(
    ("nvml", "message"),
    [
        (None, "the package `nvidia-ml-py` is not installed (extra `gpu`)"),
        (Nvml("init"), "no NVIDIA driver answers: init"),
        (Nvml("count"), "the NVIDIA driver fails: count"),
        (Nvml("handle"), "the NVIDIA driver fails: handle"),
        (Nvml(count=0), "the NVIDIA driver knows no GPU"),
    ],
)
def test_no_gpus(nvml: Nvml | None, message: str) -> None:
    """An empty list and a reason, whatever is missing."""
    assert read_gpus(nvml) == Gpus(message=message)
    assert nvml is None or not nvml.is_open


def test_this_machine_can_be_asked() -> None:
    """With or without the binding and a card, there is an answer."""
    found = read_gpus(find_nvml())

    assert bool(found.gpus) is not bool(found.message)


def test_as_json() -> None:
    """The names that clients know; memory in GiB; the list is there even if it is empty."""
    card: dict[str, Any] = {
        "index": 0,
        "name": "Card 0",
        "memory_total_gb": 24.0,
        "memory_used_gb": 6.0,
        "memory_free_gb": 17.0,
        "memory_reserved_gb": 1.0,
        "utilization": 37,
        "processes": [4711],
        "is_mock": False,
    }

    assert gpus_as_json(Gpus(gpus=(CARD,))) == {"gpus": [card], "message": None}
    assert gpus_as_json(Gpus(message="none")) == {"gpus": [], "message": "none"}
    assert (in_gib(None), in_gib(GIB // 3)) == (None, 0.33)
