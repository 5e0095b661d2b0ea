"""ONNX Runtime as it is loaded here asks nobody for anything."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
from recording_proxy import RecordingProxy

PROGRAM = """
import time
from sklearn.linear_model import LinearRegression
from skl2onnx import to_onnx
import numpy as np
from event_backbone.model.onnx_session import open_session

rows = np.arange(8, dtype=np.float32).reshape(-1, 1)
score = open_session(to_onnx(LinearRegression().fit(rows, rows[:, 0]), rows[:1]).SerializeToString())
assert abs(score({"X": rows})[3, 0] - 3) < 1e-4
# Reports are collected and sent after some seconds, not by a process that ends before.
time.sleep(12)
"""


@pytest.fixture
def proxy() -> Iterator[RecordingProxy]:
    proxy = RecordingProxy()
    yield proxy
    proxy.close()


def test_a_session_reports_to_nobody(proxy: RecordingProxy) -> None:
    environment = {name: value for name, value in os.environ.items() if name not in ("CI", "ORT_DISABLE_TELEMETRY")}
    environment |= proxy.environment
    subprocess.run([sys.executable, "-c", PROGRAM], env=environment, check=True, timeout=100)
    assert proxy.asked == []
