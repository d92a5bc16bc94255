"""The tool messages of the binary: `tool/call/sync`, `tool/invoke` and the text marker. Pure.

Source: Lingma local protocol, sections 4.5 and 4.7. The plugin's sync has no name and its invoke
no session; builds that tell the name put it in different places.
"""

import json
from dataclasses import dataclass

from lingma_cli.demo.answers import Ask
from lingma_cli.demo.outcomes import Outcome
from lingma_cli.demo.toolcalls import ToolCall

_STATUSES = {"result": "FINISHED", "upstream": "FINISHED", "failed": "ERROR"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """One native call with its id, and where its syncs have the name (`NAME_PLACES`)."""

    ask: Ask
    id: str
    call: ToolCall
    named: str

    def sync(self, status: str, outcome: Outcome | None = None) -> dict[str, object]:
        """Build a sync; one of `INIT` comes before the parameters are known."""
        failed = outcome is not None and not outcome.is_good
        results = [_result(outcome)] if outcome is not None and outcome.is_good else []
        parameters = {} if status == "INIT" else dict(self.call.arguments)
        params: dict[str, object] = {
            "sessionId": self.ask.session_id,
            "requestId": self.ask.request_id,
            "projectPath": "",
            "toolCallId": self.id,
            "toolCallStatus": status,
            "parameters": parameters,
            "results": results,
            "errorCode": "500" if failed else "",
            "errorMsg": outcome.text if outcome is not None and failed else "",
        }
        if self.named == "top":
            params["name"] = self.call.name
        elif self.named != "none":
            params[self.named] = {"name": self.call.name}
        return params

    def ended(self, outcome: Outcome) -> dict[str, object]:
        """Build the sync that ends the call."""
        return self.sync(_STATUSES.get(outcome.ending, "CANCELLED"), outcome)

    def invoke(self, *, asynchronous: bool) -> dict[str, object]:
        """Build the params of tool/invoke."""
        return {
            "requestId": self.ask.request_id,
            "toolCallId": self.id,
            "name": self.call.name,
            "parameters": dict(self.call.arguments),
            "async": asynchronous,
        }

    def marker(self) -> str:
        """Write the fence that names the call inside the answer's text."""
        body = json.dumps(self.call.arguments, ensure_ascii=False)
        return f"\n```toolCall::{self.call.name}::{self.id}::PENDING\n{body}\n```\n"


def _result(outcome: Outcome) -> dict[str, object]:
    value = outcome.result
    return value if isinstance(value, dict) else {"content": value}
