"""The chosen candidate on the test rows: fitted on all rows it may see, made into a scorer, and measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from event_backbone.case.schema import Case
from training.comparison.cross_validation import EVEN_ODDS, CandidateComparison
from training.comparison.importance import Importance, explain
from training.data.rows import Floats, LabelledRows
from training.fitting.cross_validation import FittedModel, fit_chosen
from training.fitting.evaluation import evaluate
from training.fitting.onnx import check_parity, onnx_scores, to_onnx
from training.promotion.segments import Segment, measure_segments


@dataclass(frozen=True)
class HeldOutMeasures:
    """Measures of the chosen model on the test rows.

    ``test`` is measured by even odds, ``at_threshold`` by the threshold with the best F1 in cross-validation.
    """

    model: FittedModel
    onnx: bytes
    scores: Floats
    test: Mapping[str, float]
    at_threshold: Mapping[str, float]
    segments: Sequence[Segment]
    importance: Importance
    parity: float


def measure_held_out(
    case: Case, rows: LabelledRows, test: LabelledRows, comparison: CandidateComparison, seed: int
) -> HeldOutMeasures:
    """Fit the chosen candidate on ``rows`` and score ``test``, once, with the scorer that a bundle would hold.

    Raises:
        StopError: ONNX and the model disagree.
    """
    validated = [one.validated for one in comparison.compared]
    model = fit_chosen(case, rows, validated, comparison.chosen.validated, seed)
    onnx, features = to_onnx(model), model.encoder.encode_rows(test.records)
    scores, targets = onnx_scores(onnx, features), test.targets(case)
    parity = check_parity(case, scores, model.model.scores(features))
    return HeldOutMeasures(
        model=model,
        onnx=onnx,
        scores=scores,
        test=evaluate(case, targets, scores, EVEN_ODDS),
        at_threshold=evaluate(case, targets, scores, model.threshold),
        segments=measure_segments(case, test, scores, model.threshold, seed),
        importance=explain(case, model, test, seed),
        parity=parity,
    )
