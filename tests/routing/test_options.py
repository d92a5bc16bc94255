"""The table of options."""

from __future__ import annotations

from lingma_cli.routing.options import PolicyOptions, option_table


def test_every_option_says_what_it_is_for() -> None:
    """One lower-case line each, without a full stop."""
    helps = [option.help for _, option in option_table()]

    assert helps
    assert all(text and text[0].islower() and text[-1] != "." for text in helps)


def test_every_default_is_allowed() -> None:
    """Each lies within its own bounds and choices."""
    for item, option in option_table():
        default = getattr(PolicyOptions(), item.name)
        assert not option.choices or default in option.choices
        assert option.minimum is None or default >= option.minimum
        assert option.maximum is None or default <= option.maximum


def test_the_defaults() -> None:
    """They are those that people know from other routers."""
    expected = {
        "cache_threshold": 0.3,
        "balance_abs_threshold": 64,
        "balance_rel_threshold": 1.5,
        "max_tree_size": 67_108_864,
        "eviction_interval_secs": 60,
        "max_idle_secs": 14_400,
        "assignment_mode": "random",
        "bucket_adjust_interval_secs": 5,
        "prefix_token_count": 256,
        "load_factor": 1.25,
    }

    assert expected == {item.name: item.default for item, _ in option_table()}
