"""Connections that send slowly, or nothing, to any service: they wait by themselves, and nobody else does."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests
from monitoring_process import MonitoringProcess, poll_until
from prediction_process import running
from prediction_world import made_record
from training_server_process import training_server

from event_backbone.guards.api_keys import line_for

KEY = "a key for the tests"
STRANGERS, HOLDERS = 100, 30
WITHIN_S = 5.0


def keys_file(folder: Path) -> str:
    path = folder / "keys"
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{line_for('ada', KEY)}\n")
    return str(path)


@contextlib.contextmanager
def prediction(folder: Path) -> Iterator[tuple[str, Callable[[], int]]]:
    with running(folder, API_KEYS_FILE=keys_file(folder)) as server:
        yield server.url, lambda: post(f"{server.url}/predict", made_record())


@contextlib.contextmanager
def monitoring(folder: Path) -> Iterator[tuple[str, Callable[[], int]]]:
    service = MonitoringProcess(folder, settings={"API_KEYS_FILE": keys_file(folder)})
    service.start()
    try:
        yield service.url, lambda: post(f"{service.url}/events", {})
    finally:
        service.stop()


@contextlib.contextmanager
def training(folder: Path) -> Iterator[tuple[str, Callable[[], int]]]:
    with training_server(folder, API_KEYS_FILE=keys_file(folder)) as server:
        yield server.url, lambda: post(f"{server.url}/train", {})


def post(url: str, body: object) -> int:
    return requests.post(url, json=body, headers={"X-API-Key": KEY}, timeout=WITHIN_S).status_code


def silent_connections(url: str, lines: list[str], number: int, open_ones: contextlib.ExitStack) -> None:
    """Connections that announce a body and send a byte of it."""
    host, _, port = url.removeprefix("http://").partition(":")
    head = "\r\n".join([*lines, f"Host: {host}:{port}", "Content-Length: 1000", "", "{"])
    for _ in range(number):
        connection = open_ones.enter_context(socket.create_connection((host, int(port)), timeout=WITHIN_S))
        connection.sendall(head.encode())


@pytest.mark.parametrize(
    ("service", "work", "answer"),
    [(prediction, "/predict", 200), (monitoring, "/events", 200), (training, "/train", 422)],
    ids=["prediction", "monitoring", "training"],
)
def test_slow_connections_keep_nobody_waiting(service: object, work: str, answer: int, tmp_path: Path) -> None:
    with service(tmp_path) as (url, good_request), contextlib.ExitStack() as open_ones:  # type: ignore[operator]
        for first in (f"POST {work} HTTP/1.1", "GET / HTTP/1.1", "GET /livez HTTP/1.1", "POST / HTTP/1.1"):
            silent_connections(url, [first], STRANGERS // 4, open_ones)
        silent_connections(url, [f"POST {work} HTTP/1.1", f"X-API-Key: {KEY}"], HOLDERS, open_ones)
        # All at once they are a crowd, some of which may be told to come back.
        poll_until(lambda: good_request() == answer, 10)
        for _ in range(5):
            assert good_request() == answer
            assert requests.get(f"{url}/livez", timeout=WITHIN_S).status_code == 200
            assert requests.get(f"{url}/metrics", timeout=WITHIN_S).status_code == 200
            assert requests.post(f"{url}{work}", data=b"{}", timeout=WITHIN_S).status_code == 401


def test_connections_that_say_nothing_keep_nobody_waiting(tmp_path: Path) -> None:
    with prediction(tmp_path) as (url, good_request), contextlib.ExitStack() as open_ones:
        host, _, port = url.removeprefix("http://").partition(":")
        for _ in range(1500):
            open_ones.enter_context(socket.create_connection((host, int(port)), timeout=WITHIN_S))
        assert good_request() == 200
        assert requests.get(f"{url}/livez", timeout=WITHIN_S).status_code == 200
