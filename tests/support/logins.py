"""What tests of logins need besides the program: the simulator as a binary, and its pages."""

from __future__ import annotations

import re
import urllib.request
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import urlencode, urlsplit

from lingma_cli.demo.packing import Packing, executable

LOGGED_OUT = "state=file"
_URL = re.compile(r"http://127\.0\.0\.1:\d+/lingma/login\?\S+")


def binary(folder: Path, **environment: str) -> Path:
    """Write the simulator as an executable; `environment` is what it sets before it runs."""
    named = {f"LINGMA_DEMO_{name.upper()}": value for name, value in environment.items()}
    path = folder / "Lingma"
    path.write_bytes(executable(Packing(environment={"LINGMA_DEMO_LOGIN": LOGGED_OUT} | named)))
    path.chmod(0o755)
    return path


def login_url(text: str) -> str | None:
    """Return the last login page that `text` names."""
    found = _URL.findall(text)
    return found[-1] if found else None


def sign_in(url: str, user: str = "demo", password: str = "demo-password") -> str:
    """Fill in the form of a login page as a person does; return the address that it ends on."""
    parts = urlsplit(url)
    urllib.request.urlopen(url, timeout=10).close()
    action = f"http://{parts.netloc}/lingma/signin?{parts.query}"
    form = urlencode({"loginId": user, "password": password}).encode()
    address, seen = _redirect(action, form), 0
    while "/auth/callback" not in address and seen < 5:
        address, seen = _redirect(f"http://{parts.netloc}{address}"), seen + 1
    return address


def visit(url: str) -> str:
    """Return the page at `url`, wherever it leads."""
    with urllib.request.urlopen(url, timeout=10) as answer:
        return str(answer.read().decode())


def lend_a_hand(url: str) -> None:
    """Do the step that the login page waits for."""
    urllib.request.urlopen(f"http://{urlsplit(url).netloc}/demo/person", b"", timeout=10).close()


class _Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: object, **__: object) -> None:
        """Follow nothing."""
        return


def _redirect(url: str, form: bytes | None = None) -> str:
    try:
        urllib.request.build_opener(_Stay).open(url, form, timeout=10).close()
    except HTTPError as answer:
        return answer.headers["location"]
    raise AssertionError(f"{urlsplit(url).path} leads nowhere")
