"""The methods around the chat."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.demo.client import Demo, running, talking


def call(demo: Demo, method: str, params: object = None, identity: Any = None) -> dict[str, Any]:
    """Connect, call once, and return the answer."""

    async def once() -> dict[str, Any]:
        async with talking(demo) as client:
            return await client.call(method, params, identity)

    return asyncio.run(once())


LSP: dict[str, object] = {
    "processId": None,
    "rootUri": None,
    "capabilities": {},
    "workspaceFolders": [],
}
ACP: dict[str, object] = {"protocolVersion": 1, "clientCapabilities": {}, "timestamp": 1}


@pytest.mark.parametrize("params", [LSP, ACP, {}])
def test_initialize_takes_every_shape(demo: Demo, params: dict[str, object]) -> None:
    """LSP, ACP and nothing at all."""
    result = call(demo, "initialize", params)["result"]

    assert result["serverInfo"] == {"name": "lingma", "version": "2.11.1-demo"}
    assert result["simulator"] is True


@pytest.mark.parametrize(("side", "good", "bad"), [("lsp", LSP, ACP), ("acp", ACP, LSP)])
def test_initialize_can_insist_on_one_shape(
    tmp_path: Path, side: str, good: dict[str, object], bad: dict[str, object]
) -> None:
    """The careful client sends the keys of both."""
    with running(tmp_path, sides=f"initialize={side}") as demo:
        assert "result" in call(demo, "initialize", good)
        assert "error" in call(demo, "initialize", bad)
        assert "result" in call(demo, "initialize", LSP | ACP)


@pytest.mark.parametrize("identity", [7, "seven"])
def test_ids_may_be_numbers_or_strings(demo: Demo, identity: Any) -> None:
    """Answers carry the id as it came."""
    assert call(demo, "ping", {}, identity) == {
        "jsonrpc": "2.0",
        "id": identity,
        "result": {"success": True},
    }


def test_params_must_be_an_object(demo: Demo) -> None:
    """An array gives the error text of the binary."""
    error = call(demo, "auth/status", [])["error"]

    assert error["message"] == (
        "json: cannot unmarshal array into Go value of type definition.EmptyRequest"
    )


def test_unknown_methods_are_told(demo: Demo) -> None:
    """-32601, as for the desktop's chat methods that this runtime lacks."""
    assert call(demo, "session/new")["error"]["code"] == -32601


def test_initialized_may_be_unknown(tmp_path: Path) -> None:
    """As a notification it only leaves a line in the log."""

    async def exchange(demo: Demo) -> None:
        async with talking(demo) as client:
            await client.send({"jsonrpc": "2.0", "method": "initialized", "params": {}})
            await client.call("ping")

    with running(tmp_path / "b", sides="initialized=unknown") as demo:
        asyncio.run(exchange(demo))
        assert "method not found: initialized" in demo.log()
    with running(tmp_path / "a") as demo:
        asyncio.run(exchange(demo))
        assert "method not found" not in demo.log()


def test_auth_status_has_every_field(demo: Demo) -> None:
    """Logged in is status 2 with an id."""
    status = call(demo, "auth/status")["result"]

    assert (status["status"], status["id"], status["whitelist"]) == (2, "demo-user", 3)
    assert set(status) == set(
        "messageId status name id accountId token refreshToken expireTime quota whitelist orgId"
        " orgName yxUid avatarUrl userType isSubAccount cloudType email userTag"
        " privacyPolicyAgreed isPrivacyPolicyModifiable".split()
    )


def test_logged_out_is_status_1_without_models(tmp_path: Path) -> None:
    """Tokens and ids are empty, the list of models is empty."""
    with running(tmp_path, login="state=out") as demo:
        status = call(demo, "auth/status")["result"]

        assert (status["status"], status["id"], status["token"]) == (1, "", "")
        assert call(demo, "config/queryModels")["result"] == {}


@pytest.mark.parametrize(("extra", "identity"), [("", "demo-user"), (" without_id", "")])
def test_other_statuses_come_before_the_truth(tmp_path: Path, extra: str, identity: str) -> None:
    """Small numbers mean cached or unknown, with or without an id."""
    with running(tmp_path, login=f"status=4 polls=2{extra}") as demo:
        answers = [call(demo, "auth/status")["result"] for _ in range(3)]

    assert [answer["status"] for answer in answers] == [4, 4, 2]
    assert [answer["id"] for answer in answers] == [identity, identity, "demo-user"]


def test_the_login_follows_the_files(tmp_path: Path) -> None:
    """Another machine id logs out a running server."""
    with running(tmp_path) as demo:
        (tmp_path / "cache/id").write_text("another")

        assert call(demo, "auth/status")["result"]["status"] == 1


def test_secrets_are_not_in_the_journal(demo: Demo) -> None:
    """Params of auth methods are left out."""
    call(demo, "auth/refreshToken", {"refreshToken": "rt-secret"})

    assert demo.received("auth/refreshToken")[-1]["params"] == "(secret)"


def test_models_are_listed_by_scene(demo: Demo) -> None:
    """The first of the assistant scene is Auto."""
    assert call(demo, "config/queryModels")["result"]["assistant"][0]["key"] == "org_auto"


def test_the_endpoint_is_that_of_the_flag(tmp_path: Path) -> None:
    """`--endpoint` is kept and reported."""
    with running(tmp_path, "--socketPort=0", "--httpPort=0", "--endpoint=https://a") as demo:
        assert call(demo, "config/getEndpoint")["result"] == {"endpoint": "https://a"}


def test_the_plan_fails(demo: Demo) -> None:
    """Clients must never block on it."""
    assert call(demo, "user/plan")["error"]["code"] == -32603


def test_tool_messages_are_taken(demo: Demo) -> None:
    """Approvals and results have their own answers; an empty tool call id is refused."""
    result = {"toolCallId": "T", "name": "n", "success": False, "errorMessage": "no", "result": {}}

    assert call(demo, "tool/call/approve", {"toolCallId": "T"})["result"] == {}
    assert call(demo, "tool/invokeResult", result)["result"] == {
        "errorCode": None,
        "errorMessage": None,
    }
    assert "error" in call(demo, "tool/invokeResult", result | {"toolCallId": ""})


@pytest.mark.parametrize(("first", "code"), [(["shutdown"], 0), ([], 1)])
def test_exit_ends_the_process(tmp_path: Path, first: list[str], code: int) -> None:
    """Plain LSP: `exit` after `shutdown` is a success."""

    async def leave(demo: Demo) -> None:
        async with talking(demo) as client:
            for method in first:
                assert (await client.call(method))["result"] is None
            await client.send({"jsonrpc": "2.0", "method": "exit"})

    with running(tmp_path) as demo:
        asyncio.run(leave(demo))
        assert demo.process.wait(5) == code
