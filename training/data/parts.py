"""The parts of the data by purpose: fit, reference, gate, stream, test."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, fields, replace

from event_backbone.case.schema import Case
from event_backbone.events.schema import content_hash
from training.data.raw import DataOrigin
from training.data.reading import Retrieved
from training.data.rows import LabelledRows
from training.data.splitting import SplitIndices, split_log, split_retraining, split_rows


@dataclass(frozen=True)
class DataParts:
    """Rows by purpose: fitting and choosing see ``fit`` alone, promotion is decided on ``gate``."""

    source: DataOrigin
    fit: LabelledRows
    reference: LabelledRows
    gate: LabelledRows
    stream: LabelledRows
    test: LabelledRows

    def drawn(self) -> LabelledRows:
        """The rows of a challenger: fit, reference and gate."""
        parts = (self.fit, self.reference, self.gate)
        return LabelledRows(
            [record for part in parts for record in part.records], [label for part in parts for label in part.labels]
        )

    def independent_reference_rows(self) -> int:
        """The number of independent rows that the reference is worth.

        Of a log, records with the same content are drawn together, and a stream that is sent again has each of them
        several times: that many rows tell less than their number. Kish, Survey Sampling, 1965, section 8.2.
        """
        if self.source.kind != "log":
            return len(self.reference)
        repeats = Counter(_contents(self.reference)).values()
        return round(len(self.reference) ** 2 / sum(count**2 for count in repeats))

    def sizes(self) -> dict[str, int]:
        return {name: len(getattr(self, name)) for name in ("fit", "reference", "gate", "stream", "test")}


def divide(case: Case, retrieved: Retrieved, seed: int) -> DataParts:
    """Split the train rows; the test rows are the test files', or the share that was held out first.

    Of a log the newest rows are what the model and the decision about it come from.
    """
    rows, split = retrieved.train, case.data.split
    if retrieved.source.kind == "log":
        return _placed(retrieved.source, rows, split_log(_contents(rows), split, seed))
    data = _placed(retrieved.source, rows, split_rows(len(rows), split, seed))
    return data if split.test_share is not None else replace(data, test=retrieved.test)


def divide_newest(case: Case, source: DataOrigin, rows: LabelledRows, seed: int) -> DataParts:
    """Split labelled records, oldest first, for a retraining: the newest are fit, reference and gate.

    There are no test rows to spare: the measures of the run are those on the gate rows.
    """
    data = _placed(source, rows, split_retraining(_contents(rows), case.data.split, seed))
    return replace(data, test=data.gate)


def _placed(source: DataOrigin, rows: LabelledRows, places: SplitIndices) -> DataParts:
    parts = {part.name: rows.take(getattr(places, part.name)) for part in fields(places)}
    return DataParts(source, **parts)


def _contents(rows: LabelledRows) -> list[str]:
    return [content_hash(dict(record)) for record in rows.records]
