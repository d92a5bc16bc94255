"""The shape of the house: imports, mirror, budgets, entry points that stay light."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "lingma_cli"
MODULES = sorted(PACKAGE.rglob("*.py"))
MAX_MODULE, MAX_FUNCTION = 400, 50

# Tested where they act: in `tests/e2e` (over sockets and processes) or by the contract tests.
TESTED_ELSEWHERE = {
    "cli/__init__.py",
    "demo/__main__.py",
    "engines/guardian.py",
    "engines/lingma/login.py",
    "engines/base.py",
    "metrics/values.py",
    "engines/lingma/ask.py",
    "protocols/openai_chat_body.py",
    "protocols/openai_responses_body.py",
    "protocols/wire.py",
    "protocols/registry.py",
    "server/app.py",
    "server/bodies.py",
    "server/exchange_response.py",
    "server/conversation_routes.py",
    "server/house.py",
    "server/life.py",
    "server/pages.py",
    "server/pumped_response.py",
    "server/response_routes.py",
    "server/routes.py",
    "server/session_routes.py",
    "settings/engine_rows.py",
    "settings/row.py",
    "settings/rows.py",
    "routing/policy.py",
    "wiring/serve.py",
    "wiring/surroundings.py",
    "auth/login/calls.py",
    "core/events.py",
    "core/login.py",
    "core/chat.py",
}


def test_imports_point_down() -> None:
    """The import contracts hold."""
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout


def test_tests_mirror_the_tree() -> None:
    """Each module has its test file, or is listed as tested elsewhere."""
    wrong = []
    for module in MODULES:
        path = module.relative_to(PACKAGE)
        mirrored = ROOT / "tests" / path.parent / f"test_{path.name}"
        is_listed = path.as_posix() in TESTED_ELSEWHERE
        holds_code = any(
            isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
            for node in ast.parse(module.read_text()).body
        )
        if holds_code and mirrored.exists() == is_listed:
            wrong.append(path.as_posix())
    assert wrong == []


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_budgets(module: Path) -> None:
    """Modules and functions stay short enough to be seen whole, and say what they are."""
    source = module.read_text()
    tree = ast.parse(source)

    assert source.count("\n") <= MAX_MODULE
    assert not source.strip() or ast.get_docstring(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or 0) - node.lineno + 1
            assert length <= MAX_FUNCTION, f"{node.name} has {length} lines"


@pytest.mark.parametrize(
    ("arguments", "forbidden"),
    [
        (
            ("--version",),
            "httpx starlette uvicorn websockets keyring playwright rich typer msgspec",
        ),
        (
            ("--help",),
            "httpx starlette uvicorn websockets keyring playwright rich pydantic msgspec",
        ),
    ],
)
def test_light_commands_stay_light(arguments: tuple[str, ...], forbidden: str) -> None:
    """What answers at once imports none of the heavy packages."""
    program = (
        "import sys; from lingma_cli.cli import main\n"
        f"sys.argv = ['lingma', *{arguments!r}]\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print('loaded', *sorted({name.partition('.')[0] for name in sys.modules}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    loaded = set(done.stdout.splitlines()[-1].split())
    assert "lingma_cli" in loaded
    assert loaded & set(forbidden.split()) == set()
