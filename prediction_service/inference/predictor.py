"""The predictor: predictions by the champion in use, over HTTP as through Kafka."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import uuid_utils

from event_backbone.case.records import Record
from event_backbone.case.schema import Case
from event_backbone.errors import TryAgainLaterError
from event_backbone.events.schema import Prediction
from event_backbone.model.scoring import Scorer, predict


class NoModelError(TryAgainLaterError):
    """No champion is loaded yet."""


class Predictor:
    """Scores records with the champion in use. Thread-safe.

    ``scorer_in_use`` gives the present scorer, or ``None`` before the first champion.
    """

    def __init__(self, case: Case, scorer_in_use: Callable[[], Scorer | None]) -> None:
        self._case = case
        self._scorer_in_use = scorer_in_use

    def predict(self, records: Sequence[Record]) -> list[Prediction]:
        """One prediction for each record, in order, all by the same model version; nothing is stored yet.

        Raises:
            NoModelError: there is no champion yet.
        """
        scorer = self._scorer_in_use()
        if scorer is None:
            raise NoModelError("no model is loaded yet", retry_after_s=2)
        record_ids = [record.record_id or str(uuid_utils.uuid7()) for record in records]
        return predict(self._case, scorer, records, record_ids)
