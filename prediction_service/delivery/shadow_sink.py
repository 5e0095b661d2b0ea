"""The shadow sink: scores predictions again with the shadow model and delivers the shadow events."""

from __future__ import annotations

from collections.abc import Sequence

from event_backbone.case.records import Record, RecordDecoder
from event_backbone.case.schema import Case
from event_backbone.errors import RejectedError, TryAgainLaterError
from event_backbone.events.schema import Envelope, Prediction, Shadow
from event_backbone.model.scoring import Scorer, fault_in_score
from event_backbone.ports import Delivered, Refusal, Sink
from prediction_service.delivery.cursors import SHADOW_SUFFIX
from prediction_service.model_sync.shadow_model import ShadowModel

_START_WITHIN_S = 1.0


class ShadowSink:
    """A decorator of another sink: takes a journal's rows and delivers shadow predictions for them.

    The port's promises are those of the sink behind; without a shadow, rows pass by. A record that the shadow's own
    version answered needs no second opinion.
    """

    def __init__(self, behind: Sink, model: ShadowModel, case: Case) -> None:
        self.name = f"{behind.name}{SHADOW_SUFFIX}"
        self._behind = behind
        self._model = model
        self._decoder = RecordDecoder(case)

    def deliver(self, batch: Sequence[Envelope]) -> Delivered:
        if not self._model.is_known(within_s=_START_WITHIN_S):
            raise TryAgainLaterError("it is not known yet which version shadows")
        scorer = self._model.scorer
        if scorer is None:
            return Delivered()
        readable, unreadable = self._records(batch, scorer)
        shadows, unscored = _shadows(readable, scorer)
        delivered = self._behind.deliver(shadows) if shadows else Delivered()
        return Delivered([*unreadable, *unscored, *delivered.refused], erased=delivered.erased)

    def _records(
        self, batch: Sequence[Envelope], scorer: Scorer
    ) -> tuple[list[tuple[Envelope, Prediction, Record]], list[Refusal]]:
        readable, unreadable = [], []
        for envelope in batch:
            prediction = envelope.event
            if not isinstance(prediction, Prediction) or prediction.bundle_sha256 == scorer.bundle_sha256:
                continue
            try:
                readable.append((envelope, prediction, self._decoder.convert(prediction.record)))
            except RejectedError:  # of an older case file
                unreadable.append(Refusal(envelope.seq, "record"))
        return readable, unreadable

    def close(self) -> None:
        self._behind.close()


def _shadows(
    readable: Sequence[tuple[Envelope, Prediction, Record]], scorer: Scorer
) -> tuple[list[Envelope], list[Refusal]]:
    """Under a source of their own, each with the ``seq`` of its prediction, so that their lag is counted apart.

    And those that the model gives no number for.
    """
    if not readable:
        return [], []
    shadows, unscored = [], []
    scores = scorer.score([record for _, _, record in readable])
    for (envelope, prediction, _), score in zip(readable, scores, strict=True):
        if fault_in_score(score) is not None:
            unscored.append(Refusal(envelope.seq, "score"))
        else:
            shadow = _shadow(prediction, scorer, score)
            shadows.append(Envelope(f"{envelope.source}{SHADOW_SUFFIX}", envelope.seq, shadow))
    return shadows, unscored


def _shadow(prediction: Prediction, scorer: Scorer, score: float) -> Shadow:
    return Shadow(
        record_id=prediction.record_id,
        case=prediction.case,
        case_sha256=prediction.case_sha256,
        prediction=scorer.decide(score),
        score=score,
        model=scorer.model,
        bundle_sha256=scorer.bundle_sha256,
        predicted_at=prediction.predicted_at,
        content_hash=prediction.content_hash,
    )
