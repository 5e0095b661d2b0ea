"""The HTTP server beside a worker's loop."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable

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


@pytest.mark.parametrize("head", [b"", b"GET /large HTTP/1.1\r\n\r\n"], ids=["sends nothing", "reads nothing"])
def test_a_client_that_goes_silent_is_given_up_and_its_thread_is_free(
    head: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("prediction_service.worker.probes._ProbeHandler.timeout", 0.2)
    app = Flask("worker")
    app.add_url_rule("/large", view_func=lambda: bytes(64 * 1024 * 1024))
    metrics = PredictingMetrics(CollectorRegistry(), made_case())
    of_others = threads_of_clients()
    server = serve_beside(app, metrics, Access(), host="127.0.0.1", port=0)
    try:
        with socket.create_connection(("127.0.0.1", server.server_port), timeout=10) as silent:
            silent.sendall(head)
            until(lambda: bool(threads_of_clients() - of_others))
            until(lambda: not threads_of_clients() - of_others)
    finally:
        server.shutdown()
        server.server_close()


def threads_of_clients() -> set[threading.Thread]:
    """Of every server of this kind in this process: other tests may have some."""
    return {thread for thread in threading.enumerate() if "process_request_thread" in thread.name}


def until(condition: Callable[[], bool]) -> None:
    waiting = threading.Event()
    for _ in range(1000):
        if condition():
            return
        waiting.wait(0.01)
    raise AssertionError("it did not come to that")
