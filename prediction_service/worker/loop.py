"""The worker's loop: poll records from Kafka, predict in batches, deliver, and only then commit offsets.

Kafka is its journal: what was in flight when it died is read again by whoever gets the partitions next, and every
sink takes a ``record_id`` once.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import structlog

from event_backbone.errors import AwayError, TryAgainLaterError
from event_backbone.kafka.lag import StandstillClock
from event_backbone.ports import Lag, MessageConsumer, Partition, RebalanceListener
from prediction_service.worker.batches import BatchMaker, WorkBatch
from prediction_service.worker.metrics import WorkerMetrics
from prediction_service.worker.offsets import OffsetTracker
from prediction_service.worker.pipeline import Pipeline

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class WorkerTiming:
    """``batch_records``: most messages in one batch. Times in seconds."""

    batch_records: int = 1000
    poll_timeout_s: float = 0.2
    commit_every_s: float = 1.0
    #: Must stay far below the group's session timeout, or the group takes the partitions from us while we wait.
    hand_over_within_s: float = 3.0
    stop_within_s: float = 8.0


OpenStream = Callable[[RebalanceListener], MessageConsumer]


class WorkerLoop:
    """Runs until :meth:`stop`. :meth:`status` may be called from any thread."""

    def __init__(
        self,
        open_stream: OpenStream,
        maker: BatchMaker,
        pipeline: Pipeline[WorkBatch],
        metrics: WorkerMetrics,
        is_model_loaded: Callable[[], bool],
        pace: WorkerTiming,
        standstill: StandstillClock,
    ) -> None:
        self._stream = open_stream(self)
        self._maker = maker
        self._pipeline = pipeline
        self._metrics = metrics
        self._is_model_loaded = is_model_loaded
        self._pace = pace
        self._tracker = OffsetTracker()
        self._stop = threading.Event()
        self._commit_due_at = self._measure_due_at = 0.0
        self._broker_fault: TryAgainLaterError | None = None
        self._polls_well = True
        self._standstill = standstill
        self._lags: Mapping[str, Lag] = {}
        self._turned_at = time.monotonic()

    def stop(self) -> None:
        """Let :meth:`run` deliver and commit what is in flight, and return."""
        self._stop.set()

    @property
    def is_stopping(self) -> bool:
        return self._stop.is_set()

    def run(self) -> None:
        """Block until stopped.

        Raises:
            TooManyInvalidError: what had been delivered until then is committed.
            Exception: whatever ended a step.
        """
        try:
            while not self._stop.is_set():
                self._turn()
        finally:
            self._pipeline.drain(self._pace.stop_within_s)
            self._commit()
            self._pipeline.close()
            self._stream.close()

    def _turn(self) -> None:
        self._turned_at = time.monotonic()
        self._pipeline.check()
        self._commit_if_due()
        self._measure_if_due()
        if not self._is_model_loaded():
            self._stand_by(self._pace.poll_timeout_s)
        elif not self._pipeline.wait_for_room(self._pace.poll_timeout_s):
            self._stand_by(0.0)
        else:
            self._take()

    def _stand_by(self, timeout_s: float) -> None:
        """Take nothing, and stay a member of the group."""
        self._stream.pause()
        self._poll(timeout_s)

    def _take(self) -> None:
        self._stream.resume()
        messages = self._poll(self._pace.poll_timeout_s)
        if messages:
            self._count(messages)
            epochs = self._tracker.epochs_of({one.partition for one in messages})
            self._pipeline.offer(self._maker.make(messages, epochs))

    def _poll(self, timeout_s: float) -> Sequence[Any]:
        try:
            messages = self._stream.poll(timeout_s=timeout_s, max_messages=self._pace.batch_records)
        except TryAgainLaterError as error:
            if self._broker_fault is None:
                log.warning("broker_away" if isinstance(error, AwayError) else "reading_failed", error=str(error))
            self._broker_fault = error
            self._polls_well = False
            self._stop.wait(max(timeout_s, 0.2))
            return []
        self._polls_well = True
        if not isinstance(self._broker_fault, AwayError):  # of a broker that is back the lags know
            self._broker_fault = None
        return messages

    def _count(self, messages: Sequence[Any]) -> None:
        for topic in {one.partition.topic for one in messages}:
            count = sum(one.partition.topic == topic for one in messages)
            self._metrics.consumed.labels(topic).inc(count)

    # Commits ------------------------------------------------------------------------------------------------------

    def _commit_if_due(self) -> None:
        if time.monotonic() >= self._commit_due_at:
            self._commit_due_at = time.monotonic() + self._pace.commit_every_s
            self._commit()

    def _commit(self) -> None:
        self._tracker.note(self._pipeline.take_finished())
        offsets = self._tracker.due()
        if not offsets:
            return
        try:
            self._stream.commit(offsets)
        except TryAgainLaterError as error:
            log.warning("commit_failed", error=str(error))  # what was not committed is read again, by us or another
        else:
            self._tracker.committed(offsets)

    # Rebalances, in the thread that polls ---------------------------------------------------------------------------

    def assigned(self, partitions: Collection[Partition]) -> None:
        self._metrics.rebalances.labels("assigned").inc()
        self._tracker.came(partitions)
        self._metrics.partitions.set(len(self._tracker.partitions))
        log.info("partitions_assigned", partitions=_named(partitions))

    def revoked(self, partitions: Collection[Partition]) -> None:
        """Deliver and commit what is in flight, if that is possible soon; the next owner reads the rest again."""
        self._metrics.rebalances.labels("revoked").inc()
        drained = self._pipeline.drain(self._pace.hand_over_within_s)
        self._commit()
        self._went(partitions)
        log.info("partitions_revoked", partitions=_named(partitions), drained=drained)

    def lost(self, partitions: Collection[Partition]) -> None:
        """Other members have these partitions already: no offset of them may be committed."""
        self._metrics.rebalances.labels("lost").inc()
        self._went(partitions)
        log.warning("partitions_lost", partitions=_named(partitions))

    def _went(self, partitions: Collection[Partition]) -> None:
        self._tracker.went(partitions)
        self._metrics.partitions.set(len(self._tracker.partitions))

    # For people and probes ----------------------------------------------------------------------------------------

    def _measure_if_due(self) -> None:
        if time.monotonic() < self._measure_due_at:
            return
        self._measure_due_at = time.monotonic() + 1.0
        try:
            lags = self._stream.lags()
        except TryAgainLaterError as error:
            self._broker_fault = error
            return
        self._lags = _by_topic(lags)
        if lags or self._polls_well:  # without partitions no broker was asked
            self._standstill.look(lags)
            if isinstance(self._broker_fault, AwayError):
                self._broker_fault = None
        for topic, lag in self._lags.items():
            self._metrics.lag_records.labels(topic).set(lag.records)
            self._metrics.lag_seconds.labels(topic).set(lag.seconds)

    @property
    def silent_s(self) -> float:
        """Seconds since the loop's last round; a healthy one is never silent for long."""
        return time.monotonic() - self._turned_at

    @property
    def standstill(self) -> str | None:
        """What has stood still for too long; that Kafka or a sink does not answer is told elsewhere."""
        if isinstance(self._broker_fault, AwayError) or self._pipeline.away:
            return None
        fault = self._standstill.fault()
        return f"{fault}: {self._broker_fault}" if fault and self._broker_fault else fault

    def status(self) -> dict[str, Any]:
        return {
            "partitions": _named(self._tracker.partitions),
            "lag": {topic: {"records": lag.records, "seconds": lag.seconds} for topic, lag in self._lags.items()},
            "batches_in_hand": self._pipeline.in_hand,
            "away": {**({"kafka": str(self._broker_fault)} if self._broker_fault else {}), **self._pipeline.away},
        }


def _named(partitions: Collection[Partition]) -> list[str]:
    return sorted(f"{partition.topic}-{partition.number}" for partition in list(partitions))


def _by_topic(lags: Mapping[Partition, Lag]) -> dict[str, Lag]:
    """Records in sum, seconds at worst."""
    topics = {partition.topic for partition in lags}
    found = {topic: [lag for partition, lag in lags.items() if partition.topic == topic] for topic in topics}
    return {
        topic: Lag(sum(lag.records for lag in some), max(lag.seconds for lag in some)) for topic, some in found.items()
    }
