"""The HTTP server beside a worker's loop."""

from __future__ import annotations

import pytest
import requests
from flask import Flask
from prediction_world import made_case
from prometheus_client import CollectorRegistry

from event_backbone.guards.access import Access
from prediction_service.inference.metrics import PredictingMetrics
from prediction_service.worker.probes import serve_beside


class OneKey:
    def accepts(self, presented: str) -> bool:
        return presented == "key"


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_who_shows_no_key_is_refused_at_once_and_counted(method: str) -> None:
    registry = CollectorRegistry()
    metrics = PredictingMetrics(registry, made_case())
    server = serve_beside(Flask("worker"), metrics, Access(keys=OneKey()), host="127.0.0.1", port=0)
    url, body = f"http://127.0.0.1:{server.server_port}/status", b"{}" if method == "POST" else None
    try:
        # With a connection that stays open: a server that waited for more of a body would wait for ever.
        with requests.Session() as session:
            assert session.request(method, url, data=body, timeout=10).status_code == 401
            assert session.request(method, url, data=body, timeout=10, headers={"X-API-Key": "key"}).status_code == 404
    finally:
        server.shutdown()
        server.server_close()
    assert registry.get_sample_value("prediction_unauthorized_total") == 1
