"""Plots of a comparison, as PNG bytes: every candidate in one picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from event_backbone.case.schema import Case
from training.comparison.cross_validation import CandidateComparison, CandidateMeasures, loss_name
from training.comparison.importance import Importance
from training.fitting.candidates import BALANCES, FAMILY_NAMES
from training.fitting.cross_validation import measure_name
from training.fitting.pictures import as_png, new_figure
from training.promotion.segments import Segment

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLOURS = dict(zip(FAMILY_NAMES, ("tab:green", "tab:orange", "tab:purple", "tab:blue"), strict=True))
_LINES = dict(zip(BALANCES, ("-", "--", ":"), strict=True))
_MARKERS = dict(zip(BALANCES, ("o", "s", "^"), strict=True))


def draw_comparison(case: Case, comparison: CandidateComparison) -> dict[str, bytes]:
    """PNG files by name: the measures side by side, and the held-out scores of each candidate."""
    pictures = {"comparison.png": _measures(case, comparison)}
    if case.is_binary:
        pictures["roc_curves.png"] = _curves(case, comparison, "ROC", _roc)
        pictures["precision_recall_curves.png"] = _curves(case, comparison, "precision and recall", _precision_recall)
        pictures["calibration_curves.png"] = _curves(case, comparison, "calibration", _calibration)
    return pictures


def draw_explanation(case: Case, importance: Importance, segments: Sequence[Segment]) -> dict[str, bytes]:
    """PNG files by name: both importances of the columns, and the first measure of the segments."""
    unit = "probability" if case.is_binary else case.target.unit or "the target's unit"
    drops = {name: mean for name, (mean, _) in importance.permutation.items()}
    spreads = {name: spread for name, (_, spread) in importance.permutation.items()}
    change = "AUC lost" if case.is_binary else "RMSE gained"
    return {
        "permutation_importance.png": _bars(f"{case.title}: {change} with the column shuffled", change, drops, spreads),
        "shap_importance.png": _bars(f"{case.title}: mean |SHAP value|", unit, importance.shap, {}),
        "segments.png": _segments(case, segments),
    }


def _measures(case: Case, comparison: CandidateComparison) -> bytes:
    """One panel a measure, one dot a candidate; the bar is two standard errors of the folds' mean each way."""
    names = {"auc": "AUC", "log_loss": "log loss", "calibration_error": "calibration error"}
    shown = names if case.is_binary else {"rmse": "RMSE", "mae": "MAE", "r2": "R²"}
    figure, _ = new_figure("", "", "")
    figure.clear()
    figure.set_size_inches(12, 1.5 + 0.3 * len(comparison.compared))
    ranked = sorted(comparison.compared, key=lambda one: -one.metrics[loss_name(case)])
    panels = figure.subplots(1, len(shown), sharey=True)
    for axes, (name, title) in zip(panels, shown.items(), strict=True):
        for place, one in enumerate(ranked):
            width = 2 * one.standard_error if name == measure_name(case) else None
            axes.errorbar(one.metrics[name], place, xerr=width, fmt=_MARKERS[one.candidate.balance], color=_colour(one))
        axes.set(xlabel=title)
        axes.grid(axis="x", alpha=0.3)
    panels[0].set_yticks(range(len(ranked)), [one.candidate.name for one in ranked])
    figure.suptitle(f"{case.title}: cross-validation")
    return as_png(figure)


def _colour(one: CandidateMeasures) -> str:
    return _COLOURS[one.candidate.family]


def _curves(case: Case, comparison: CandidateComparison, title: str, draw: Any) -> bytes:
    axis_names = {
        _roc: ("false positive rate", "true positive rate"),
        _precision_recall: ("recall", "precision"),
        _calibration: ("mean score", "share of positives"),
    }[draw]
    figure, axes = new_figure(f"{case.title}: {title}, held-out rows", *axis_names)
    figure.set_size_inches(8, 7)
    for one in comparison.compared:
        style = {"color": _colour(one), "linestyle": _LINES[one.candidate.balance], "linewidth": 1.2}
        draw(axes, comparison.targets, one, style)
    if draw is not _precision_recall:
        axes.plot([0, 1], [0, 1], color="grey", linewidth=0.8, alpha=0.6)
    axes.legend(fontsize="small")
    return as_png(figure)


def _roc(axes: Axes, targets: Any, one: CandidateMeasures, style: Mapping[str, Any]) -> None:
    from sklearn.metrics import roc_curve

    false_positive, true_positive, _ = roc_curve(targets, one.validated.scores)
    axes.plot(false_positive, true_positive, label=f"{one.candidate.name}: {one.metrics['auc']:.4f}", **style)


def _precision_recall(axes: Axes, targets: Any, one: CandidateMeasures, style: Mapping[str, Any]) -> None:
    from sklearn.metrics import precision_recall_curve

    precision, recall, _ = precision_recall_curve(targets, one.validated.scores)
    axes.plot(recall, precision, label=f"{one.candidate.name}: {one.metrics['average_precision']:.4f}", **style)


def _calibration(axes: Axes, targets: Any, one: CandidateMeasures, style: Mapping[str, Any]) -> None:
    from sklearn.calibration import calibration_curve

    shares, means = calibration_curve(targets, one.validated.scores, n_bins=20, strategy="quantile")
    axes.plot(means, shares, label=f"{one.candidate.name}: {one.metrics['calibration_error']:.4f}", **style)


def _bars(title: str, unit: str, values: Mapping[str, float], spreads: Mapping[str, float]) -> bytes:
    figure, axes = new_figure(title, unit, "")
    names = sorted(values, key=lambda name: values[name])
    axes.barh(names, [values[name] for name in names], xerr=[spreads.get(name, 0.0) for name in names])
    return as_png(figure)


def _segments(case: Case, segments: Sequence[Segment]) -> bytes:
    measure = "auc" if case.is_binary else "r2"
    shown = [one for one in segments if measure in one.measures][::-1]
    figure, axes = new_figure(f"{case.title}: segments, 95 % intervals", "AUC" if case.is_binary else "R²", "")
    figure.set_size_inches(7, 1.5 + 0.3 * len(shown))
    values = np.array([one.measures[measure].value for one in shown])
    lows, highs = (np.array([getattr(one.measures[measure], end) for one in shown]) for end in ("low", "high"))
    axes.errorbar(values, range(len(shown)), xerr=[values - lows, highs - values], fmt="o")
    axes.set_yticks(range(len(shown)), [f"{one.column} {one.value} ({one.rows:,})" for one in shown])
    return as_png(figure)
