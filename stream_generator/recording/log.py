"""A prediction log as a recorded stream: a journal's file or a database, read page after page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from event_backbone.events.schema import Label
from event_backbone.ports import LoggedPrediction, PredictionLog
from stream_generator.recording.port import Period, Recorded, answered_of
from stream_generator.sending.retrying import Persistence

_PAGE_ROWS = 500


@dataclass(frozen=True)
class LogRecording:
    """Predictions in the log's order, each with its latest label.

    ``now`` (RFC 3339) ends a period that has no end: a log that grows by what is replayed must not be replayed for
    ever. A log that is away for a moment is asked again.
    """

    log: PredictionLog
    period: Period
    now: str
    persistence: Persistence
    with_labels: bool = True
    page_rows: int = _PAGE_ROWS

    def count(self) -> int:
        since, until = self._limits()
        return self.persistence.until_done(lambda: self.log.count(since=since, until=until))

    def items(self, after: str | None = None) -> Iterator[Recorded]:
        while page := self._page(after):
            yield from self._recorded(page)
            after = page[-1].cursor

    def close(self) -> None:
        self.log.close()

    def _limits(self) -> tuple[str | None, str]:
        since, until = self.period.as_text()
        return since, until or self.now

    def _page(self, after: str | None) -> Sequence[LoggedPrediction]:
        since, until = self._limits()
        ask = self.log.predictions
        return self.persistence.until_done(lambda: ask(since=since, until=until, after=after, limit=self.page_rows))

    def _recorded(self, page: Sequence[LoggedPrediction]) -> Iterator[Recorded]:
        labels = self._labels([logged.prediction.record_id for logged in page]) if self.with_labels else {}
        for logged in page:
            prediction = logged.prediction
            label = labels.get(prediction.record_id)
            yield Recorded(
                logged.cursor,
                prediction.record,
                None if label is None else label.label,
                prediction.record_id,
                prediction.predicted_at,
                None if label is None else label.labelled_at,
                answered_of(prediction),
            )

    def _labels(self, record_ids: Sequence[str]) -> dict[str, Label]:
        return dict(self.persistence.until_done(lambda: self.log.labels(record_ids)))
