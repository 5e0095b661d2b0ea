"""Injection of a scenario into a stream."""

from __future__ import annotations

from typing import Any

import numpy as np

from event_backbone.case.schema import Case
from stream_generator.scenario.changes import ColumnChange, Label, LabelChange
from stream_generator.scenario.records import StreamRow
from stream_generator.scenario.scenarios import Scenario, Timing


class Injector:
    """Applies a scenario's changes, in their order, to the rows of one stream.

    The same seed makes the same changes. Each change draws from a generator of its own, so that adding one to a
    scenario leaves the others' draws as they are. While a scenario grows, a growing share of the records is changed.
    """

    def __init__(self, scenario: Scenario, case: Case, timing: Timing, seed: int) -> None:
        self._case = case
        self._timing = timing
        self._columns = {column.name: column for column in case.columns}
        self._changes = [
            (change, np.random.default_rng([seed, 3, number])) for number, change in enumerate(scenario.changes)
        ]

    def apply(self, index: int, row: StreamRow) -> StreamRow:
        """Row ``index`` of the stream with its changes; call it once for each index, in order."""
        strength = self._timing.strength(index)
        if not strength:
            return row
        record, label = dict(row.record), row.label
        for change, rng in self._changes:
            if rng.random() >= change.share * strength:
                continue
            if isinstance(change, ColumnChange):
                self._change_column(change, record, rng)
            else:
                label = self._relabelled(change, record, label)
        return StreamRow(record, label)

    def _change_column(self, change: ColumnChange, record: dict[str, Any], rng: np.random.Generator) -> None:
        value = record.get(change.column)
        if value is not None:
            record[change.column] = change.changed(value, self._columns[change.column], rng)

    def _relabelled(self, change: LabelChange, record: dict[str, Any], label: Label) -> Label:
        return change.relabelled(label, self._case) if label is not None and change.concerns(record) else label
