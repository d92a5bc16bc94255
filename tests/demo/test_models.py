"""The simulator's models."""

from lingma_cli.demo import models


def test_scenes_overlap_and_one_is_empty() -> None:
    """The same model stands in several scenes, as upstream lists them."""
    scenes = models.scenes()
    keys = [[entry["key"] for entry in entries] for entries in scenes.values()]

    assert set(scenes) == {"assistant", "chat", "developer", "inline", "quest"}
    assert sum(map(len, keys)) > len({key for scene in keys for key in scene}) == 5
    assert scenes["quest"] == []


def test_an_entry_has_the_fields_of_the_protocol() -> None:
    """Auto is the default; only it carries `isDefault`."""
    auto, coder, *_ = models.scenes()["assistant"]

    assert auto == {
        "key": "org_auto",
        "displayName": "Auto",
        "format": "openai",
        "source": "system",
        "isVl": True,
        "isReasoning": False,
        "isDefault": True,
        "maxInputTokens": 180_000,
        "model": "",
        "url": "",
        "apiKey": "",
    }
    assert "isDefault" not in coder


def test_unknown_models_are_served_by_auto() -> None:
    """A key nobody knows is no error."""
    assert models.by_key("kmodel") is models.KIMI
    assert models.by_key("gpt-4") is models.AUTO
    assert models.by_key(None) is models.AUTO
