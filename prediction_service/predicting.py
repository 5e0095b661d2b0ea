"""Predictions from valid records: the one way they are made, whatever door the records came through."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import uuid_utils

from event_backbone.case import Case
from event_backbone.errors import TryAgainLaterError
from event_backbone.events import Prediction, content_hash, utc_now
from event_backbone.scoring import Scorer
from event_backbone.validation import Record, values_getter


class NoModelError(TryAgainLaterError):
    """No champion is loaded yet."""


class Predictor:
    """Scores records with the champion of the moment. Thread-safe.

    ``scorer_in_use`` gives the present scorer, or ``None`` before the first champion.
    """

    def __init__(self, case: Case, scorer_in_use: Callable[[], Scorer | None]) -> None:
        self._case_name = case.name
        self._case_sha256 = case.sha256
        self._columns = case.column_names
        self._values_of = values_getter(case.column_names)
        self._scorer_in_use = scorer_in_use

    def predict(self, records: Sequence[Record]) -> list[Prediction]:
        """One prediction for each record, in order, all by the same model version; nothing is kept yet.

        Raises:
            NoModelError: there is no champion yet.
        """
        scorer = self._scorer_in_use()
        if scorer is None:
            raise NoModelError("no model is loaded yet", retry_after_s=2)
        scores = scorer.score(records)
        return [self._prediction(record, scorer, score) for record, score in zip(records, scores, strict=True)]

    def _prediction(self, record: Record, scorer: Scorer, score: float) -> Prediction:
        values = dict(zip(self._columns, self._values_of(record), strict=True))
        return Prediction(
            record_id=record.record_id or str(uuid_utils.uuid7()),
            case=self._case_name,
            case_sha256=self._case_sha256,
            record=values,
            prediction=scorer.decide(score),
            score=score,
            model=scorer.model,
            bundle_sha256=scorer.bundle_sha256,
            predicted_at=utc_now(),
            content_hash=content_hash(values),
        )
