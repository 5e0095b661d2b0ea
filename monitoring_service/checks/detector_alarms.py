"""Alarms of the stream detectors at a check, fed with the rows since the last one; and again after a restart.

A detector's state is never written down: it is rebuilt from the rows of its generation, which the inbox keeps for that.
So the same rows give the same alarms however often the service was restarted, but for rows that were erased: detectors
that go on have seen them until their generation ends, rebuilt ones have not.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import structlog

from event_backbone.case.schema import Case
from event_backbone.errors import TryAgainLaterError
from event_backbone.events.schema import ModelRef
from monitoring_service.drift.detectors import StreamDetectors, generation_start
from monitoring_service.inbox.store import Inbox
from monitoring_service.references.store import References
from monitoring_service.windows.row_buffer import RowBuffer, Rows
from monitoring_service.windows.sliding_window import Windows

log = structlog.get_logger()

#: Around a change of champion two versions answer side by side.
KEPT = 2
#: Rows read from the inbox at once, about.
CHUNK_ROWS = 1000


@dataclass(frozen=True, slots=True)
class ReferenceKey:
    """Identity of a reference: a model's scores, and its bundle's reference or an accepted one.

    ``since_row``: the rows that had come when that reference was decided on.
    """

    model: ModelRef
    bundle_sha256: str
    accepted_sha256: str | None
    since_row: int = 0


@dataclass(slots=True)
class _Fed:
    """Detectors, the last row fed to them, and whether their model has predicted in this generation.

    What came before it did is another world, which the reference may well not be like.
    """

    detectors: StreamDetectors
    row: int = 0
    has_begun: bool = False


class DetectorRunner:
    """Feeds the detectors of the references in use. Not thread-safe."""

    def __init__(self, case: Case, windows: Windows, inbox: Inbox, references: References) -> None:
        self._case = case
        self._step = case.monitoring.check_every_rows
        self._windows = windows
        self._inbox = inbox
        self._references = references
        self._fed: dict[ReferenceKey, _Fed] = {}

    def at(self, row: int, compared: ReferenceKey) -> frozenset[str]:
        """Names of the columns, and ``score``, whose detector alarms at the check at ``row``; none without a reference.

        Takes up to a second when the detectors must be rebuilt. Raises :class:`.InboxUnavailableError`.
        """
        fed = self._detectors_for(compared)
        if fed is None:
            return frozenset()
        alarms: frozenset[str] = frozenset()
        first = max(fed.row + 1, generation_start(row, self._step), self._after_check(compared.since_row))
        while first <= row:
            last = min(row, first + max(self._step, CHUNK_ROWS // self._step * self._step) - 1)
            rows_between = self._source(first, last)
            for end in range(first + self._step - 1, last + 1, self._step):
                alarms = self._feed(fed, end, rows_between(end - self._step + 1, end), compared.model)
            first = last + 1
        return alarms

    def _feed(self, fed: _Fed, end: int, new: Rows, model: ModelRef) -> frozenset[str]:
        is_of_model = new.of_model(model)
        is_first = end - self._step + 1 == generation_start(end, self._step)
        fed.has_begun = bool(is_of_model.any()) or (fed.has_begun and not is_first)
        fed.row = end
        return fed.detectors.advance(end, new.columns, new.scores[is_of_model]) if fed.has_begun else frozenset()

    def _after_check(self, row: int) -> int:
        """The first row after the check at ``row``, or after the next one."""
        return -(-row // self._step) * self._step + 1

    def _detectors_for(self, compared: ReferenceKey) -> _Fed | None:
        found = self._fed.pop(compared, None)
        if found is None:
            reference = self._references.find(compared.bundle_sha256, compared.accepted_sha256).reference
            if reference is None:
                return None
            found = _Fed(StreamDetectors(self._case, reference.profile))
        self._fed[compared] = found
        while len(self._fed) > KEPT:
            del self._fed[next(iter(self._fed))]
        return found

    def _source(self, first: int, last: int) -> Callable[[int, int], Rows]:
        """Where these rows, and parts of them, can be had: from the windows as long as they are there."""
        if first >= self._windows.first_row_needed:
            return self._windows.rows
        buffer = RowBuffer(self._case)
        buffer.add(self._inbox.rows_between(first, last))
        return buffer.between


def first_row_needed(windows: Windows, step: int) -> int:
    """No window and no detector will ask for a row before this one."""
    return min(windows.first_row_needed, generation_start(windows.next_check_row, step))


class DetectorWatch:
    """Detectors that failed are left alone until they begin anew, with the next generation of rows. Not thread-safe.

    A restart changes nothing in that: fed with the same rows again they fail at the same one.
    """

    def __init__(self, alarms: DetectorRunner, step: int) -> None:
        self._alarms = alarms
        self._step = step
        self._failed_in: dict[ReferenceKey, int] = {}

    def at(self, row: int, compared: ReferenceKey) -> frozenset[str] | None:
        """As :meth:`.DetectorRunner.at`; ``None`` while they don't answer, which is logged once a generation."""
        generation = generation_start(row, self._step)
        if self._failed_in.get(compared) == generation:
            return None
        try:
            return self._alarms.at(row, compared)
        except TryAgainLaterError:
            raise
        except Exception:  # whatever they stumble over, the window test knows nothing of it
            log.exception("detectors_failed", row=row, version=compared.model.version)
            self._failed_in[compared] = generation
            return None
