"""Which builds of the executable fit a machine, and what they are called. Pure.

Source: Lingma local protocol, "Layout inside the VSIX".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from lingma_cli.errors import ErrorKind, LingmaError

_ARCHES: Final[Mapping[str, str]] = MappingProxyType(
    {"x86_64": "x86_64", "amd64": "x86_64", "x64": "x86_64", "aarch64": "aarch64"}
    | {"arm64": "aarch64", "armv8l": "aarch64"}
)
_TARGET_SYSTEMS: Final = MappingProxyType(
    {"linux": "linux", "darwin": "darwin", "windows": "win32"}
)
_TARGET_ARCHES: Final = MappingProxyType({"x86_64": "x64", "aarch64": "arm64"})
# Beginnings of executables: ELF, Mach-O (64 bit, either order, and fat), PE.
_MAGIC: Final[Mapping[str, tuple[bytes, ...]]] = MappingProxyType(
    {
        "linux": (b"\x7fELF",),
        "darwin": (b"\xcf\xfa\xed\xfe", b"\xfe\xed\xfa\xcf", b"\xca\xfe\xba\xbe"),
        "windows": (b"MZ",),
    }
)
_MIB: Final = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What runs here.

    Attributes:
        system: `linux`, `darwin` or `windows`.
        name: system and processor, for a person.
        platforms: folder names of the builds that may run, best first; empty when there is none.
        targets: the Marketplace's names for the same, best first.
    """

    system: str
    name: str
    platforms: tuple[str, ...]
    targets: tuple[str, ...]

    @property
    def executable(self) -> str:
        """File name of the executable."""
        return "Lingma.exe" if self.system == "windows" else "Lingma"

    @property
    def companion(self) -> str:
        """File name of the executable that must lie beside it."""
        return "LingmaLocal.exe" if self.system == "windows" else "LingmaLocal"

    def check(self) -> None:
        """Raise a `LingmaError` if there is no build for this machine."""
        if not self.platforms:
            raise LingmaError(
                ErrorKind.INSTALL_FAILED,
                f"Lingma has no build for {self.name}",
                hint="if you have one that runs here, use `lingma engine install --bin PATH`",
            )

    def doubts(self, name: str, size: int, head: bytes) -> tuple[str, ...]:
        """Return what is odd about an executable; none of it is decisive.

        Args:
            name: its file name.
            size: its size in bytes.
            head: its first bytes.
        """
        floor = 50 if name == self.executable else 5
        doubts = []
        if not head.startswith(_MAGIC.get(self.system, ())):
            doubts.append(f"`{name}` does not begin like an executable of this system")
        if size < floor * _MIB:
            doubts.append(f"`{name}` is small: {size} bytes instead of more than {floor} MiB")
        return tuple(doubts)


def machine(system: str, arch: str) -> Machine:
    """Return what runs on this system and processor, as Python's `platform` names them."""
    known, processor = system.lower(), _ARCHES.get(arch.lower(), "")
    if known not in _MAGIC or not processor:
        arches: tuple[str, ...] = ()
    else:
        # quirk: a missing arm build is replaced by the other one, which the system may emulate.
        arches = (processor,) if processor == "x86_64" else (processor, "x86_64")
    return Machine(
        system=known,
        name=f"{system} on {arch}",
        platforms=tuple(f"{arch}_{known}" for arch in arches),
        targets=tuple(f"{_TARGET_SYSTEMS[known]}-{_TARGET_ARCHES[arch]}" for arch in arches),
    )
