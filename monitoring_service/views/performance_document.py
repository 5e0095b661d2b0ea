"""Performance in ``/api/state``: realised and estimated metrics, the gap between them, and label delays."""

from __future__ import annotations

from typing import Any

import msgspec

from monitoring_service.state.monitor_state import CheckResult
from monitoring_service.windows.label_delay import LabelDelays


def performance_document(check_result: CheckResult | None) -> dict[str, Any] | None:
    """Performance of the model version in use, ``None`` before its first check.

    Realised ones are over its newest labelled rows, estimated ones over its rows in the window. A metric that is not
    known is not there.
    """
    if check_result is None:
        return None
    model = {"name": check_result.model.name, "version": check_result.model.version}
    metric_values = msgspec.to_builtins(check_result.performance)
    for name in ("type", "earlier"):  # of interest to the kept state and to conditions only
        metric_values.pop(name, None)
    return {**metric_values, "model": model}


def label_delay_state(delays: LabelDelays) -> dict[str, Any]:
    """``buckets`` are pairs of a bound in seconds (``None`` above the last) and how many labels came within it."""
    return {
        "count": delays.count,
        "p50_s": delays.quantile_s(0.5),
        "p90_s": delays.quantile_s(0.9),
        "buckets": [*delays.cumulative(), (None, delays.count)],
    }
