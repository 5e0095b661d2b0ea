"""The newest labelled records of a log, and waiting until enough of them came after an alert."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from event_backbone.case.schema import Case
from event_backbone.events.schema import time_text
from event_backbone.ports import PredictionLog
from training.data.labelled_log import read_labelled
from training.data.rows import LabelledRows

#: Between two looks at a log that is waited for.
LOOK_EVERY_S = 2.0
#: When nothing has come for so long, waiting on is of no use: at that rate no retraining would ever have its rows.
IDLE_S = 30.0
#: Of the rows that are wanted: from so many on, records of the world after an alert are better without older ones.
LEAST_SHARE = 0.2
_FIRST_SPAN_S, _WIDER_BY, _EVERYTHING_S = 60.0, 4.0, 100 * 365 * 86400.0


@dataclass(frozen=True)
class NewestRecords:
    """Reads the newest ``rows`` labelled records of a log, oldest first."""

    case: Case
    log: PredictionLog
    rows: int
    clock: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep

    def read(self) -> LabelledRows:
        """At most ``rows``; reads further and further back, so that a long log costs no more than a short one.

        Raises :class:`~event_backbone.errors.TryAgainLaterError` when the log is away.
        """
        now, span_s = self.clock(), _FIRST_SPAN_S
        while span_s < _EVERYTHING_S:
            since = time_text(now - span_s)
            if self.log.count(since=since) >= self.rows:
                found = self._labelled(since)
                if len(found) >= self.rows:
                    return self._last(found)
            span_s *= _WIDER_BY
        return self._last(self._labelled(None))

    def after(self, since: float, *, longest_s: float, progress: Callable[[str], None]) -> LabelledRows:
        """Records made after ``since``, waited for; with older ones only where there are too few of them.

        Raises :class:`~event_backbone.errors.TryAgainLaterError` when the log is away.
        """
        self._wait_for(since, longest_s, progress)
        found = self._labelled(time_text(since))
        return self._last(found) if len(found) >= LEAST_SHARE * self.rows else self.read()

    def _wait_for(self, since: float, longest_s: float, progress: Callable[[str], None]) -> None:
        """Return when there are ``rows`` labelled records of after ``since``, when no more come, or after a time."""
        text, started_at = time_text(since), self.clock()
        seen, changed_at = -1, started_at
        while True:
            found = self.log.count(since=text)
            if found >= self.rows:
                # Only now is it worth looking which of them have a label.
                found = len(self._labelled(text))
            progress(f"collecting: {found:,} of {self.rows:,} records since the alert began")
            now = self.clock()
            if found != seen:
                seen, changed_at = found, now
            if found >= self.rows or now - changed_at >= IDLE_S or now - started_at >= longest_s:
                return
            self.sleep(LOOK_EVERY_S)

    def _labelled(self, since: str | None) -> LabelledRows:
        return read_labelled(self.case, self.log, since=since).rows

    def _last(self, found: LabelledRows) -> LabelledRows:
        return found.take(np.arange(max(0, len(found) - self.rows), len(found)))
