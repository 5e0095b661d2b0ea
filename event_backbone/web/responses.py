"""Parts of HTTP responses that every service gives in the same way."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    pass


def retry_after_header(retry_after_s: float) -> str:
    """Whole seconds, at least one."""
    return str(max(1, math.ceil(retry_after_s)))
