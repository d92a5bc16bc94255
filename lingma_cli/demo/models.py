"""The simulator's models, as `config/queryModels` lists them (section 4.3): scene to list."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """One model; `max_input_tokens` is what the list advertises, nothing is counted."""

    key: str
    name: str
    max_input_tokens: int
    is_vl: bool = False
    is_reasoning: bool = False
    is_default: bool = False


AUTO = Model(key="org_auto", name="Auto", max_input_tokens=180_000, is_vl=True, is_default=True)
CODER = Model(key="dashscope_qwen3_coder", name="Qwen3-Coder", max_input_tokens=256_000)
MAX = Model(key="dashscope_qwen_max_latest", name="Qwen3-Max", max_input_tokens=128_000)
THINKING = Model(
    key="dashscope_qwen_plus_20250428_thinking",
    name="Qwen3-Thinking",
    max_input_tokens=96_000,
    is_reasoning=True,
)
KIMI = Model(key="kmodel", name="Kimi-K2", max_input_tokens=200_000, is_vl=True)

MODELS = (AUTO, CODER, MAX, THINKING, KIMI)
SCENES: dict[str, tuple[Model, ...]] = {
    "assistant": (AUTO, CODER, THINKING, KIMI),
    "chat": (AUTO, CODER, MAX, THINKING),
    "developer": (AUTO, CODER),
    "inline": (CODER,),
    "quest": (),
}


def by_key(key: object) -> Model:
    """Return the model of a key; an unknown key is silently served by Auto, as upstream may."""
    return next((model for model in MODELS if model.key == key), AUTO)


def scenes() -> dict[str, list[dict[str, object]]]:
    """Render the list of every scene."""
    return {scene: [_render(model) for model in models] for scene, models in SCENES.items()}


def _render(model: Model) -> dict[str, object]:
    entry: dict[str, object] = {
        "key": model.key,
        "displayName": model.name,
        "format": "openai",
        "source": "system",
        "isVl": model.is_vl,
        "isReasoning": model.is_reasoning,
        "maxInputTokens": model.max_input_tokens,
        "model": "",
        "url": "",
        "apiKey": "",
    }
    return entry | {"isDefault": True} if model.is_default else entry
