"""Text in Markdown that stays text: no element, link, picture, entity, formula or table of its own.

By CommonMark 0.31 and GitHub's tables and formulas: a backslash before punctuation takes its meaning away.
"""

from __future__ import annotations

import re

from event_backbone.formats.visible_text import visible

#: An underscore inside a word means nothing, so names stay as they are.
_ANYWHERE = re.compile(r"[\\`*\[\]<|~$]|(?<![^\W_])_|_(?![^\W_])|&(?=#?\w+;)")
#: What begins a heading, a quotation, a list or a ruler.
_AT_THE_START = re.compile(r"^(\d*)(?=[#>+=.)-])")


def inline(text: str) -> str:
    """``text`` within a line or a table's cell, on one line."""
    return _ANYWHERE.sub(r"\\\g<0>", visible(" ".join(text.split())))


def paragraph(text: str) -> str:
    """``text`` where a line begins."""
    return _AT_THE_START.sub(r"\1\\", inline(text))
