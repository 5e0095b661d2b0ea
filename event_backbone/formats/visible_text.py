"""Text without characters that nobody sees and programs obey: ends of lines, escape sequences, turns of direction."""

from __future__ import annotations

import re

#: Controls of ASCII and Latin-1, line and paragraph separators, and what turns the direction of the text behind it.
_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_MARK = "\N{REPLACEMENT CHARACTER}"


def visible(text: str) -> str:
    """``text`` on one line, with a mark in place of each such character."""
    return _UNSEEN.sub(_MARK, text)
