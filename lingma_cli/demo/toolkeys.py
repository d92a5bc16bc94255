"""The directive keys that speak of tool calls: which, by which route, in which form and order."""

from lingma_cli.demo.language import Key

DIALECTS = (
    "action", "json", "string", "loose", "openai", "array", "pair", "bare", "tool_code",
    "tool_call", "function", "invoke", "unclosed", "trailing", "smart", "quoted", "blockquote",
    "inline", "example",
)  # fmt: skip
ORDERS = (
    "sync-first", "invoke-first", "invoke-only", "sync-only", "marker", "marker-only", "upstream",
)  # fmt: skip
NAME_PLACES = ("top", "toolCall", "tool_call", "tool", "data", "none")

TOOL_KEYS = (
    Key(
        name="calls",
        kind="text",
        meaning="JSON: the tool calls of the answer, a list of steps that are lists of"
        ' `{"name","arguments"}`; results in the prompt tell which steps are done',
    ),
    Key(
        name="via",
        kind="choice",
        choices=("auto", "native", "text"),
        meaning="calls as tool messages, as text, or as the side switch `tools` decides",
    ),
    Key(
        name="known",
        kind="flag",
        meaning="make the calls of a step only if the ask offers, or its prompt names, one of them",
    ),
    Key(name="dialect", kind="choice", choices=DIALECTS, meaning="how text calls are written"),
    Key(
        name="prose",
        kind="choice",
        choices=("none", "before", "between", "after", "all"),
        meaning="sentences around the calls",
    ),
    Key(
        name="order",
        kind="choice",
        choices=ORDERS,
        meaning="which tool messages a native call has, and in which order",
    ),
    Key(
        name="named",
        kind="choice",
        choices=NAME_PLACES,
        meaning="where tool/call/sync has the tool's name",
    ),
    Key(
        name="invoke",
        kind="choice",
        choices=("async", "sync"),
        meaning="tool/invoke is acknowledged and answered by tool/invokeResult, or answered by its"
        " own result",
    ),
    Key(
        name="states",
        kind="choice",
        choices=("usual", "all", "twice"),
        meaning="PENDING RUNNING FINISHED; with INIT before and REQUEST_FINISHED after; each twice",
    ),
    Key(
        name="tool_acks",
        kind="choice",
        choices=("now", "late", "never"),
        meaning="when approve and invokeResult are answered: at once, when the call is over, never",
    ),
    Key(name="gap", kind="seconds", meaning="pause between the native calls of a step"),
    Key(name="tool_wait", kind="seconds", meaning="when a native call is given up"),
    Key(
        name="at",
        kind="choice",
        choices=("answer", "waiting"),
        meaning="`after` counts deltas, or steps: it happens while native calls wait",
    ),
)
