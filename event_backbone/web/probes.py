"""Routes common to every process: probes, status and metrics."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from flask import Flask, Response
from flask.typing import ResponseReturnValue

from event_backbone.web.exposition import TEXT_FORMAT
from event_backbone.web.responses import json_response


class ProcessStatus(Protocol):
    """The state of a process; each method may be called from any thread."""

    def hangs(self) -> bool:
        """Whether only a restart would help."""
        ...

    def faults(self) -> dict[str, str]:
        """Why it is not ready: a sentence by what is wrong, which is one of a closed set of names."""
        ...

    def document(self) -> dict[str, Any]:
        """The fields of ``/status`` beside case, readiness and faults."""
        ...


@dataclass(frozen=True, slots=True)
class AnsweringStatus:
    """Status of a process whose answers prove that it does not hang."""

    faults: Callable[[], dict[str, str]]
    document: Callable[[], dict[str, Any]]

    def hangs(self) -> bool:
        return False


def add_probes(
    app: Flask,
    case_name: str,
    status: ProcessStatus,
    metrics: Callable[[], bytes],
    waiting: Callable[[], dict[str, str]] = dict,
) -> None:
    """Add ``/livez``, ``/readyz``, ``/status`` and ``/metrics``; ``metrics`` gives the last in Prometheus' format.

    ``waiting`` says what is waited for though the process is ready: a sentence by what it concerns.
    """

    def readiness() -> dict[str, Any]:
        faults, waited_for = status.faults(), waiting()
        return {"ready": not faults, "faults": faults, **({"waiting": waited_for} if waited_for else {})}

    @app.get("/livez")
    def live() -> ResponseReturnValue:
        hangs = status.hangs()
        return json_response({"live": not hangs}, 503 if hangs else 200)

    @app.get("/readyz")
    def ready() -> ResponseReturnValue:
        document = readiness()
        return json_response(document, 200 if document["ready"] else 503)

    @app.get("/status")
    def process_status() -> ResponseReturnValue:
        return json_response({"case": case_name, **readiness(), **status.document()})

    @app.get("/metrics")
    def metrics_text() -> ResponseReturnValue:
        return Response(metrics(), content_type=TEXT_FORMAT)
