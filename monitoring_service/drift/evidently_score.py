"""Evidently's drift score of one column."""

from __future__ import annotations

from typing import Any

import numpy as np


def evidently_score(reference: np.ndarray[Any, Any], window: np.ndarray[Any, Any], kind: str) -> tuple[float, str]:
    """Evidently's drift score and the name of the method it chose; ``kind`` is ``num`` or ``cat``.

    Equal to ``ValueDrift`` of a full report on the same values (a golden test holds this). Codes may stand for
    categories: the methods look at shares, never at names.
    """
    import pandas as pd
    from evidently.legacy.calculations.stattests import get_stattest
    from evidently.legacy.core import ColumnType

    column_type = ColumnType(kind)
    reference_series, window_series = pd.Series(reference), pd.Series(window)
    test = get_stattest(reference_series, window_series, column_type, None)
    result = test(reference_series, window_series, column_type, None)
    return float(result.drift_score), test.display_name
