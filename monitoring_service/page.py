"""What the live page knows before its first look at the state: the case in words, and which lines its charts have."""

from __future__ import annotations

from typing import Any

from event_backbone.case import Case

_FIGURES = {
    "binary": (("accuracy", "Accuracy"), ("f1", "F1"), ("auc", "AUC")),
    "regression": (("r2", "R²"), ("mae", "Mean error"), ("rmse", "RMS error")),
}
_STROKES = ("accent", "second", "third")


def page_content(case: Case) -> dict[str, Any]:
    """Everything the template and its scripts take from the case."""
    figures = [{"name": name, "title": title} for name, title in _FIGURES[case.task]]
    # R² has no unit and would be a flat line beside two errors in the target's unit.
    charted = [figure for figure in figures if figure["name"] != "r2"]
    return {
        "minimum_rows": case.monitoring.minimum_rows,
        "minimum_effect": f"{100 * case.monitoring.minimum_effect:g} %",
        "columns": [
            {"name": column.name, "title": column.title, "minimum_effect": case.minimum_effect(column)}
            for column in case.columns
        ],
        "figures": figures,
        "shares": case.is_binary,
        "mix_caption": _mix_caption(case),
        "mix_lines": _mix_lines(case),
        "quality_lines": [
            {"name": figure["name"], "label": figure["title"], "stroke": stroke}
            for figure, stroke in zip(charted, _STROKES, strict=False)
        ],
    }


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
