"""Age of the oldest message that a reader does not have yet."""

from __future__ import annotations

import time

from event_backbone.ports import Lag


class LagClock:
    """Upper bound of the age of the oldest unread message.

    It came after the last one that was got, and after the last time that none was missing. What Kafka holds ahead of
    us can't be looked at, so the later of the two is taken.
    """

    def __init__(self) -> None:
        self._since = time.time()
        self._got_any = False

    def got(self, timestamp_ms: int) -> None:
        self._since = timestamp_ms / 1000 if not self._got_any else max(self._since, timestamp_ms / 1000)
        self._got_any = True

    def lag(self, records: int) -> Lag:
        now = time.time()
        if records == 0:
            self._since, self._got_any = now, True
            return Lag(0, 0.0)
        return Lag(records, max(0.0, now - self._since))
