"""The model version that a window is about, where several answer: around a champion's change, or for longer."""

from __future__ import annotations

import numpy as np

from monitoring_service.windows.row_buffer import PredictionSource, Rows

#: Of 50 rows that two versions share evenly, one makes fewer in one check of thousands; the one that is judged must not
#: change by chance, or its runs of checks would begin anew each time.
STAYS_FROM_SHARE = 0.25


def version_in_use(rows: Rows, after_row: int, last: PredictionSource | None) -> PredictionSource:
    """The version of the last check while it makes a good part of the rows after ``after_row``, else the newest row's.

    It depends on rows and on the last check only, so it is the same after a restart. ``rows`` must not be empty.
    """
    newest: PredictionSource = rows.sources[rows.source_codes[-1]]
    new = rows.source_codes[rows.numbers > after_row]
    if last is None or not new.size:
        return newest
    of_last = [code for code, source in enumerate(rows.sources) if source == last]
    return last if np.isin(new, of_last).mean() >= STAYS_FROM_SHARE else newest
