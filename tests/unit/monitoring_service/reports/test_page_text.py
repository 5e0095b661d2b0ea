"""What is done to values before they go into a report."""

from __future__ import annotations

import html
import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring_service.reports.page_text import all_as_text, as_text


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("card", "card"),
        ("Wife & Co; $5 or 5 %", "Wife & Co; $5 or 5 %"),
        (">50K", "\u203a50K"),
        ("</script><b>x</b>", "\u2039/script\u203a\u2039b\u203ax\u2039/b\u203a"),
        ("&lt;b&gt; &#60; &#x3c;", "&\u2060lt;b&\u2060gt; &\u2060#60; &\u2060#x3c;"),
        ("a\nb\r\x1b[31m\x00\u2028\u202e", "a\ufffdb\ufffd\ufffd[31m\ufffd\ufffd\ufffd"),
        ("Ärzte 漢字 🙂", "Ärzte 漢字 🙂"),
    ],
)
def test_a_value_stays_readable_and_is_no_markup(value: str, shown: str) -> None:
    assert as_text(value) == shown


@given(st.lists(st.one_of(st.text(), st.sampled_from(["<", ">", "</script>", "<!--", "&lt;", "&", "&#60;"]))))
def test_no_value_has_a_tag_an_entity_or_what_nobody_sees(values: list[str]) -> None:
    text = as_text("".join(values))
    assert not set("<>") & set(text)
    assert [one for one in re.findall(r"&[^;&\s]*;", text) if html.unescape(one) != one] == []
    assert not any(unicodedata.category(character) in ("Cc", "Zl", "Zp") for character in text)


def test_other_values_stay_as_they_are() -> None:
    assert all_as_text(["<a>", None, 1.5, "<a>"]) == ["\u2039a\u203a", None, 1.5, "\u2039a\u203a"]
