"""What `serve` says once it listens: where, with which key, which models, and lines to paste."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from lingma_cli import __version__
from lingma_cli.core.chat import Model
from lingma_cli.core.terminal import clean_line

if TYPE_CHECKING:
    from lingma_cli.wiring.serve import Listening

_SHOWN_MODELS: Final = 8
_PYTHON: Final = (
    "from openai import OpenAI; "
    "print(OpenAI().chat.completions.create("
    'model={model}, messages=[{{"role": "user", "content": "hello"}}]'
    ").choices[0].message.content)"
)


class Greeter:
    """Greets once the server listens, and again once its models are known.

    Args:
        say: writes a line to the person.
        is_terminal: whether a person reads it; a key is shown to nobody else.
    """

    def __init__(self, say: Callable[[str], object], *, is_terminal: bool) -> None:
        self._say = say
        self._is_terminal = is_terminal
        self._url = ""
        self._key_required = False

    def greet(self, listening: Listening) -> None:
        """Say where the server listens and whether it needs a key."""
        self._url, self._key_required = listening.url, listening.key_required
        self._say(f"lingma {__version__} listens at {listening.url}")
        if listening.demo:
            self._say("demo: a simulator answers, not Lingma")
        self._say(f"\nbase URL  {listening.url}/v1")
        self._say(f"API key   {self._key_line(listening)}")

    def _key_line(self, listening: Listening) -> str:
        if not listening.key_required:
            return "none needed"
        if listening.new_key is not None and self._is_terminal:
            return f"{listening.new_key.reveal()} (new; `lingma key show` prints it again)"
        return "needed: run `lingma key show`"

    def introduce(self, models: Sequence[Model]) -> None:
        """Say which models there are and how some clients reach them."""
        names = [clean_line(model.key) for model in models]
        if not names:
            return
        more = len(names) - _SHOWN_MODELS
        listed = ", ".join(names[:_SHOWN_MODELS])
        self._say(f"models    {listed}" + (f" and {more} more" if more > 0 else ""))
        writers = [model for model in models if model.kind == "llm"]
        if not writers:
            return
        chosen = clean_line(next((one for one in writers if one.is_default), writers[0]).key)
        for line in client_lines(self._url, model=chosen, key_required=self._key_required):
            self._say(line)


def client_lines(url: str, *, model: str, key_required: bool) -> tuple[str, ...]:
    """Return lines for a POSIX shell that ask `model` through three clients."""
    key = '"$(lingma key show)"' if key_required else "unused"
    header = '-H "authorization: Bearer $(lingma key show)" ' if key_required else ""
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": "hello"}]})
    address = shlex.quote(f"{url}/v1/chat/completions")
    python = _PYTHON.format(model=json.dumps(model))
    return (
        "\nPython, with `pip install openai`:",
        f"  export OPENAI_BASE_URL={shlex.quote(f'{url}/v1')} OPENAI_API_KEY={key}",
        f"  python3 -c {shlex.quote(python)}",
        "\nClaude Code:",
        f"  export ANTHROPIC_BASE_URL={shlex.quote(url)} ANTHROPIC_AUTH_TOKEN={key}",
        f"  ANTHROPIC_MODEL={shlex.quote(model)} claude",
        "\ncurl:",
        f"  curl {address} -H 'content-type: application/json' {header}-d {shlex.quote(body)}",
    )
