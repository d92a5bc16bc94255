"""`lingma gpu`: the GPUs of this machine."""

from __future__ import annotations

from lingma_cli.cli import output
from lingma_cli.cli.options import Json


def gpu(*, json: Json = False) -> None:
    """Show the GPUs of this machine: memory, load, and who computes on them."""
    from lingma_cli.engines.gpu import (  # noqa: PLC0415 - not for `--help`
        find_nvml,
        gpus_as_json,
        in_gib,
        read_gpus,
    )

    found = read_gpus(find_nvml())
    if json:
        output.print_json(gpus_as_json(found))
        return
    if not found.gpus:
        output.say(f"no GPU found: {found.message}")
        return
    rows = [
        (
            str(one.index),
            one.name,
            _shown(in_gib(one.memory_total), "GiB"),
            _shown(in_gib(one.memory_used), "GiB"),
            _shown(in_gib(one.memory_free), "GiB"),
            _shown(one.utilization, "%"),
            " ".join(map(str, one.processes)) or "-",
        )
        for one in found.gpus
    ]
    output.print_columns([("GPU", "NAME", "MEMORY", "USED", "FREE", "LOAD", "PROCESSES"), *rows])


def _shown(value: float | None, unit: str) -> str:
    return "-" if value is None else f"{value:g} {unit}"
