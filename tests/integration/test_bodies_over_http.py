"""Bodies through real servers: too large with and without a length, encoded, deep and wide, in all three services."""

from __future__ import annotations

import contextlib
import http.client
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import msgspec
import pytest
import requests
from monitoring_process import MonitoringProcess, children_of
from prediction_process import running
from training_server_process import training_server

from event_backbone.decoding.json_bounds import MOST_DEPTH

PREDICTION_BYTES, MONITORING_BYTES, TRAINING_BYTES, DECISION_BYTES = 20_000, 30_000, 1024 * 1024, 8192
#: Service, path and the limit of its body.
ROUTES = [
    ("prediction", "/predict", PREDICTION_BYTES),
    ("prediction", "/labels", PREDICTION_BYTES),
    ("prediction", "/predictions/erase", PREDICTION_BYTES),
    ("monitoring", "/events", MONITORING_BYTES),
    ("monitoring", "/api/reference/accept", DECISION_BYTES),
    ("training", "/train", TRAINING_BYTES),
    ("training", "/alerts", TRAINING_BYTES),
]


@dataclass(frozen=True)
class Server:
    url: str
    pid: int

    def post(self, path: str, body: bytes, *, chunked: bool = False, **headers: str) -> tuple[int, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", urlsplit(self.url).port, timeout=30)
        with contextlib.closing(connection):
            sent = iter([body[:5000], body[5000:]]) if chunked else body
            connection.request("POST", path, sent, headers, encode_chunked=chunked)
            response = connection.getresponse()
            return response.status, msgspec.json.decode(response.read())


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Server]]:
    with contextlib.ExitStack() as stack:
        prediction = stack.enter_context(
            running(tmp_path_factory.mktemp("prediction"), MAX_BODY_BYTES=str(PREDICTION_BYTES))
        )
        training = stack.enter_context(training_server(tmp_path_factory.mktemp("training")))
        monitoring = MonitoringProcess(
            tmp_path_factory.mktemp("monitoring"), settings={"MONITORING_MAX_BODY_BYTES": str(MONITORING_BYTES)}
        )
        monitoring.start()
        stack.callback(monitoring.stop)
        yield {
            "prediction": Server(prediction.url, prediction.pid),
            "monitoring": Server(monitoring.url, monitoring.pid),
            "training": Server(training.url, training_pid(training)),
        }


def training_pid(server: Any) -> int:
    return int(server._process.pid)


@pytest.mark.parametrize("chunked", [False, True], ids=["with a length", "in chunks"])
@pytest.mark.parametrize(("name", "path", "most_bytes"), ROUTES)
def test_a_body_above_the_limit_is_told_the_limit(
    servers: dict[str, Server], name: str, path: str, most_bytes: int, chunked: bool
) -> None:
    status, problem = servers[name].post(path, b" " * (most_bytes + 1), chunked=chunked)
    assert (status, problem["detail"]) == (413, f"The body is larger than {most_bytes} bytes; nothing was stored.")
    status, _ = servers[name].post(path, b" " * most_bytes, chunked=chunked)
    assert status == (200 if path == "/events" else 400 if path != "/labels" else 422)


@pytest.mark.parametrize(("name", "path", "most_bytes"), ROUTES)
def test_an_encoded_body_is_told_what_is_taken(
    servers: dict[str, Server], name: str, path: str, most_bytes: int
) -> None:
    answer = requests.post(servers[name].url + path, b"\x1f\x8b", headers={"Content-Encoding": "gzip"}, timeout=10)
    assert (answer.status_code, answer.headers["Accept-Encoding"]) == (415, "identity")
    assert most_bytes


@pytest.mark.parametrize(("name", "path", "most_bytes"), ROUTES)
def test_deep_and_wide_json_ends_no_worker(servers: dict[str, Server], name: str, path: str, most_bytes: int) -> None:
    server = servers[name]
    workers = children_of(server.pid)
    assert workers
    wide = msgspec.json.encode({f"u{number}": 0 for number in range(min(most_bytes, 100_000) // 12)})
    for body in (b"[" * (MOST_DEPTH + 1) + b"]" * (MOST_DEPTH + 1), b'{"a":' * (MOST_DEPTH + 1), wide):
        status, _ = server.post(path, body)
        assert status == 200 if path == "/events" else status in (400, 422)
    assert set(workers) <= set(children_of(server.pid))
    for worker in workers:
        os.kill(worker, 0)


@pytest.mark.parametrize(
    ("name", "path", "status"),
    [
        ("prediction", "/predictions?since=", 422),
        ("prediction", "/predictions/", 422),
        ("prediction", "/predictions?limit=5&x=", 200),
        ("monitoring", "/api/history?after_row=", 422),
        ("monitoring", "/api/quality-windows?", 200),
        ("training", "/train?", 200),
    ],
)
@pytest.mark.parametrize("letters", ["é", "€", "\N{GRINNING FACE}"])
def test_letters_of_other_alphabets_may_stand_in_a_url_as_they_are(
    servers: dict[str, Server], name: str, path: str, status: int, letters: str
) -> None:
    """Clients should escape them; some don't."""
    with socket.create_connection(("127.0.0.1", urlsplit(servers[name].url).port or 0), timeout=10) as connection:
        head = f"GET {path}{letters} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
        connection.sendall(head.encode())
        assert connection.recv(100).startswith(b"HTTP/1.1 %d" % status)


def test_each_service_has_a_document_of_its_routes(servers: dict[str, Server]) -> None:
    for server in servers.values():
        document = requests.get(f"{server.url}/openapi.json", timeout=10).json()
        assert document["openapi"] == "3.1.0"
        assert {path for _, path, _ in ROUTES} & set(document["paths"])
