"""Arrival delay: the time from a prediction's making to its arrival here."""

from __future__ import annotations

from datetime import datetime

import numpy as np
from msgspec import Struct

from monitoring_service.windows.row_buffer import Rows

#: The newest rows that are looked at: enough for a 95th percentile, few enough to be looked at every second.
ROWS_LOOKED_AT = 200


class ArrivalDelay(Struct, frozen=True):
    """Of the newest ``rows`` rows: the median and the 95th percentile, in seconds.

    The two ends are told by two clocks, so this is no better than they agree; never below 0.
    """

    rows: int
    p50_s: float
    p95_s: float


def arrival_delay(rows: Rows) -> ArrivalDelay | None:
    """``None`` without a row."""
    made_at = [datetime.fromisoformat(at).timestamp() for at in rows.predicted_at[-ROWS_LOOKED_AT:]]
    if not made_at:
        return None
    delays = np.maximum(rows.received_at[-ROWS_LOOKED_AT:] - np.array(made_at), 0.0)
    p50_s, p95_s = np.percentile(delays, [50, 95]).tolist()
    return ArrivalDelay(len(made_at), round(p50_s, 6), round(p95_s, 6))
