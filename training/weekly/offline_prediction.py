"""Offline prediction: new records through the scorer that the service uses, into Parquet or MongoDB."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

from event_backbone.case.schema import Case
from event_backbone.errors import Fault, SettingsError
from event_backbone.events.schema import Prediction
from event_backbone.model import scoring
from event_backbone.model.bundle import CHAMPION_ALIAS, BundleStore, registered_name
from event_backbone.model.scoring import Scorer
from event_backbone.ports import ModelRegistry
from training.weekly.new_records import NewRecord, NewRecords

#: Scored in one run of the model, and held in memory.
BATCH_RECORDS = 1000


@dataclass(frozen=True)
class Scored:
    """A row of the source with its prediction, or with the faults for which there is none."""

    row: int
    record_id: str
    prediction: Prediction | None
    faults: tuple[Fault, ...] = ()


class PredictionsOutput(Protocol):
    """The port for offline predictions.

    :meth:`write` may hold back what it is given; after :meth:`close` all of it is durable. :meth:`discard` gives up
    instead. Raises :class:`~event_backbone.errors.TryAgainLaterError` when it is away; the same source may then be
    written again from its start.
    """

    name: str

    def write(self, batch: Sequence[Scored]) -> None: ...

    def close(self) -> None: ...

    def discard(self) -> None: ...


@dataclass(frozen=True)
class Predicted:
    """The outcome of offline prediction."""

    model: str
    records: int
    refused: int
    place: str

    @property
    def sentence(self) -> str:
        refused = f"; {self.refused:,} are no valid records and have no prediction" if self.refused else ""
        return f"{self.records - self.refused:,} predictions of {self.model} are in {self.place}{refused}"


def open_champion(case: Case, bundles: BundleStore, registry: ModelRegistry) -> Scorer:
    """The scorer of the present champion.

    Raises:
        SettingsError: there is no champion.
        TryAgainLaterError: the registry is away.
        BrokenBundleError: the champion is broken, or of another case file.
    """
    name = registered_name(case)
    champion = registry.resolve(name, CHAMPION_ALIAS)
    if champion is None:
        raise SettingsError(f"model {name}", [Fault("champion", "missing", "there is none yet; train one first")])
    return Scorer(bundles.install(champion, registry), champion.model, case)


def predict(case: Case, scorer: Scorer, records: NewRecords, place: PredictionsOutput) -> Predicted:
    """Score every record; a bad one never fails its neighbours.

    Raises:
        SettingsError: the source is empty or can't be read.
        TryAgainLaterError: the source or the place is away.
    """
    try:
        written = _write_all(case, scorer, records, place)
    except BaseException:
        place.discard()
        raise
    place.close()
    return written


def _write_all(case: Case, scorer: Scorer, records: NewRecords, place: PredictionsOutput) -> Predicted:
    count = refused = 0
    for batch in _batches(records.read(case)):
        scored = list(_scored(case, scorer, batch))
        place.write(scored)
        count, refused = count + len(scored), refused + sum(one.prediction is None for one in scored)
    if count == 0:
        raise SettingsError("new records", [Fault("--in", "empty", "holds no records")])
    return Predicted(f"{scorer.model.name} version {scorer.model.version}", count, refused, place.name)


def _batches(records: Iterator[NewRecord]) -> Iterator[list[NewRecord]]:
    while batch := list(islice(records, BATCH_RECORDS)):
        yield batch


def _scored(case: Case, scorer: Scorer, batch: Sequence[NewRecord]) -> Iterator[Scored]:
    """In order; the valid records go through the model in one run."""
    records, record_ids = [], []
    for one in batch:
        if one.record is not None:
            records.append(one.record)
            record_ids.append(one.record_id)
    predictions = iter(scoring.predict(case, scorer, records, record_ids) if records else ())
    for one in batch:
        if one.record is None:
            yield Scored(one.row, one.record_id, None, one.faults)
        else:
            prediction = next(predictions)
            fault = scoring.fault_in_score(prediction.score)
            yield Scored(one.row, one.record_id, None if fault else prediction, (fault,) if fault else ())
