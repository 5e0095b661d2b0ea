"""Scoring recorded predictions again with one model version; nothing is sent and no log is changed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from event_backbone.case.records import Record, RecordDecoder
from event_backbone.case.schema import Case
from event_backbone.errors import Fault, RejectedError, SettingsError
from event_backbone.events.schema import Prediction, content_hash, utc_now
from event_backbone.model.bundle import BundleStore, registered_name
from event_backbone.model.scoring import Scorer, fault_in_score
from event_backbone.ports import ModelRegistry, RegisteredBundle
from stream_generator.recording.port import Answered, Recorded
from stream_generator.rescoring.difference import Differences

#: Scored in one run of the model.
BATCH_RECORDS = 256


@dataclass(frozen=True, slots=True)
class VersionModel:
    """A version's scorer; ``case`` is the case file it was made for."""

    scorer: Scorer
    case: Case


def open_version(version: str, case: Case, bundles: BundleStore, registry: ModelRegistry) -> VersionModel:
    """The bundle of a version; the registry is asked unless the version is the one in use.

    Raises:
        SettingsError: there is no such version.
        TryAgainLaterError: the registry is away.
        BrokenBundleError: the bundle is not what was registered, or does not give its golden scores.
    """
    name = registered_name(case)
    registered = _in_use(bundles, name, version) or registry.resolve_version(name, version)
    if registered is None:
        raise SettingsError(f"model {name}", [Fault("--model", "unknown", f"there is no version {version!r}")])
    bundle = bundles.install(registered, registry)
    return VersionModel(Scorer(bundle, registered.model, bundle.case), bundle.case)


def _in_use(bundles: BundleStore, name: str, version: str) -> RegisteredBundle | None:
    current = bundles.current()
    fits = current is not None and (current.model.name, current.model.version) == (name, version)
    return current if fits else None


class Rescorer:
    """Scores batches of what was recorded and adds up the differences."""

    def __init__(self, model: VersionModel, keeping: Callable[[Sequence[Prediction]], int] | None) -> None:
        self.differences = Differences(model.case)
        self.kept = None if keeping is None else 0
        self._model = model
        self._keeping = keeping
        self._decoder = RecordDecoder(model.case)

    def rescore(self, recorded: Iterable[Recorded]) -> Iterator[int]:
        """Go through everything, and yield the number of records after each batch.

        Raises:
            SettingsError: something was recorded without a score, or for another case.
        """
        done, remaining = 0, iter(recorded)
        while batch := list(islice(remaining, BATCH_RECORDS)):
            self._score(batch)
            done += len(batch)
            yield done

    def _score(self, batch: Sequence[Recorded]) -> None:
        readable = [(one, record) for one in batch if (record := self._record(one)) is not None]
        if not readable:
            return
        scorer, said = self._model.scorer, []
        for (one, _), score in zip(readable, scorer.score([record for _, record in readable]), strict=True):
            if fault := fault_in_score(score):
                self.differences.refused(f"{fault.place}: {fault.reason}")
                continue
            decision = scorer.decide(score)
            self.differences.add(one.record or {}, self._answered(one), decision, score)
            said.append((one, decision, score))
        self._keep(said)

    def _record(self, one: Recorded) -> Record | None:
        self._answered(one)
        try:
            return self._decoder.convert(one.record)
        except RejectedError as error:
            self.differences.refused(f"{error.faults[0].place}: {error.faults[0].reason}")
            return None

    def _answered(self, one: Recorded) -> Answered:
        answered = one.answered
        if answered is None:
            raise SettingsError(
                "recording", [Fault("--from", "no_scores", "holds no scores; --model compares with those recorded")]
            )
        if answered.case not in (None, self._model.case.name):
            raise SettingsError("recording", [Fault("--from", "case", f"is of the case {answered.case}")])
        return answered

    def _keep(self, said: Sequence[tuple[Recorded, str | float, float]]) -> None:
        if self._keeping is not None and self.kept is not None:
            self.kept += self._keeping([self._prediction(*one) for one in said if one[0].record_id is not None])

    def _prediction(self, one: Recorded, decision: str | float, score: float) -> Prediction:
        record, scorer, case = one.record or {}, self._model.scorer, self._model.case
        return Prediction(
            record_id=one.record_id or "",
            case=case.name,
            case_sha256=case.sha256,
            record=record,
            prediction=decision,
            score=score,
            model=scorer.model,
            bundle_sha256=scorer.bundle_sha256,
            predicted_at=utc_now(),
            content_hash=content_hash(record),
        )
