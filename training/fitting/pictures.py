"""Plots of a model's performance on the test rows, as PNG bytes."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np

from event_backbone.case.schema import Case
from training.data.rows import Floats

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def draw_pictures(case: Case, targets: Floats, scores: Floats, threshold: float | None) -> dict[str, bytes]:
    """PNG files by name: ROC, calibration and confusion for classes, residuals for values."""
    if threshold is None:
        return {"residuals.png": _residuals(case, targets, scores)}
    return {
        "roc.png": _roc(case, targets, scores),
        "calibration.png": _calibration(case, targets, scores),
        "confusion.png": _confusion(case, targets, scores >= threshold),
    }


def new_figure(title: str, x_label: str, y_label: str) -> tuple[Figure, Axes]:
    """One picture with one pair of axes."""
    # A figure without pyplot: no window system, no global state.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 5), dpi=100, layout="constrained")
    axes = figure.add_subplot()
    axes.set(title=title, xlabel=x_label, ylabel=y_label)
    return figure, axes


def as_png(figure: Figure) -> bytes:
    """Texts are letters: a title or a value may hold any character, and $ begins a formula, which fails as one."""
    from matplotlib.text import Text

    for text in figure.findobj(Text):
        text.set_parse_math(False)
    written = io.BytesIO()
    figure.savefig(written, format="png")
    return written.getvalue()


def _roc(case: Case, targets: Floats, scores: Floats) -> bytes:
    from sklearn.metrics import roc_auc_score, roc_curve

    figure, axes = new_figure(f"{case.title}: ROC on the test rows", "false positive rate", "true positive rate")
    false_positive, true_positive, _ = roc_curve(targets, scores)
    axes.plot(false_positive, true_positive, label=f"AUC {roc_auc_score(targets, scores):.4f}")
    axes.plot([0, 1], [0, 1], linestyle=":", color="grey", label="chance")
    axes.legend(loc="lower right")
    return as_png(figure)


def _calibration(case: Case, targets: Floats, scores: Floats) -> bytes:
    from sklearn.calibration import calibration_curve

    figure, axes = new_figure(f"{case.title}: calibration on the test rows", "mean score", "share of positives")
    shares, means = calibration_curve(targets, scores, n_bins=10, strategy="quantile")
    axes.plot(means, shares, marker="o", label="tenths of the rows")
    axes.plot([0, 1], [0, 1], linestyle=":", color="grey", label="perfect")
    axes.legend(loc="upper left")
    return as_png(figure)


def _confusion(case: Case, targets: Floats, classes: np.ndarray) -> bytes:
    from sklearn.metrics import confusion_matrix

    figure, axes = new_figure(f"{case.title}: confusion on the test rows", "predicted", "true")
    counts = confusion_matrix(targets, classes, labels=[0, 1])
    names = [str(case.target.negative), str(case.target.positive)]
    axes.imshow(counts, cmap="Blues")
    axes.set_xticks([0, 1], names)
    axes.set_yticks([0, 1], names)
    for (row, column), count in np.ndenumerate(counts):
        dark = count > counts.max() / 2
        axes.text(column, row, f"{count:,}", ha="center", va="center", color="white" if dark else "black")
    return as_png(figure)


def _residuals(case: Case, targets: Floats, scores: Floats) -> bytes:
    unit = f", {case.target.unit}" if case.target.unit else ""
    figure, axes = new_figure(
        f"{case.title}: residuals on the test rows", f"predicted{unit}", f"true - predicted{unit}"
    )
    axes.scatter(scores, targets - scores, s=4, alpha=0.3, linewidths=0)
    axes.axhline(0, linestyle=":", color="grey")
    return as_png(figure)
