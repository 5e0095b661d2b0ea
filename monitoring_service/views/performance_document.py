"""Performance in ``/api/state``: realised and estimated figures, what they lost, and how late labels come."""

from __future__ import annotations

from typing import Any

import msgspec

from monitoring_service.state.monitor_state import CheckResult
from monitoring_service.windows.label_delay import LabelDelays


def quality_state(evaluation: CheckResult | None) -> dict[str, Any] | None:
    """Figures of the model version in use, ``None`` before its first check.

    Realised ones are over its newest labelled rows, estimated ones over its rows in the window. A figure that is not
    known is not there.
    """
    if evaluation is None:
        return None
    model = {"name": evaluation.model.name, "version": evaluation.model.version}
    figures = msgspec.to_builtins(evaluation.quality)
    for name in ("type", "earlier"):  # of interest to the evaluator and to conditions only
        figures.pop(name, None)
    return {**figures, "model": model}


def label_delay_state(delays: LabelDelays) -> dict[str, Any]:
    """``buckets`` are pairs of a bound in seconds (``None`` above the last) and how many labels came within it."""
    return {
        "count": delays.count,
        "p50_s": delays.quantile_s(0.5),
        "p90_s": delays.quantile_s(0.9),
        "buckets": [*delays.cumulative(), (None, delays.count)],
    }
