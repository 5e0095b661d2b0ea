"""Text without characters that nobody sees."""

from __future__ import annotations

import pytest

from event_backbone.formats.visible_text import visible


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Ärzte 漢字 🙂\N{NO-BREAK SPACE}<b>", "Ärzte 漢字 🙂\N{NO-BREAK SPACE}<b>"),
        ("a\nb\r\nc\td", "a\ufffdb\ufffd\ufffdc\ufffdd"),
        ("\x1b[31mred\x1b[0m \x9b1m \x07", "\ufffd[31mred\ufffd[0m \ufffd1m \ufffd"),
        (
            "\u2028\u2029 \u202egnp.exe\u202c \u2066x\u2069 \x00\x7f",
            "\ufffd\ufffd \ufffdgnp.exe\ufffd \ufffdx\ufffd \ufffd\ufffd",
        ),
    ],
)
def test_what_nobody_sees_is_marked_and_everything_else_stays(text: str, shown: str) -> None:
    assert visible(text) == shown
