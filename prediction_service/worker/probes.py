"""HTTP server of the worker's probes and metrics, in threads beside the loop."""

from __future__ import annotations

import threading
from typing import Any

from flask import Flask
from prometheus_client import CollectorRegistry
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

from event_backbone.case.schema import Case
from event_backbone.guards.access import Access, GuardedApplication, Guards
from event_backbone.server.serve import check_port_is_free
from event_backbone.web.error_handlers import add_error_handlers
from event_backbone.web.exposition import exposition
from event_backbone.web.probes import add_probes
from prediction_service.inference.champion import ServingChampion
from prediction_service.inference.metrics import PredictingMetrics
from prediction_service.worker.loop import WorkerLoop

#: A loop that has not come round for so long hangs: one turn waits for a few seconds at most.
SILENT_TOO_LONG_S = 60.0
#: A client that neither sends nor reads for so long is given up, and its thread is free.
CLIENT_WITHIN_S = 30.0


class WorkerStatus:
    """Health and ``/status`` of a worker. Thread-safe."""

    def __init__(self, worker: WorkerLoop, champion: ServingChampion) -> None:
        self._worker = worker
        self._champion = champion

    def hangs(self) -> bool:
        return self._worker.silent_s > SILENT_TOO_LONG_S

    def faults(self) -> dict[str, str]:
        """Why this worker takes no records; a broker or a sink that does not answer is no reason."""
        checks = {
            "model": self._champion.fault if self._champion.scorer is None else None,
            "standstill": self._worker.standstill,
            "draining": "the worker is stopping" if self._worker.is_stopping else None,
        }
        return {name: fault for name, fault in checks.items() if fault}

    def document(self) -> dict[str, Any]:
        """The body of ``/status``, beside what every process says there."""
        scorer = self._champion.scorer
        model = {"name": scorer.model.name, "version": scorer.model.version} if scorer else None
        return {"model": model, "model_fault": self._champion.fault, **self._worker.status()}


def build_worker_api(case: Case, status: WorkerStatus, registry: CollectorRegistry) -> Flask:
    app = Flask("prediction_service.worker")
    add_error_handlers(app)
    add_probes(app, case.name, status, lambda: exposition(registry, case.name))
    return app


class _ProbeHandler(WSGIRequestHandler):
    timeout = CLIENT_WITHIN_S

    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002  # werkzeug's name
        """Probes are not worth a line."""


def serve_beside(app: Flask, metrics: PredictingMetrics, access: Access, *, host: str, port: int) -> BaseWSGIServer:
    """Answer in threads of this process until the server's ``shutdown``; raises :class:`SettingsError`, as servers do.

    A few probes a second need no server that is fast.
    """
    check_port_is_free(host, port)
    guarded = GuardedApplication(app, Guards(access, metrics.unauthorized.inc))
    server = make_server(host, port, guarded, threaded=True, request_handler=_ProbeHandler)
    threading.Thread(target=server.serve_forever, name="probes", daemon=True).start()
    return server
