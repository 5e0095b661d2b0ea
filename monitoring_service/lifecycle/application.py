"""The active service: the WSGI application, the threads beside it, and the inbox below all of them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from monitoring_service.checks.loop import Checks
from monitoring_service.inbox.store import Inbox
from monitoring_service.intake.kafka_reader import StreamReader
from monitoring_service.lifecycle.alert_threads import AlertThreads
from monitoring_service.lifecycle.evaluator_thread import EvaluatorThread
from monitoring_service.views.metrics import MonitoringMetrics

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_CHECK_ENDS_WITHIN_S = 3.0
_READING_ENDS_WITHIN_S = 4.0


class CheckThread:
    """The thread that makes the checks."""

    def __init__(self, checks: Checks, between: Sequence[Callable[[], None]]) -> None:
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=checks.run, args=(self._stopping, between), name="checks", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def is_alive(self) -> bool:
        return self._thread.is_alive()

    def stop(self) -> None:
        """Let the check under way end and be stored; whatever else is due is made after the next start."""
        self._stopping.set()
        self._thread.join(_CHECK_ENDS_WITHIN_S)


class StreamThread:
    """The thread that reads from Kafka; without a reader there is none."""

    def __init__(self, reader: StreamReader | None) -> None:
        self._stopping = threading.Event()
        self._thread = None
        if reader is not None:
            self._thread = threading.Thread(target=reader.run, args=(self._stopping,), name="stream", daemon=True)

    def start(self) -> None:
        if self._thread is not None:
            self._thread.start()

    def is_alive(self) -> bool:
        return self._thread is None or self._thread.is_alive()

    def stop(self) -> None:
        """Let the batch under way be stored; one that is not is read again after the next start."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(_READING_ENDS_WITHIN_S)


class MonitoringApplication:
    """The WSGI application, the threads beside it and the inbox below them."""

    def __init__(
        self,
        wsgi: WSGIApplication,
        checks: CheckThread,
        evaluator: EvaluatorThread,
        stream: StreamThread,
        alerts: AlertThreads,
        inbox: Inbox,
        metrics: MonitoringMetrics,
    ) -> None:
        self._wsgi = wsgi
        self._metrics = metrics
        self._checks = checks
        self._evaluator = evaluator
        self._stream = stream
        self._alerts = alerts
        self._inbox = inbox

    def start(self) -> None:
        self._checks.start()
        self._evaluator.start()
        self._stream.start()
        self._alerts.start()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        return self._wsgi(environ, start_response)

    def count_unauthorized(self) -> None:
        self._metrics.unauthorized.inc()

    def count_shed(self) -> None:
        self._metrics.shed.inc()

    def close(self) -> None:
        self._stream.stop()
        self._checks.stop()
        self._evaluator.stop()
        self._alerts.stop()
        self._inbox.close()
