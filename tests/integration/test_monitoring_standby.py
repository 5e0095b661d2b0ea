"""Several monitoring services on one folder: one works, the others stand by and take over."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from monitoring_process import MonitoringProcess, is_running, poll_until
from monitoring_world import body_of, label, predictions

from event_backbone.events.schema import Event

SCHEDULE: dict[str, Any] = {"window_rows": 200, "minimum_rows": 100, "check_every_rows": 20}
TAKEN_OVER_WITHIN_S = 20


def is_active(monitoring: MonitoringProcess) -> bool:
    return requests.get(f"{monitoring.url}/readyz", timeout=5).status_code == 200


def faults_of(monitoring: MonitoringProcess) -> Any:
    return requests.get(f"{monitoring.url}/readyz", timeout=5).json()["faults"]


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[MonitoringProcess, MonitoringProcess]]:
    """The active process and one that stands by."""
    first, second = (MonitoringProcess(tmp_path, **SCHEDULE) for _ in range(2))
    second.log = tmp_path / "second.log"
    try:
        first.start()
        poll_until(lambda: is_active(first))
        second.start()
        yield first, second
    finally:
        for monitoring in (first, second):
            if is_running(monitoring.pid):
                os.kill(monitoring.pid, signal.SIGCONT)
            monitoring.stop()


def test_the_second_process_stands_by(pair: tuple[MonitoringProcess, MonitoringProcess]) -> None:
    first, second = pair
    assert requests.get(f"{second.url}/livez", timeout=5).status_code == 200
    assert faults_of(second) == {"standby": "another process works for this case"}
    active = [requests.get(f"{one.url}/status", timeout=5).json()["active"] for one in pair]
    assert active == [True, False]
    refused = second.post(body_of(predictions(1)))
    assert (refused.status_code, int(refused.headers["Retry-After"]) >= 1) == (503, True)
    assert 'monitoring_active{case="shop"} 0.0' in requests.get(f"{second.url}/metrics", timeout=5).text
    assert 'monitoring_active{case="shop"} 1.0' in requests.get(f"{first.url}/metrics", timeout=5).text
    page = requests.get(second.url, timeout=5)
    assert "stands by" in page.text
    assert requests.get(f"{second.url}/api/state", timeout=5).status_code == 503
    assert first.post(body_of(predictions(1))).status_code == 200
    assert second.stop() == 0


def die_with_the_parent(active: MonitoringProcess) -> None:
    active.kill()


def die_as_worker(active: MonitoringProcess) -> None:
    """The worker dies, and its parent can't replace it at once: only the one that stands by can take over."""
    worker = active.worker_pid()
    os.kill(active.pid, signal.SIGSTOP)
    os.kill(worker, signal.SIGKILL)


@pytest.mark.alone
@pytest.mark.parametrize("die", [die_with_the_parent, die_as_worker])
def test_it_takes_over_in_the_middle_of_a_stream_and_counts_nothing_twice(
    pair: tuple[MonitoringProcess, MonitoringProcess], die: Callable[[MonitoringProcess], None]
) -> None:
    active, other = pair
    for first in range(0, 600, 20):
        made = predictions(20, first=first, bundle_sha256=active.bundle_sha256)
        events: list[Event] = [*made, *(label(one.record_id) for one in made)]
        body = body_of(events, first_seq=first * 2 + 1)
        if first == 300:
            evaluator = active.evaluator_pid()
            assert active.post(body).status_code == 200
            die(active)
            killed_at = time.monotonic()
            other.post_until_taken(body, TAKEN_OVER_WITHIN_S)
            assert time.monotonic() - killed_at < TAKEN_OVER_WITHIN_S
            # One that was just starting notices when it has loaded its modules.
            poll_until(lambda pid=evaluator: not is_running(pid), 60)
            if die is die_as_worker:
                os.kill(active.pid, signal.SIGCONT)
            active, other = other, active
        else:
            active.post_until_taken(body)
    totals = active.wait_for_checks(600)["totals"]
    assert (totals["predictions"], totals["labels"], totals["duplicates"]) == (600, 600, 40)
    if die is die_as_worker:
        # Its new worker found the lock taken.
        poll_until(lambda: list(faults_of(other)) == ["standby"], 30)


def test_a_worker_that_is_replaced_works_on_alone(tmp_path: Path) -> None:
    monitoring = MonitoringProcess(tmp_path, **SCHEDULE)
    monitoring.start()
    try:
        body = body_of(predictions(20))
        monitoring.post_until_taken(body)
        os.kill(monitoring.worker_pid(), signal.SIGKILL)
        monitoring.post_until_taken(body)
        assert monitoring.state()["totals"]["predictions"] == 20
    finally:
        monitoring.stop()


def test_the_lock_is_held_by_the_worker_alone(pair: tuple[MonitoringProcess, MonitoringProcess]) -> None:
    active, _ = pair

    def holds(pid: int) -> bool:
        folder = Path(f"/proc/{pid}/fd")
        return any(
            str(entry.readlink()).endswith("monitoring/lock") for entry in folder.iterdir() if entry.is_symlink()
        )

    made = predictions(SCHEDULE["minimum_rows"], bundle_sha256=active.bundle_sha256)
    active.post_until_taken(body_of(made))
    evaluator, worker = active.evaluator_pid(), active.worker_pid()
    assert holds(worker)
    assert not holds(evaluator)
    assert not holds(active.pid)


def test_a_process_that_can_not_take_over_ends_with_the_reason(
    pair: tuple[MonitoringProcess, MonitoringProcess],
) -> None:
    active, other = pair
    inbox = active.folder / "var" / "shop" / "monitoring" / "inbox.sqlite"
    os.kill(active.worker_pid(), signal.SIGSTOP)
    inbox.with_name("inbox.sqlite-wal").unlink()
    inbox.write_bytes(b"something else entirely, and long enough" * 1000)
    active.kill()
    assert other.wait(30) == 1
    assert "this inbox can't be used" in other.log.read_text()
