"""The installer of a home, put together from its settings, and the command that runs Lingma."""

from __future__ import annotations

import os
import platform
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from lingma_cli.core.ids import random_hex
from lingma_cli.engines.lingma.process import allowed_environment
from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.install.archive import Caps
from lingma_cli.install.check import run_version
from lingma_cli.install.fetch import Fetcher, FetchLimits, OnProgress, system_trust
from lingma_cli.install.found import find_copies
from lingma_cli.install.hosts import Host, host_of
from lingma_cli.install.installer import Installer, not_installed
from lingma_cli.install.intake import Surroundings
from lingma_cli.install.layout import Layout
from lingma_cli.install.marketplace import VENDOR_VSIX, Extension
from lingma_cli.install.platforms import Machine, machine
from lingma_cli.install.sources import AddressSource, MarketplaceSource, Source
from lingma_cli.paths import Paths
from lingma_cli.settings import Settings


def build_installer(
    settings: Settings,
    paths: Paths,
    environ: Mapping[str, str],
    *,
    say: Callable[[str], None],
    on_progress: OnProgress,
    url: str = "",
) -> Installer:
    """Return the installer of this home.

    Args:
        settings: all of them.
        paths: the home.
        environ: the process environment.
        say: told what happens and what is odd, a line each.
        on_progress: told the bytes of a download so far and, if known, of how many.
        url: the address of a package, instead of the source that is configured.

    Raises:
        LingmaError: the configured source is no source.
    """
    extension = Extension(
        publisher=settings.marketplace_publisher, name=settings.marketplace_extension
    )
    here = machine(platform.system(), platform.machine())
    around = Surroundings(
        machine=here,
        copies=partial(
            find_copies,
            home=Path.home(),
            environ=environ,
            machine=here,
            extension=extension.full_name,
        ),
        run_version=partial(run_version, environ=allowed_environment(environ)),
        clock=time.time,
        caps=Caps(),
    )
    named = Path(settings.bin).expanduser().absolute() if settings.bin else None
    return Installer(
        Layout(paths.versions, random_hex),
        _source(settings, extension, here, url),
        around,
        named=named,
        say=say,
        on_progress=on_progress,
    )


def find_command(settings: Settings, paths: Paths, environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return the command that runs Lingma here, without getting anything.

    Args:
        settings: all of them.
        paths: the home.
        environ: the process environment.

    Raises:
        LingmaError: there is no executable.
    """
    if settings.demo:
        return demo_command()
    if settings.bin:
        return (executable(settings.bin),)
    installer = build_installer(
        settings, paths, environ, say=lambda _: None, on_progress=lambda _done, _total: None
    )
    found = installer.find()
    if found is None:
        raise not_installed()
    return (str(found),)


def demo_command() -> tuple[str, ...]:
    """Return the command that runs the simulator."""
    return (sys.executable, "-P", "-m", "lingma_cli.demo")


def executable(name: str) -> str:
    """Return the absolute path of an executable that the user named.

    Raises:
        LingmaError: there is none, or it is not executable.
    """
    path = Path(name).expanduser().absolute()
    if not path.is_file():
        raise LingmaError(ErrorKind.USAGE, f"there is no file `{path}`")
    if not os.access(path, os.X_OK):
        raise LingmaError(
            ErrorKind.USAGE, f"`{path}` is not executable", hint=f"run `chmod +x {path}`"
        )
    return str(path)


def _source(settings: Settings, extension: Extension, here: Machine, url: str) -> Source:
    if not url and settings.source_type == "marketplace":
        return MarketplaceSource(extension, here.targets, _fetcher(sorted(extension.hosts)))
    address = url or settings.vsix_url or VENDOR_VSIX
    return AddressSource(address, _fetcher([*extension.hosts, host_of(address)]))


def _fetcher(hosts: Sequence[Host]) -> Fetcher:
    return Fetcher(hosts=hosts, tls=system_trust(), pause=time.sleep, limits=FetchLimits())
