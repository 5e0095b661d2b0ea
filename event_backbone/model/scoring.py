"""The scorer: a model bundle loaded for prediction, records in, scores out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from event_backbone.case.records import Record, RecordDecoder, values_getter
from event_backbone.case.schema import Case
from event_backbone.errors import Fault
from event_backbone.events.schema import ModelRef, Prediction, content_hash, utc_now
from event_backbone.model.bundle import BrokenBundleError, Bundle
from event_backbone.model.encoder import Encoder
from event_backbone.model.onnx_session import open_session

#: Largest difference between a score of this machine and the one training wrote down, relative above 1.
GOLDEN_TOLERANCE = 1e-5


class DecisionThreshold(msgspec.Struct, frozen=True):
    """The threshold of a binary case: at or above it a score means the positive class."""

    threshold: float | None = None


class _Golden(msgspec.Struct, frozen=True):
    records: list[dict[str, Any]]
    scores: list[float]


class Scorer:
    """Scores records with the ONNX model of one bundle.

    Building it checks the golden rows, which also warms the runtime. Thread-safe.

    Raises:
        BrokenBundleError: the bundle is for another case file, incomplete, or does not give its golden scores.
    """

    def __init__(self, bundle: Bundle, model: ModelRef, case: Case) -> None:
        if bundle.case.sha256 != case.sha256:
            raise BrokenBundleError(f"bundle {bundle.sha256[:12]} was made for another {case.name} case file")
        self.model = model
        self.bundle_sha256 = bundle.sha256
        self._case = case
        self._encoder = Encoder.from_json(bundle.read("encoder.json"))
        self._features_of = values_getter(self._encoder.feature_names)
        self._decision = bundle.decode("decision.json", DecisionThreshold)
        if case.is_binary and self._decision.threshold is None:
            raise BrokenBundleError(f"bundle {bundle.sha256[:12]}: decision.json has no threshold")
        self._run = _open_session(bundle)
        self._check_golden_rows(bundle.decode("golden.json", _Golden))

    def score(self, records: Sequence[Record]) -> list[float]:
        """Probability of the positive class, or the predicted value, for one record or many in one run of the model."""
        rows = [self._encoder.encode(self._features_of(record)) for record in records]
        scores: list[float] = self._last_column(np.array(rows, dtype=np.float32)).tolist()
        return scores

    def decide(self, score: float) -> str | float:
        """The class a score stands for, or the predicted value itself."""
        threshold = self._decision.threshold
        if threshold is None:
            return score
        target = self._case.target
        return str(target.positive if score >= threshold else target.negative)

    def _last_column(self, features: np.ndarray) -> Any:
        # Classifiers give (rows, 2) probabilities, regressors (rows, 1) values.
        return self._run({"features": features})[:, -1]

    def _check_golden_rows(self, golden: _Golden) -> None:
        """Score them on the path that requests take; whatever fails here would fail there."""
        decoder = RecordDecoder(self._case)
        try:
            scores = self.score([decoder.convert(record) for record in golden.records])
        except Exception as error:  # from the decoder, the encoder or onnxruntime, each with errors of its own
            raise BrokenBundleError(f"bundle {self.bundle_sha256[:12]} can't score its golden rows: {error}") from error
        fits = len(scores) == len(golden.scores) > 0
        if not fits or not np.allclose(scores, golden.scores, rtol=GOLDEN_TOLERANCE, atol=GOLDEN_TOLERANCE):
            raise BrokenBundleError(f"bundle {self.bundle_sha256[:12]} does not give the scores of its golden rows")


def predict(case: Case, scorer: Scorer, records: Sequence[Record], record_ids: Sequence[str]) -> list[Prediction]:
    """One prediction for each record, in order, by one run of the model; the one path for live and offline."""
    values_of = values_getter(case.column_names)
    made = []
    for record, record_id, score in zip(records, record_ids, scorer.score(records), strict=True):
        values = dict(zip(case.column_names, values_of(record), strict=True))
        made.append(
            Prediction(
                record_id=record_id,
                case=case.name,
                case_sha256=case.sha256,
                record=values,
                prediction=scorer.decide(score),
                score=score,
                model=scorer.model,
                bundle_sha256=scorer.bundle_sha256,
                predicted_at=utc_now(),
                content_hash=content_hash(values),
            )
        )
    return made


def fault_in_score(score: float) -> Fault | None:
    """What is wrong with a score that is no finite number; ``None`` for any other.

    A record may be valid and its numbers still too large for the model's 32 bits. A prediction with such a score can't
    be written as JSON, so it must not be kept.
    """
    if math.isfinite(score):
        return None
    return Fault("(body)", "not_finite", "its values are so large that the model gives no number")


def _open_session(bundle: Bundle) -> Any:
    content = bundle.read("model.onnx")
    try:
        return open_session(content)
    except Exception as error:  # onnxruntime's own errors share no public base class
        raise BrokenBundleError(f"bundle {bundle.sha256[:12]}: model.onnx: {error}") from error
