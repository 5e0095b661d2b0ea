"""ONNX Runtime as it is loaded here asks nobody for anything."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

PROGRAM = """
import time
from sklearn.linear_model import LinearRegression
from skl2onnx import to_onnx
import numpy as np
from event_backbone.onnx_session import open_session

rows = np.arange(8, dtype=np.float32).reshape(-1, 1)
score = open_session(to_onnx(LinearRegression().fit(rows, rows[:, 0]), rows[:1]).SerializeToString())
assert abs(score({"X": rows})[3, 0] - 3) < 1e-4
# Reports are collected and sent after some seconds, not by a process that ends before.
time.sleep(12)
"""


class Proxy:
    """Takes every connection and notes what it is asked for."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.asked: list[bytes] = []
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                self.asked.append(connection.recv(200))

    def close(self) -> None:
        self._listener.close()


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    proxy = Proxy()
    yield proxy
    proxy.close()


def test_a_session_reports_to_nobody(proxy: Proxy) -> None:
    environment = {name: value for name, value in os.environ.items() if name not in ("CI", "ORT_DISABLE_TELEMETRY")}
    environment |= dict.fromkeys(("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"), proxy.url)
    environment |= {"NO_PROXY": "", "no_proxy": ""}
    subprocess.run([sys.executable, "-c", PROGRAM], env=environment, check=True, timeout=100)
    assert proxy.asked == []
