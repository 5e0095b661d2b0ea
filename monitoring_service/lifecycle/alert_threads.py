"""The threads of the alerts: one evaluates the conditions, the others each wait for a slow receiver."""

from __future__ import annotations

import threading
from collections.abc import Callable

import structlog

from event_backbone.errors import StreamgaugeError
from monitoring_service.alerting.retraining import RetrainingBridge
from monitoring_service.alerting.service import AlertService
from monitoring_service.alerting.webhook import Notifier
from monitoring_service.views.snapshot import SnapshotReader

log = structlog.get_logger()

LOOK_EVERY_S = 1.0
_SHORTEST_LOOK_S = 0.05
_ENDS_WITHIN_S = 1.0


class AlertThreads:
    """Starts and stops them; one each for the notifier and the training server, where there are such."""

    def __init__(
        self,
        service: AlertService,
        snapshots: SnapshotReader,
        notifier: Notifier | None,
        retraining: RetrainingBridge | None = None,
    ) -> None:
        self._every_s = max(_SHORTEST_LOOK_S, LOOK_EVERY_S * service.time_scale)
        self._stopping = threading.Event()
        self._threads = [self._thread("alerts", lambda: service.watch(snapshots.conditions()))]
        if notifier is not None:
            self._threads.append(self._thread("notifier", lambda: notifier.step(self._stopping)))
        if retraining is not None:
            self._threads.append(self._thread("retraining", retraining.step))

    def _thread(self, name: str, step: Callable[[], None]) -> threading.Thread:
        return threading.Thread(target=self._run, args=(step,), name=name, daemon=True)

    def _run(self, step: Callable[[], None]) -> None:
        while not self._stopping.wait(self._every_s):
            try:
                step()
            except StreamgaugeError as error:
                log.warning("alerts_postponed", reason=str(error))
            except Exception:
                # The thread's border: alerts must outlive whatever goes wrong in one look.
                log.exception("alerts_disturbed")

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def is_alive(self) -> bool:
        return all(thread.is_alive() for thread in self._threads)

    def stop(self) -> None:
        """Let the evaluation under way be stored. A notification under way may be sent again after the next start."""
        self._stopping.set()
        for thread in self._threads:
            thread.join(_ENDS_WITHIN_S)
