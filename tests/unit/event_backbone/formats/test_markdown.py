"""Text in Markdown: what is shown is what was given, whatever it is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from event_backbone.formats import markdown
from event_backbone.formats.visible_text import visible

#: CommonMark with GitHub's tables and strikethrough, which lets HTML through: whatever is no text shows.
READER = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
PIECES = st.sampled_from([*"*_`[]()<>|~#+-=.!&;:\\/1\n\t ", "a", "&lt;", "http://", "![", "](", "<b>", "```", "    "])
TEXTS = st.one_of(st.text(), st.lists(PIECES).map("".join))


def shown(text: str) -> str:
    return visible(" ".join(text.split()))


def inlines(source: str) -> list[tuple[str, str]]:
    """What stands in the lines of a document: kind and text of each part."""
    return [
        (part.type, part.content) for token in READER.parse(source) for part in token.children or () if part.content
    ]


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("hours_per_week above 0.5 - or -1", "hours_per_week above 0.5 - or -1"),
        ("<=50K", r"\<=50K"),
        ("[a](https://elsewhere.invalid/)", r"\[a\](https://elsewhere.invalid/)"),
        ("AT&T &lt; _x_ | *y*", r"AT&T \&lt; \_x\_ \| \*y\*"),
        ("two\nlines", "two lines"),
        ("a\x1b[31m", "a\ufffd\\[31m"),
    ],
)
def test_names_and_numbers_stay_readable_and_signs_lose_their_meaning(text: str, written: str) -> None:
    assert markdown.inline(text) == written


@pytest.mark.parametrize("text", ["# x", "> x", "- x", "+ x", "1. x", "12) x", "---", "=== ", "```", "~~~", "    x"])
def test_a_line_that_begins_like_a_block_is_a_paragraph(text: str) -> None:
    assert (
        READER.render(f"a\n\n{markdown.paragraph(text)}\n") == f"<p>a</p>\n<p>{shown(text).replace('>', '&gt;')}</p>\n"
    )


@given(TEXTS)
def test_a_paragraph_is_read_as_the_text_that_was_written(text: str) -> None:
    expected = [("text", shown(text))] if shown(text) else []
    parts = inlines(f"before\n\n{markdown.paragraph(text)}\n\nafter\n")[1:-1]
    assert {kind for kind, _ in parts} <= {"text", "text_special"}
    assert "".join(content for _, content in parts) == "".join(content for _, content in expected)


@given(TEXTS, TEXTS)
def test_a_cell_is_one_cell_with_the_text_that_was_written(one: str, other: str) -> None:
    source = f"| a | b |\n| --- | --- |\n| {markdown.inline(one)} | {markdown.inline(other)} |\n"
    cells = [token.children or [] for token in READER.parse(source) if token.type == "inline"]
    assert len(cells) == 4
    for parts, text in zip(cells[2:], (one, other), strict=True):
        assert {part.type for part in parts} <= {"text", "text_special"}
        assert "".join(part.content for part in parts) == shown(text)
