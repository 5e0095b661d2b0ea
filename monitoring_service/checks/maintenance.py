"""Periodic maintenance of the inbox, in steps too short to delay a request."""

from __future__ import annotations

import time
from collections.abc import Callable

import structlog

from monitoring_service.inbox.store import Inbox
from monitoring_service.reports.folder import ReportFolder

log = structlog.get_logger()

EVERY_S = 1.0
#: Of the time, at most this share goes into writing the inbox anew after erasures; and it is done in no hurry.
SCRUBBING_SHARE = 0.01
SCRUB_PAUSE_S = 10.0
#: More than arrive in a second at any rate we promise, so that trimming keeps up.
ROWS_A_STEP = 3000


class InboxMaintenance:
    """Counts labels that waited too long, trims old rows and scrubs after erasures. Not thread-safe.

    ``first_row_needed`` says from which row on records are kept.
    """

    def __init__(
        self,
        inbox: Inbox,
        first_row_needed: Callable[[], int],
        reports: ReportFolder,
        *,
        retention_s: float,
        unmatched_after_s: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._inbox = inbox
        self._first_row_needed = first_row_needed
        self._reports = reports
        self._voided_until = 0
        self._retention_s = retention_s
        self._unmatched_after_s = unmatched_after_s
        self._clock = clock
        self._next_at = self._scrub_at = 0.0

    def step(self) -> None:
        """Does something at most once a second; call it as often as you like."""
        now = self._clock()
        if now < self._next_at:
            return
        self._next_at = now + EVERY_S
        self._inbox.note_unmatched(received_before=now - self._unmatched_after_s, limit=ROWS_A_STEP)
        self._inbox.trim(
            first_row_needed=self._first_row_needed(),
            received_before=now - self._retention_s,
            limit=ROWS_A_STEP,
        )
        if now >= self._scrub_at and self._inbox.scrub_due:
            self._scrub(now)
        self._void_reports()
        self._reports.remove_old()

    def _void_reports(self) -> None:
        """Once more what the intake did, in case that it could not."""
        until_row = self._inbox.reports_void_until
        if until_row != self._voided_until:
            self._reports.void(until_row)
            self._voided_until = until_row

    def _scrub(self, now: float) -> None:
        self._scrub_at = now + SCRUB_PAUSE_S  # also if it fails
        self._inbox.scrub()
        duration_s = self._clock() - now
        self._scrub_at = now + max(SCRUB_PAUSE_S, duration_s / SCRUBBING_SHARE)
        log.info("inbox_scrubbed", duration_s=round(duration_s, 3))
