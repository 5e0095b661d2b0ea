"""Intake of events: decoded, committed to the inbox, put into the windows, and then acknowledged."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import msgspec
import structlog
from msgspec import Struct

from event_backbone.case.event_rules import LARGEST_INTEGER, check_event
from event_backbone.case.schema import Case
from event_backbone.errors import StreamgaugeError, TryAgainLaterError, UnreadableMessageError
from event_backbone.events.schema import SCHEMA_VERSION, Envelope, decode_envelope
from monitoring_service.inbox.store import Inbox
from monitoring_service.inbox.transaction import NO_PROGRESS, Progress, Stored
from monitoring_service.intake.arrivals import Arrivals
from monitoring_service.reports.folder import ReportFolder
from monitoring_service.windows.sliding_window import Windows

log = structlog.get_logger()


#: Twice what a sidecar sends at most.
MOST_LINES = 20_000


class Refused(Struct, frozen=True):
    """A line that will never be taken: ``index`` counts lines of the body from 0, ``reason`` is from a closed set."""

    index: int
    reason: str


class Receipt(Struct, frozen=True):
    """The outcome of a body's lines: the four add up to their number.

    A conflict is another content for a ``record_id`` that is known already. The first one stands, and its sender can do
    nothing about it, so it is no refusal.
    """

    accepted: int
    duplicates: int
    conflicts: int
    refused: list[Refused]


class TooManyLinesError(StreamgaugeError):
    """A body that holds more events than are taken at once: its answer would name each of them."""


class OverloadedError(TryAgainLaterError):
    """More rows wait for their check than the limit allows."""


class Intake:
    """Takes events: bodies of NDJSON envelopes, or envelopes; thread-safe."""

    def __init__(
        self,
        case: Case,
        inbox: Inbox,
        windows: Windows,
        arrivals: Arrivals,
        reports: ReportFolder,
        *,
        count_refused: Callable[[Mapping[str, int]], None],
        max_backlog_rows: int,
        patience_s: float = 5.0,
    ) -> None:
        self._case = case
        self._inbox = inbox
        self._windows = windows
        self._arrivals = arrivals
        self._reports = reports
        self._count_refused = count_refused
        self._max_backlog_rows = max_backlog_rows
        self._patience_s = patience_s
        # Held over commit and windows, so that windows get rows in the order of their numbers.
        self._turn = threading.Lock()

    def take(self, body: bytes) -> Receipt:
        """Store every event of the body that is one; they survive the death of the process when this returns.

        Raises:
            TryAgainLaterError: it can't be kept now, or too many rows wait for their check; nothing was changed.
            TooManyLinesError: it holds more than :data:`MOST_LINES`; nothing was changed.
        """
        if self.is_full:
            raise OverloadedError("too many rows wait for their check", retry_after_s=1.0)
        if body.count(b"\n") + body.count(b"\r") > MOST_LINES:
            raise TooManyLinesError(f"The body has more than {MOST_LINES:,} lines; nothing was stored.")
        envelopes, refused = self._decode(body)
        stored = self.keep(envelopes)
        return Receipt(stored.accepted, stored.duplicates, stored.conflicts, refused)

    @property
    def is_full(self) -> bool:
        """Whether more rows wait for their check than the limit allows."""
        return self._windows.backlog_rows > self._max_backlog_rows

    def keep(self, envelopes: Sequence[Envelope], progress: Progress = NO_PROGRESS) -> Stored:
        """Commit events and progress in one step, then put the rows into the windows, however full those are.

        Raises:
            TryAgainLaterError: it can't be kept now; nothing was changed.
        """
        with self._in_turn():
            stored = self._inbox.store(envelopes, progress)
            self._windows.add(stored.rows, stored.rejected, stored.rows_counted)
            self._windows.remove(stored.erased)
            if stored.erased:
                self._void_reports()
        self._arrivals.count(len(stored.rows))
        return stored

    def _void_reports(self) -> None:
        try:
            self._reports.void(self._inbox.reports_void_until)
        except OSError as error:  # the events are kept; maintenance tries again
            log.error("reports_not_removed", reason=error.strerror)

    @contextmanager
    def _in_turn(self) -> Iterator[None]:
        if not self._turn.acquire(timeout=self._patience_s):
            raise OverloadedError("others are waiting to be kept", retry_after_s=1.0)
        try:
            yield
        finally:
            self._turn.release()

    def _decode(self, body: bytes) -> tuple[list[Envelope], list[Refused]]:
        envelopes, refused = [], []
        for index, line in enumerate(body.splitlines()):
            envelope, reason = self._decode_line(line) if line else (None, None)
            if reason is not None:
                refused.append(Refused(index, reason))
            elif envelope is not None:
                envelopes.append(envelope)
        self._count_refused(Counter(one.reason for one in refused))
        return envelopes, refused

    def _decode_line(self, line: bytes) -> tuple[Envelope | None, str | None]:
        try:
            envelope = decode_envelope(line)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None, "malformed"
        return envelope, _reason_to_refuse(self._case, envelope)


def _reason_to_refuse(case: Case, envelope: Envelope) -> str | None:
    """Why this event can never be taken: one of ``REFUSAL_REASONS``, or ``None``."""
    if envelope.schema_version != SCHEMA_VERSION:
        return "schema_version"
    if not 0 <= envelope.seq <= LARGEST_INTEGER:
        return "malformed"
    try:
        check_event(case, envelope.event)
    except UnreadableMessageError as error:
        return error.reason
    return None
