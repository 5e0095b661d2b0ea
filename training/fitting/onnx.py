"""Conversion to ONNX, and the check that both give the same scores."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from event_backbone.case.schema import Case
from event_backbone.errors import StopError
from event_backbone.model.onnx_session import open_session
from training.data.rows import Floats
from training.families.onnx import INPUT_NAME

if TYPE_CHECKING:
    from training.fitting.cross_validation import FittedModel

#: Largest difference between the two, absolute for probabilities and relative for values.
TOLERANCE = 1e-5
_ROWS_AT_ONCE = 4096


def to_onnx(model: FittedModel) -> bytes:
    """The model as the ONNX bytes of a bundle."""
    return model.model.to_onnx(len(model.encoder.feature_names))


def onnx_scores(onnx: bytes, features: Any) -> Floats:
    """Scores of encoded rows as serving gets them, shape (rows,)."""
    score = open_session(onnx)
    parts = [
        score({INPUT_NAME: features[start : start + _ROWS_AT_ONCE]})[:, -1]
        for start in range(0, len(features), _ROWS_AT_ONCE)
    ]
    return np.concatenate(parts).astype(np.float64) if parts else np.zeros(0)


def largest_difference(case: Case, scores: Floats, others: Floats) -> float:
    """Absolute for probabilities, relative to ``others`` for values."""
    difference = np.abs(scores - others)
    if not case.is_binary:
        difference = difference / np.maximum(np.abs(others), 1.0)
    return float(difference.max(initial=0.0))


def check_parity(case: Case, scores: Floats, others: Floats) -> float:
    """The largest difference; raises :class:`StopError` when it is above :data:`TOLERANCE`."""
    difference = largest_difference(case, scores, others)
    if not difference <= TOLERANCE:
        raise StopError(
            f"ONNX and its model differ by {difference:.3g}, at most {TOLERANCE:g} is allowed: nothing is registered"
        )
    return difference
