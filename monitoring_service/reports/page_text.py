"""Text that no page takes for markup: what is done to a record's values before they go into a report.

Evidently writes values into a script as they are, and Plotly reads tags and entities in the labels of its charts. Some
of its tables show what they get letter by letter, so an entity is no way out. Angle brackets become single quotation
marks of the same shape, which look alike everywhere.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from event_backbone.formats.visible_text import visible

_BRACKETS = str.maketrans(
    "<>", "\N{SINGLE LEFT-POINTING ANGLE QUOTATION MARK}\N{SINGLE RIGHT-POINTING ANGLE QUOTATION MARK}"
)
#: What begins an entity; a joiner behind it, which nobody sees, ends that.
_ENTITY = re.compile(r"&(?=#?[A-Za-z0-9]+;)")
_BROKEN_ENTITY = "&\N{WORD JOINER}"


def as_text(value: str) -> str:
    """``value`` without a character that HTML, a script or a chart's label would read as more than a letter."""
    return _ENTITY.sub(_BROKEN_ENTITY, visible(value).translate(_BRACKETS))


def all_as_text(values: Sequence[Any]) -> list[Any]:
    """The same for each text among ``values``, which are few different ones; the others stay as they are."""
    written = {value: as_text(value) for value in {value for value in values if isinstance(value, str)}}
    return [written.get(value, value) if isinstance(value, str) else value for value in values]
