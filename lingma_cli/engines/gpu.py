"""The GPUs of this machine, as NVIDIA's management library (NVML) tells.

The binding, `nvidia-ml-py`, is an extra; without it, without a driver or without a GPU there is a
reason and an empty list, and never an error.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeVar

T = TypeVar("T")

_GIB: Final = 1024**3


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """One GPU; memory in bytes, utilisation in percent, `None` for what it does not tell.

    `processes` are the ids of those who compute on it.
    """

    index: int
    name: str
    memory_total: int | None = None
    memory_used: int | None = None
    memory_free: int | None = None
    memory_reserved: int | None = None
    utilization: int | None = None
    processes: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpus:
    """All GPUs; `message` says why there are none, and is empty otherwise."""

    gpus: tuple[Gpu, ...] = ()
    message: str = ""


def find_nvml() -> Any | None:
    """Return the binding (the module `pynvml`), `None` if it is not installed."""
    try:
        return importlib.import_module("pynvml")
    except ImportError:
        return None


def read_gpus(nvml: Any | None) -> Gpus:
    """Look at the GPUs now; takes milliseconds.

    Args:
        nvml: the binding, or what stands in for it.
    """
    if nvml is None:
        return Gpus(message="the package `nvidia-ml-py` is not installed (extra `gpu`)")
    try:
        nvml.nvmlInit()
    except nvml.NVMLError as error:
        return Gpus(message=f"no NVIDIA driver answers: {error}")
    try:
        gpus = tuple(_gpu(nvml, index) for index in range(nvml.nvmlDeviceGetCount()))
    except nvml.NVMLError as error:
        return Gpus(message=f"the NVIDIA driver fails: {error}")
    finally:
        nvml.nvmlShutdown()
    return Gpus(gpus=gpus, message="" if gpus else "the NVIDIA driver knows no GPU")


def _gpu(nvml: Any, index: int) -> Gpu:
    handle = nvml.nvmlDeviceGetHandleByIndex(index)

    def told(ask: Callable[[], T]) -> T | None:
        # Not every card, driver or container tells everything, and the binding has a class of its
        # own for a driver that is older than itself.
        try:
            return ask()
        except Exception:  # noqa: BLE001 - whatever it is, the rest can still be told
            return None

    # The second version tells what the driver keeps for itself; older drivers know the first only.
    memory = told(lambda: nvml.nvmlDeviceGetMemoryInfo(handle, version=nvml.nvmlMemory_v2)) or told(
        lambda: nvml.nvmlDeviceGetMemoryInfo(handle)
    )
    rates = told(lambda: nvml.nvmlDeviceGetUtilizationRates(handle))
    running = told(lambda: nvml.nvmlDeviceGetComputeRunningProcesses(handle)) or ()
    return Gpu(
        index=index,
        name=str(told(lambda: nvml.nvmlDeviceGetName(handle)) or f"GPU {index}"),
        memory_total=getattr(memory, "total", None),
        memory_used=getattr(memory, "used", None),
        memory_free=getattr(memory, "free", None),
        memory_reserved=getattr(memory, "reserved", None),
        utilization=getattr(rates, "gpu", None),
        processes=tuple(process.pid for process in running),
    )


def gpus_as_json(gpus: Gpus) -> dict[str, Any]:
    """Return what `GET /v1/management/gpu` and `lingma gpu --json` answer; memory in GiB."""
    listed = [
        {
            "index": gpu.index,
            "name": gpu.name,
            "memory_total_gb": in_gib(gpu.memory_total),
            "memory_used_gb": in_gib(gpu.memory_used),
            "memory_free_gb": in_gib(gpu.memory_free),
            "memory_reserved_gb": in_gib(gpu.memory_reserved),
            "utilization": gpu.utilization,
            "processes": list(gpu.processes),
            "is_mock": False,
        }
        for gpu in gpus.gpus
    ]
    return {"gpus": listed, "message": gpus.message or None}


def in_gib(size: int | None) -> float | None:
    """Return bytes as GiB with two digits."""
    return None if size is None else round(size / _GIB, 2)
