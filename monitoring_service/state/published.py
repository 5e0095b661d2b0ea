"""The latest results of the check thread, for other threads: they read, it publishes."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from monitoring_service.drift.verdict import Episode
from monitoring_service.messages import ReportState
from monitoring_service.state.history import Point
from monitoring_service.state.monitor_state import MonitorState


@dataclass(frozen=True, slots=True)
class CheckResults:
    """One consistent set of results. ``checks_failed`` counts since the process started."""

    state: MonitorState
    points: Sequence[Point]
    episodes: Sequence[Episode]
    reports: ReportState
    checks_failed: int


class LatestResults:
    """Holds the newest :class:`CheckResults`; thread-safe."""

    def __init__(
        self,
        state: MonitorState,
        points: Iterable[Point],
        episodes: Iterable[Episode],
        *,
        points_kept: int,
        episodes_kept: int,
    ) -> None:
        self._lock = threading.Lock()
        self._state = state
        self._points = deque(points, maxlen=points_kept)
        self._episodes = {_key(episode): episode for episode in episodes}
        self._episodes_kept = episodes_kept
        self._reports = ReportState()
        self._checks_failed = 0

    def read(self) -> CheckResults:
        with self._lock:
            episodes = list(self._episodes.values())
            return CheckResults(self._state, list(self._points), episodes, self._reports, self._checks_failed)

    @property
    def state(self) -> MonitorState:
        return self._state

    @property
    def reports(self) -> ReportState:
        return self._reports

    def publish(self, state: MonitorState, point: Point | None, episodes: Iterable[Episode]) -> None:
        with self._lock:
            self._state = state
            if point is not None:
                self._points.append(point)
            self._episodes.update((_key(episode), episode) for episode in episodes)
            while len(self._episodes) > self._episodes_kept:
                del self._episodes[next(iter(self._episodes))]

    def publish_reports(self, reports: ReportState) -> None:
        with self._lock:
            self._reports = reports

    def count_failed(self, checks: int) -> None:
        with self._lock:
            self._checks_failed += checks


def _key(episode: Episode) -> tuple[str, str, int]:
    return episode.family, episode.name, episode.confirmed_at_row
