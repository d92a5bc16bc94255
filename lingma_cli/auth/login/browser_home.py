"""What a browser of ours is given: an environment, a place to write, and itself if need be."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import shutil
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from lingma_cli.auth.login.person import Person
from lingma_cli.errors import ErrorKind, LingmaError

_ON_PATH: Final = (
    *("google-chrome-stable", "google-chrome", "chrome", "chromium", "chromium-browser"),
    *("microsoft-edge-stable", "microsoft-edge"),
)
# Playwright reads these at its import and later; with them it prints what is typed.
_TALKATIVE: Final = ("DEBUG", "DEBUGP", "PWDEBUG", "npm_config_pwdebug")
# What driver and browser may see of our environment.
_ENVIRONMENT: Final = frozenset(
    """
    PATH HOME USER LOGNAME SHELL LANG LANGUAGE TZ LD_LIBRARY_PATH FONTCONFIG_FILE FONTCONFIG_PATH
    DISPLAY WAYLAND_DISPLAY XAUTHORITY DBUS_SESSION_BUS_ADDRESS
    XDG_CONFIG_HOME XDG_CACHE_HOME XDG_DATA_HOME XDG_DATA_DIRS XDG_RUNTIME_DIR XDG_SESSION_TYPE
    SYSTEMROOT SYSTEMDRIVE WINDIR COMSPEC PATHEXT USERPROFILE APPDATA LOCALAPPDATA PROGRAMDATA
    PROGRAMFILES PROGRAMFILES(X86) HTTP_PROXY HTTPS_PROXY NO_PROXY ALL_PROXY SSL_CERT_FILE
    SSL_CERT_DIR PLAYWRIGHT_BROWSERS_PATH
    """.split()
)

# Stands in the environment while it is narrow: what is shared carries its own lock.
_NARROW: Final = "LINGMA_NARROW"
_WAIT_SECONDS: Final = 0.05


def check_installed() -> None:
    """Raise `LingmaError` if the extra `browser` is not installed."""
    if importlib.util.find_spec("playwright") is None:
        raise LingmaError(
            ErrorKind.USAGE,
            "logging in by password needs the extra `browser`",
            hint="run `pip install 'lingma-cli[browser]'`, or `lingma login --method browser`",
        )


def silence() -> None:
    """Forget what would make Playwright print what it does; to be called before its import."""
    for name in _TALKATIVE:
        os.environ.pop(name, None)


def on_path() -> Iterator[str]:
    """Yield the browsers on the path that Playwright can drive, likelier ones first."""
    yield from filter(None, map(shutil.which, _ON_PATH))


@asynccontextmanager
async def narrow_environment(temp: Path) -> AsyncIterator[dict[str, str]]:
    """Let this process's environment be what a browser may see, and yield that.

    The driver inherits it at its start and can be given no other. Who comes while it is narrow
    already waits.

    Args:
        temp: takes the place of the folder for temporary files.
    """
    while True:
        if _NARROW not in os.environ:
            break
        await asyncio.sleep(_WAIT_SECONDS)
    before = dict(os.environ)
    kept = {name: value for name, value in before.items() if name.upper() in _ENVIRONMENT}
    kept |= dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(temp))
    try:
        os.environ.clear()
        os.environ.update(kept | {_NARROW: "1"})
        yield kept
    finally:
        os.environ.clear()
        os.environ.update(before)


async def offer_download(person: Person, environ: Mapping[str, str]) -> None:
    """Download Chromium if the person wants it.

    Raises:
        LingmaError: they do not, there is nobody to ask, or it fails.
    """
    missing = LingmaError(
        ErrorKind.USAGE,
        "there is no Chrome, Edge or Chromium to log in with",
        hint="install one, or run `python -m playwright install chromium`",
    )
    if not person.is_there:
        raise missing
    said = await person.ask("No Chrome, Edge or Chromium found. Download Chromium now? [y/N] ")
    if said.reveal().lower() not in ("y", "yes"):
        raise missing
    command = (sys.executable, "-m", "playwright", "install", "chromium")
    child = await asyncio.create_subprocess_exec(*command, env=dict(environ))
    if await child.wait():
        raise LingmaError(ErrorKind.INSTALL_FAILED, "Chromium could not be downloaded")
