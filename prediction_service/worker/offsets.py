"""Offset tracking: which offsets may be committed, after every step and only of partitions that are still assigned."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Mapping

from event_backbone.ports import Partition
from prediction_service.worker.batches import WorkBatch


class OffsetTracker:
    """An epoch numbers each assignment of a partition: a batch of an earlier epoch is never committed."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._epochs: dict[Partition, int] = {}
        self._due: dict[Partition, int] = {}

    @property
    def partitions(self) -> Collection[Partition]:
        """The partitions assigned at the moment."""
        return self._epochs.keys()

    def came(self, partitions: Iterable[Partition]) -> None:
        for partition in partitions:
            self._epochs[partition] = next(self._numbers)

    def went(self, partitions: Iterable[Partition]) -> None:
        for partition in partitions:
            self._epochs.pop(partition, None)
            self._due.pop(partition, None)

    def epochs_of(self, partitions: Iterable[Partition]) -> dict[Partition, int]:
        """For a new batch to carry."""
        return {partition: self._epochs[partition] for partition in partitions if partition in self._epochs}

    def note(self, finished: Iterable[WorkBatch]) -> None:
        for batch in finished:
            for partition, offset in batch.next_offsets.items():
                if partition in self._epochs and batch.epochs.get(partition) == self._epochs[partition]:
                    self._due[partition] = offset

    def due(self) -> Mapping[Partition, int]:
        """What is not committed yet: the offset of the next message."""
        return dict(self._due)

    def committed(self, offsets: Mapping[Partition, int]) -> None:
        self._due = {partition: offset for partition, offset in self._due.items() if offsets.get(partition) != offset}
