"""The live page's static content: texts and chart lines that follow from the case."""

from __future__ import annotations

from typing import Any

from event_backbone.case.schema import Case
from monitoring_service.performance.degradation import primary_metric

_METRICS = {
    "binary": {
        "accuracy": "Accuracy",
        "f1": "F1",
        "auc": "AUC",
        "precision": "Precision",
        "recall": "Recall",
        "log_loss": "Log loss",
        "calibration_error": "Calibration error",
    },
    "regression": {"mae": "Mean absolute error", "rmse": "RMS error", "r2": "R²"},
}
_IN_THE_TARGETS_UNIT = ("mae", "rmse")
#: The first so many have a tile each.
_TILES = 3


def page_content(case: Case) -> dict[str, Any]:
    """Everything the template and its scripts take from the case."""
    metrics = [_metric(case, name, title) for name, title in _METRICS[case.task].items()]
    return {
        "minimum_rows": case.monitoring.minimum_rows,
        "minimum_effect": _percent(case.monitoring.minimum_effect),
        "columns": [
            {
                "name": column.name,
                "title": column.title,
                "kind": column.kind,
                "minimum_effect": case.minimum_effect(column),
            }
            for column in case.columns
        ],
        "figures": metrics[:_TILES],
        "quality_figures": metrics,
        "headline": next(metric for metric in metrics if metric["name"] == primary_metric(case)),
        "shares": case.is_binary,
        "losses_are_shares": not case.is_binary,
        "mix_caption": _mix_caption(case),
        "mix_lines": _mix_lines(case),
        "data_limits": _data_limits(case),
    }


def _metric(case: Case, name: str, title: str) -> dict[str, Any]:
    return {"name": name, "title": title, "unit": case.target.unit if name in _IN_THE_TARGETS_UNIT else None}


def _data_limits(case: Case) -> str:
    limits = case.monitoring.data
    return (
        f"missing {_percent(limits.missing_increase)} above the reference, unseen {_percent(limits.unseen)}, "
        f"out of range {_percent(limits.out_of_range)}, refused {_percent(limits.rejected)}"
    )


def _percent(share: float) -> str:
    return f"{100 * share:g}\N{NO-BREAK SPACE}%"


def _mix_caption(case: Case) -> str:
    if case.is_binary:
        return f"Share predicted as {case.target.positive}, in the window and in the reference"
    unit = f", {case.target.unit}" if case.target.unit else ""
    return f"{case.target.title}{unit}: median and quartiles in the window, median in the reference"


def _mix_lines(case: Case) -> list[dict[str, Any]]:
    """Each line reads one name of a mix, ``of`` the window or of the reference."""
    if case.is_binary:
        name = case.target.positive
        return [
            {"name": name, "of": "window", "label": "window", "stroke": "accent"},
            {"name": name, "of": "reference", "label": "reference", "stroke": "soft", "dash": [6, 4]},
        ]
    return [
        {"name": "p50", "of": "window", "label": "median", "stroke": "accent"},
        {"name": "p25", "of": "window", "label": "lower quartile", "stroke": "third"},
        {"name": "p75", "of": "window", "label": "upper quartile", "stroke": "second"},
        {"name": "p50", "of": "reference", "label": "reference median", "stroke": "soft", "dash": [6, 4]},
    ]
