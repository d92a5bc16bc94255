"""`lingma engine list`, `add`, `start` … without a running server; see `test_engine_running`."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lingma_cli.control.persisted import HttpEntry, PersistedEngines
from lingma_cli.engines.managed.output_log import OutputLog
from lingma_cli.paths import Paths, find_paths
from lingma_cli.server.presence import ServerFile, announce, only_server
from lingma_cli.wiring.engine_book import output_file
from tests.support.cli import Result, run_lingma, terminal
from tests.support.openai_server import OpenAiServer, json_reply, openai_server

KEY = "sk-0123456789abcdef"
NOWHERE = "http://127.0.0.1:9"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """An empty one."""
    return tmp_path / "home"


@pytest.fixture
def box() -> Iterator[OpenAiServer]:
    """A server that can be added."""
    with openai_server(models=json_reply({"data": [{"id": "m1"}]})) as server:
        yield server


def engine(home: Path, *arguments: str) -> Result:
    """Run `lingma engine …`; a server that the user has named elsewhere is not meant."""
    return run_lingma("engine", *arguments, home=home, env={"LINGMA_URL": "http://127.0.0.1:1"})


def paths_of(home: Path) -> Paths:
    return find_paths({"LINGMA_HOME": str(home)})


def kept(home: Path) -> tuple[Any, ...]:
    """Return what is remembered."""
    return PersistedEngines(home / "state" / "engines.json", warn=lambda _: None).all()


def test_an_engine_is_remembered_listed_and_forgotten(home: Path, box: OpenAiServer) -> None:
    """`-` stands for what only a running server knows."""
    added = engine(home, "add", f"{box.url}/v1", "--id", "box", "--model", "m1", "--limit", "3")
    assert (added.code, added.out) == (0, "")
    assert added.err == f"added `box`, {box.url}; `lingma serve` takes it up when it starts\n"
    assert kept(home) == (HttpEntry(id="box", url=box.url, model="m1", limit=3),)

    listed = engine(home, "list")
    assert listed.out.splitlines()[1].split() == ["box", "m1", "llm", "-", box.url, *["-"] * 5]
    assert "no server runs here" in listed.err
    [shown] = json.loads(engine(home, "list", "--json").out)
    assert (shown["id"], shown["state"], shown["in_flight"]) == ("box", None, None)

    assert engine(home, "remove", "box").code == 0
    assert kept(home) == ()
    assert "there is no engine; run" in engine(home, "list").err


def test_one_that_does_not_answer_is_added_all_the_same(home: Path) -> None:
    """With a warning, a made id, labels, and JSON for programs."""
    added = engine(
        *(home, "add", NOWHERE, "--kind", "embedding"),
        *("--label", "site=home", "--label", "gpu=no", "--json"),
    )

    assert added.code == 0
    assert f"warning: nothing answers at `{NOWHERE}` now" in added.err
    assert json.loads(added.out)["id"] == "embedding-127.0.0.1-9"
    assert kept(home)[0].labels == {"site": "home", "gpu": "no"}


def test_a_key_is_named_and_never_shown(home: Path, box: OpenAiServer, tmp_path: Path) -> None:
    """Not by the command, nor on disk, nor in the list; no key goes to a server that is tried."""
    file = tmp_path / "key"
    file.write_text(KEY)
    file.chmod(0o600)

    added = engine(home, "add", box.url, "--api-key-ref", f"file:{file}", "--json")
    assert added.code == 0
    assert kept(home)[0].api_key_ref == f"file:{file}"
    listed = engine(home, "list", "--json")
    on_disk = (home / "state" / "engines.json").read_text()
    assert KEY not in added.out + added.err + listed.out + on_disk
    assert "authorization" not in box.asked[0].headers

    given = engine(home, "add", NOWHERE, "--api-key-ref", KEY)
    assert given.code == 2
    assert KEY not in given.out + given.err
    if os.name == "posix":
        file.chmod(0o644)
        refused = engine(home, "add", NOWHERE, "--api-key-ref", f"file:{file}")
        assert refused.code == 2
        assert "others may open it" in refused.err
    assert len(kept(home)) == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ("ftp://127.0.0.1:1",),
        ("127.0.0.1:1",),
        ("http://me:password@127.0.0.1:1",),
        ("http://127.0.0.1:1/v1?key=password",),
        (NOWHERE, "--id", "../x"),
        (NOWHERE, "--kind", "finetune"),
        (NOWHERE, "--label", "password"),
        (NOWHERE, "--limit", "-1"),
        (NOWHERE, "--api-key-ref", "env:LINGMA_ADMIN_TOKEN"),
    ],
)
def test_what_cannot_be_used_is_refused(home: Path, arguments: tuple[str, ...]) -> None:
    """Nothing is kept then; a password in a URL is not repeated."""
    refused = engine(home, "add", *arguments)

    assert refused.code == 2
    assert "hint: " in refused.err
    assert "password" not in refused.err or "--label" in arguments
    assert kept(home) == ()


def test_an_id_and_a_url_are_there_once(home: Path) -> None:
    """The first one stays as it is."""
    assert engine(home, "add", NOWHERE, "--id", "box").code == 0

    same_id = engine(home, "add", "http://127.0.0.1:10", "--id", "box")
    same_url = engine(home, "add", f"{NOWHERE}/v1/", "--id", "other")
    assert (same_id.code, same_url.code) == (6, 6)
    assert "there is an engine `box` already" in same_id.err
    assert f"there is an engine at {NOWHERE} already: `box`" in same_url.err
    assert "hint: run `lingma engine remove box` first" in same_url.err
    assert kept(home) == (HttpEntry(id="box", url=NOWHERE),)


def test_a_server_to_be_started_is_remembered(home: Path, tmp_path: Path) -> None:
    """A file is kept with its folder; the template is guessed and said; a wrong one is refused."""
    (tmp_path / "tiny.gguf").touch()
    started = engine(home, "start", str(tmp_path / "tiny.gguf"), "--", "--ctx-size", "512")

    assert started.code == 0
    assert "template  llama.cpp" in started.err
    assert "`lingma serve` takes it up when it starts" in started.err
    [entry] = kept(home)
    assert (entry.id, entry.template) == ("llm-tiny.gguf", "llama.cpp")
    assert (entry.model, entry.extra) == (str(tmp_path / "tiny.gguf"), ("--ctx-size", "512"))

    assert engine(home, "start", str(tmp_path / "none.gguf")).code == 2
    unknown = engine(home, "start", "m", "--template", "none")
    assert unknown.code == 2
    assert "use one of llama.cpp, vllm, sglang, ollama" in unknown.err
    assert len(kept(home)) == 1


def test_templates_of_the_settings_count(home: Path, tmp_path: Path) -> None:
    """For a server that is remembered as for one that is started."""
    (tmp_path / "config.toml").write_text(
        '[[engine_templates]]\nname = "mine"\ncommand = ["my-server", "{port}"]\n'
    )
    config = ("--config", str(tmp_path / "config.toml"))
    started = engine(
        *(home, "start", "org/m", "--template", "mine", "--engine-label", "tiny"),
        *("--engine-port", "8100", "--engine-kind", "embedding", *config),
    )

    assert started.code == 0, started.err
    [entry] = kept(home)
    assert (entry.id, entry.label, entry.port) == ("embedding-tiny", "tiny", 8100)


@pytest.mark.parametrize(
    "command",
    [
        ("engine", "stop", "box"),
        ("engine", "drain", "box", "--timeout", "1"),
        ("engine", "restart", "box"),
        ("engine", "prune"),
        ("account", "thaw"),
        ("account", "thaw", "work"),
    ],
)
def test_what_needs_a_server_says_so(home: Path, command: tuple[str, ...]) -> None:
    """With what to run."""
    result = run_lingma(*command, home=home)

    assert result.code == 3
    assert result.err.splitlines() == [
        "error: no server runs for this home",
        "",
        "hint: run `lingma gateway start`",
    ]


def test_the_engines_of_one_account_are_thawed(home: Path) -> None:
    """Those of others keep their rest; all of them are told, resting or not."""
    listed = [
        {"engine_id": id_, "state": "READY", "account": account, "cooldown_seconds": rest}
        for id_, account, rest in (("a", "work", 9), ("b", "play", 9), ("c", "work", 0))
    ]
    with openai_server() as server, only_server(paths_of(home)):
        base = "/v1/management"
        server.replies[f"{base}/engines"] = [json_reply({"engines": listed})]
        server.replies[f"{base}/thaw"] = [json_reply({})]
        announce(paths_of(home), ServerFile(url=server.url, pid=os.getpid(), started=0))
        thawed = run_lingma("account", "thaw", "work", home=home)

    assert thawed.err == "1 of 2 engines rested; now they are asked again\n"
    assert [one.json() for one in server.asked[1:]] == [{"engine": "a"}, {"engine": "c"}]


def test_while_a_server_is_starting_nothing_is_written(home: Path) -> None:
    """It might have read the file already, or not."""
    with only_server(paths_of(home)):
        added, removed = engine(home, "add", NOWHERE), engine(home, "remove", "box")

    assert (added.code, removed.code) == (3, 3)
    assert "just starting or ending" in added.err
    assert kept(home) == ()


def test_unknown_engines(home: Path) -> None:
    """Neither forgotten nor shown."""
    removed, shown = engine(home, "remove", "box"), engine(home, "logs", "box")

    assert (removed.code, shown.code) == (6, 6)
    assert "there is no engine `box`" in removed.err
    assert "no server has printed anything for an engine `box`" in shown.err


def test_a_log_is_shown_and_followed(home: Path) -> None:
    """Its last lines, then what comes, without secrets and escapes; also without a server."""
    log = OutputLog(output_file(paths_of(home), "box"))
    log.write(b"".join(b"line %d\n" % number for number in range(60)))
    assert len(engine(home, "logs", "box").out.splitlines()) == 50
    assert engine(home, "logs", "box", "-n", "2").out == "line 58\nline 59\n"

    with terminal("engine", "logs", "box", "-n", "1", "-f", home=home) as screen:
        screen.expect("line 59")
        log.write(b"api_key=sk-0123456789 \x1b[2J\nmore\n")
        screen.expect("more")
        shown = screen.text()
        screen.type("\x03")
        assert screen.wait() == 130
    log.close()
    assert "api_key=••••" in shown
    assert "line 59" in shown
