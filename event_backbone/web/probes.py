"""The routes that every process of ours answers in the same way: probes, status and metrics."""

from __future__ import annotations

from typing import Any, Protocol

from flask import Flask, Response
from flask.typing import ResponseReturnValue
from prometheus_client import CollectorRegistry

from event_backbone.web.exposition import TEXT_FORMAT, exposition
from event_backbone.web.responses import json_response


class ProcessStatus(Protocol):
    """What a process knows of itself; each method may be called from any thread."""

    def hangs(self) -> bool:
        """Whether only a restart would help."""
        ...

    def faults(self) -> dict[str, str]:
        """Why it is not ready, by what is wrong."""
        ...

    def document(self) -> dict[str, Any]:
        """The body of ``/status``."""
        ...


def add_probes(app: Flask, status: ProcessStatus, registry: CollectorRegistry, case_name: str) -> None:
    @app.get("/livez")
    def live() -> ResponseReturnValue:
        hangs = status.hangs()
        return json_response({"live": not hangs}, 503 if hangs else 200)

    @app.get("/readyz")
    def ready() -> ResponseReturnValue:
        faults = status.faults()
        return json_response({"ready": not faults, "faults": faults}, 503 if faults else 200)

    @app.get("/status")
    def process_status() -> ResponseReturnValue:
        return json_response(status.document())

    @app.get("/metrics")
    def metrics() -> ResponseReturnValue:
        return Response(exposition(registry, case_name), content_type=TEXT_FORMAT)
