"""The texts of the pages."""

import pytest

from lingma_cli.demo import pages

EVIL = '"><script>alert(1)</script>'


def test_the_frame_has_the_known_ids() -> None:
    """They are the only thing that is told of the vendor's form."""
    text = pages.frame("n")

    assert 'id="fm-login-id"' in text
    assert 'id="fm-login-password"' in text


@pytest.mark.parametrize("layout", [pages.form("n", ""), pages.frame("n"), pages.tabs("n")])
def test_a_form_has_a_name_and_a_hidden_password(layout: str) -> None:
    """One field each, and where it goes."""
    assert layout.count('name="loginId"') == 1
    assert layout.count('type="password"') == 1
    assert 'action="/lingma/signin?nonce=n"' in layout


@pytest.mark.parametrize(
    "text",
    [
        pages.notice(EVIL, EVIL),
        pages.chooser([("/x?" + EVIL, EVIL)]),
        pages.form(EVIL, EVIL),
        pages.framed(EVIL),
        pages.step("sms", EVIL, EVIL),
    ],
)
def test_foreign_words_are_escaped(text: str) -> None:
    """Whatever came in a request is text, and no markup."""
    assert "<script>alert" not in text
