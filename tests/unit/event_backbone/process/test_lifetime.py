"""How long a process may live."""

from __future__ import annotations

import subprocess
import sys

HANGS = """
import time
from event_backbone.process.lifetime import StopDeadline
deadline = StopDeadline(0.2)
time.sleep(0.5)
print("still there", flush=True)
deadline.begin()
while True:
    pass
"""


def test_a_process_that_hangs_ends_some_time_after_it_was_asked_to_stop_and_not_before() -> None:
    ended = subprocess.run([sys.executable, "-c", HANGS], capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 1
    assert ended.stdout.startswith("still there\n")
    assert "not_stopped_in_time" in ended.stdout
