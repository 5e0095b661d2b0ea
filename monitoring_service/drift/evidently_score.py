"""Evidently's drift scores of a window's columns: shown beside the verdict, which does not depend on them.

The only module that computes with Evidently; it is imported where it is used, in the evaluator process.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from event_backbone.model.reference_profile import CategoryProfile, NumberProfile
from monitoring_service.messages import ColumnScore
from monitoring_service.windows.columns import CategoryValues, ColumnValues


def score_column(name: str, reference: NumberProfile | CategoryProfile | None, window: ColumnValues) -> ColumnScore:
    """Of one column that was measured; without a score where the reference is of another kind, or it is not finite.

    A missing value belongs to neither side.
    """
    if isinstance(window, CategoryValues):
        return _of_categories(name, reference, window) if isinstance(reference, CategoryProfile) else ColumnScore(name)
    if not isinstance(reference, NumberProfile):
        return ColumnScore(name)
    present = window.values[~np.isnan(window.values)]
    return _scored(name, np.array(reference.sorted_values, dtype=np.float64), np.sort(present), "num")


def _of_categories(name: str, reference: CategoryProfile, window: CategoryValues) -> ColumnScore:
    """Each category that the reference never had counts for itself here."""
    places = {category: place for place, category in enumerate(reference.counts)}
    by_code = np.array([places.setdefault(category, len(places)) for category in window.names], dtype=np.int64)
    known = np.repeat(np.arange(len(reference.counts)), list(reference.counts.values()))
    return _scored(name, known, by_code[window.codes[window.codes >= 0]], "cat")


def _scored(name: str, reference: np.ndarray[Any, Any], window: np.ndarray[Any, Any], kind: str) -> ColumnScore:
    score, method = evidently_score(reference, window, kind)
    return ColumnScore(name, score if math.isfinite(score) else None, method)


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


def load_evidently() -> None:
    """Import what scores and reports need: seconds of CPU time."""
    import evidently.legacy.calculations.stattests
    import evidently.presets  # noqa: F401  the import itself is what is wanted
