"""The shadow: another model version scores what was answered, off the reply path and from the journal.

A relay with a cursor of its own reads the journal's rows, so a crash loses nothing and a reply never waits.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

import structlog

from event_backbone.bundle import BrokenBundleError, BundleShelf, open_bundle
from event_backbone.case import Case
from event_backbone.errors import RejectedError, TryAgainLaterError
from event_backbone.events import Envelope, Prediction, Shadow
from event_backbone.ports import Delivered, Refusal, RegisteredBundle, Sink
from event_backbone.scoring import Scorer
from event_backbone.validation import Record, RecordDecoder
from prediction_service.following import AliasFollower
from prediction_service.registry_notes import ShadowNote
from prediction_service.relay_state import SHADOW_SUFFIX

log = structlog.get_logger()

#: The shelf's pointer to the version that shadows.
SHADOW_POINTER = "shadow"
_START_WITHIN_S = 1.0


class ShadowModel:
    """The version that has the shadow's alias. ``scorer`` is ``None`` while no version has it, or none was ever good.

    :meth:`look` is for one thread, the rest for any.
    """

    def __init__(self, follower: AliasFollower, shelf: BundleShelf, case: Case) -> None:
        self._follower = follower
        self._shelf = shelf
        self._case = case
        self._loaded: RegisteredBundle | None = None
        self._looked = threading.Event()
        self.scorer: Scorer | None = None

    def look(self, *, anew: bool = False) -> None:
        """Follow the alias once, and load what it leads to; an alias that was taken away ends the shadow."""
        try:
            self._follower.follow(anew=anew)
            if self._follower.points_to_nothing:
                self._shelf.clear()
            self._load(self._shelf.current())
        except BrokenBundleError as error:
            log.error("shadow_refused", error=str(error))
        finally:
            self._looked.set()

    def _load(self, wanted: RegisteredBundle | None) -> None:
        if wanted == self._loaded:
            return
        if wanted is None:
            self.scorer = None
        else:
            bundle = open_bundle(self._shelf.path_of(wanted.bundle_sha256), wanted.bundle_sha256)
            self.scorer = Scorer(bundle, wanted.model, self._case)
        self._loaded = wanted
        log.info("shadow_scores", version=wanted.model.version if wanted else None)

    def note(self) -> ShadowNote:
        """Who shadows, for people."""
        scorer, fault = self.scorer, self._follower.fault
        return ShadowNote(scorer.model.version if scorer else None, fault.text if fault else None)

    def is_known(self, within_s: float) -> bool:
        """Whether anybody looked yet; waits a little for it."""
        return self._looked.wait(within_s)


class ShadowSink:
    """In front of another sink: takes a journal's rows and delivers what the shadow says about its predictions.

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
        shadows = _shadows(readable, scorer)
        delivered = self._behind.deliver(shadows) if shadows else Delivered()
        return Delivered([*unreadable, *delivered.refused], erased=delivered.erased)

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


def _shadows(readable: Sequence[tuple[Envelope, Prediction, Record]], scorer: Scorer) -> list[Envelope]:
    """Under a source of their own: each ``seq`` is that of the prediction, and what it follows is counted apart."""
    if not readable:
        return []
    scores = scorer.score([record for _, _, record in readable])
    return [
        Envelope(f"{envelope.source}{SHADOW_SUFFIX}", envelope.seq, _shadow(prediction, scorer, score))
        for (envelope, prediction, _), score in zip(readable, scores, strict=True)
    ]


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
