"""Asks the stream detectors, and goes on without them where they fail: windows are judged all the same."""

from __future__ import annotations

import structlog

from event_backbone.errors import TryAgainLaterError
from monitoring_service.detectors import generation_start
from monitoring_service.stream_alarms import Compared, StreamAlarms

log = structlog.get_logger()


class DetectorWatch:
    """Detectors that failed are left alone until they begin anew, with the next generation of rows. Not thread-safe.

    A restart changes nothing in that: fed with the same rows again they fail at the same one.
    """

    def __init__(self, alarms: StreamAlarms, step: int) -> None:
        self._alarms = alarms
        self._step = step
        self._failed_in: dict[Compared, int] = {}

    def at(self, row: int, compared: Compared) -> frozenset[str] | None:
        """As :meth:`.StreamAlarms.at`; ``None`` while they don't answer, which is logged once a generation."""
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
