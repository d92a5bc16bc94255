"""From an empty home to an answer, and on to another home, without a browser there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.accounts import launcher
from tests.support.cli import run_lingma
from tests.support.secret_service import secret_service
from tests.support.serving import serving


@pytest.fixture
def vault(
    request: pytest.FixtureRequest, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, str]]:
    """What chooses a vault, and opens it."""
    phrase = tmp_path / "phrase"
    phrase.write_text("correct horse battery staple\n")
    phrase.chmod(0o600)
    environ = {"LINGMA_STORE": request.param, "LINGMA_PASSPHRASE_FILE": str(phrase)}
    with ExitStack() as stack:
        if request.param == "keyring":
            # A socket's path must be short.
            folder = tmp_path_factory.mktemp("bus")
            environ |= stack.enter_context(secret_service(folder)).environ
        yield environ


@pytest.mark.parametrize(
    ("vault", "form"),
    [("plain", "--plaintext"), ("encrypted", "--encrypt"), ("keyring", "--plaintext")],
    indirect=["vault"],
)
def test_login_serve_chat_export_import_serve(
    tmp_path: Path, vault: dict[str, str], form: str
) -> None:
    """Every step is a command, and none needs another than those before it."""
    first, second = tmp_path / "first", tmp_path / "second"
    env = vault | {"LINGMA_DEMO_LOGIN": f"state=file cloud={tmp_path / 'cloud'}"}
    binary = ("--bin", launcher(tmp_path / "bin"))

    login = run_lingma(
        *("login", "--method", "token", "--accept-terms", *binary),
        home=first,
        env=env,
        stdin="demo-personal-token\n",
    )
    with serving(first, *binary, environ=env):
        chat = run_lingma("chat", "hi", home=first, env=env)
        export = run_lingma("session", "export", form, "-o", "-", home=first, env=env)
    imported = run_lingma("session", "import", "-", home=second, env=env, stdin=export.out)
    with serving(second, *binary, environ=env):
        again = run_lingma("chat", "hi", home=second, env=env)

    for step in (login, chat, export, imported, again):
        assert step.code == 0, step.err
    assert "demo Lingma" in chat.out
    assert "demo Lingma" in again.out
