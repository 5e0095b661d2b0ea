"""The points of a model's curves on the test rows, as CSV that DVC plots and compares."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import cast

import numpy as np

from event_backbone.case.schema import Case
from training.data.rows import Floats

MOST_POINTS = 200
_BINS = 10


def curves_of(case: Case, targets: Floats, scores: Floats, threshold: float | None) -> dict[str, bytes]:
    """CSV files by name; scores and targets have shape (rows,)."""
    if not case.is_binary:
        return {"predicted.csv": _csv(_downsampled({"actual": targets, "predicted": scores}))}
    from sklearn.calibration import calibration_curve
    from sklearn.metrics import precision_recall_curve, roc_curve

    false_positive, true_positive, _ = roc_curve(targets, scores)
    precision, recall, _ = precision_recall_curve(targets, scores)
    shares, means = calibration_curve(targets, scores, n_bins=_BINS, strategy="quantile")
    roc = {"false_positive_rate": false_positive, "true_positive_rate": true_positive}
    return {
        "roc.csv": _csv(_downsampled(roc)),
        "precision_recall.csv": _csv(_downsampled({"recall": recall, "precision": precision})),
        "calibration.csv": _csv({"mean_score": means, "share_of_positives": shares}),
        "classes.csv": _csv(_classes(case, targets, scores >= cast(float, threshold))),
    }


def _classes(case: Case, targets: Floats, positive: np.ndarray) -> dict[str, Sequence[str]]:
    names = np.array([str(case.target.negative), str(case.target.positive)])
    return {"actual": names[targets.astype(int)].tolist(), "predicted": names[positive.astype(int)].tolist()}


def _downsampled(columns: Mapping[str, Floats]) -> Mapping[str, Floats]:
    """Points evenly spread over the curve, its ends among them."""
    rows = len(next(iter(columns.values())))
    places = np.unique(np.linspace(0, rows - 1, min(rows, MOST_POINTS)).astype(int))
    return {name: values[places] for name, values in columns.items()}


def _csv(columns: Mapping[str, Floats | Sequence[str]]) -> bytes:
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*(list(values) for values in columns.values()), strict=True))
    return written.getvalue().encode()
