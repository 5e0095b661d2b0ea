"""The monitoring service through its running processes: killed, overloaded, restarted."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import requests
from monitoring_process import MonitoringProcess, is_running, poll_until
from monitoring_world import START, body_of, label, predictions

from event_backbone.events.schema import Event, FaultCount, Rejections

SCHEDULE: dict[str, Any] = {"window_rows": 200, "minimum_rows": 100, "check_every_rows": 20}


@pytest.fixture
def stopped_at_the_end() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def monitoring(tmp_path: Path) -> Iterator[MonitoringProcess]:
    monitoring = MonitoringProcess(tmp_path, **SCHEDULE)
    monitoring.start()
    yield monitoring
    monitoring.stop()


def stream(bundle_sha256: str) -> list[bytes]:
    """700 predictions, drifted from row 401 on, with labels, a rejection here and there, in bodies of 40 events."""
    events: list[Event] = []
    for first in range(0, 700, 20):
        shift = 0.0 if first < 400 else 12.0
        made = predictions(20, first=first, bundle_sha256=bundle_sha256, price_shift=shift)
        events += made
        events += [label(one.record_id, str(one.prediction)) for one in made[:19]]
        events.append(Rejections(f"x{first}", "shop", START, START, 1, [FaultCount("price", "range", 1)]))
    return [body_of(events[place : place + 40], first_seq=place + 1) for place in range(0, len(events), 40)]


def start_the_evaluator(monitoring: MonitoringProcess) -> None:
    """By the records that the first check needs."""
    made = predictions(SCHEDULE["minimum_rows"], bundle_sha256=monitoring.bundle_sha256)
    monitoring.post_until_taken(body_of(made))


def verdicts(monitoring: MonitoringProcess) -> Any:
    """What a restart must not change: every check's values and every episode's rows."""
    checks = [(check["row"], check["effects"], check["drifted"]) for check in monitoring.history()["checks"]]
    episodes = [
        (one["column"], one["suspected_at_row"], one["confirmed_at_row"], one["ended_at_row"])
        for one in monitoring.state()["episodes"]
    ]
    return checks, episodes


def test_kills_in_the_middle_of_a_stream_change_neither_counts_nor_windows_nor_verdicts(
    tmp_path: Path, stopped_at_the_end: ExitStack
) -> None:
    undisturbed = MonitoringProcess(tmp_path / "undisturbed", **SCHEDULE)
    killed = MonitoringProcess(tmp_path / "killed", **SCHEDULE)
    bodies = stream(killed.bundle_sha256)
    assert undisturbed.bundle_sha256 != ""
    for monitoring in (undisturbed, killed):
        monitoring.start()
        stopped_at_the_end.callback(monitoring.kill)
    for body in stream(undisturbed.bundle_sha256):
        undisturbed.post_until_taken(body)
    for number, body in enumerate(bodies):
        killed.post_until_taken(body)
        if number == 8:
            os.kill(killed.evaluator_pid(), signal.SIGKILL)
        if number == 15:
            killed.wait_for_checks(200)
            killed.kill()
            killed.start()
            killed.post_until_taken(body)
        if number == 22:
            os.kill(killed.worker_pid(), signal.SIGKILL)
            killed.post_until_taken(body)
    expected, found = undisturbed.wait_for_checks(700), killed.wait_for_checks(700)
    assert {**found["totals"], "duplicates": 0} == {**expected["totals"], "duplicates": 0}
    assert found["totals"]["predictions"] == 700
    assert found["totals"]["labels"] == 665
    assert found["totals"]["rejected_records"] == 35
    assert found["waiting_labels"] == 0
    # Measured once a second, so not at once after the last check.
    poll_until(lambda: killed.state()["quality"] == undisturbed.state()["quality"], 20, "the same performance")
    assert [one["rejected_share"] for one in found["columns"]] == [one["rejected_share"] for one in expected["columns"]]
    assert verdicts(killed) == verdicts(undisturbed)
    assert [one["column"] for one in found["episodes"]] == ["price"]
    assert found["episodes"][0]["suspected_at_row"] > 400
    assert (undisturbed.stop(), killed.stop()) == (0, 0)


def test_no_process_outlives_the_one_that_was_started(monitoring: MonitoringProcess) -> None:
    start_the_evaluator(monitoring)
    pids = [monitoring.worker_pid(), monitoring.evaluator_pid()]
    monitoring.kill()
    # An evaluator that was just starting notices when it has loaded its modules.
    poll_until(lambda: not any(map(is_running, pids)), 60)


@pytest.mark.alone
def test_sigterm_ends_every_process_with_exit_code_zero(monitoring: MonitoringProcess) -> None:
    start_the_evaluator(monitoring)
    pids = [monitoring.worker_pid(), monitoring.evaluator_pid()]
    started = time.monotonic()
    assert monitoring.stop() == 0
    assert time.monotonic() - started < 4
    assert not any(map(is_running, pids))


def test_after_a_restart_everything_shown_is_back_before_the_first_evaluation(monitoring: MonitoringProcess) -> None:
    for body in stream(monitoring.bundle_sha256):
        monitoring.post_until_taken(body)
    before = monitoring.wait_for_checks(700)
    gauges = gauges_of(monitoring)
    monitoring.kill()
    monitoring.start()
    volatile = ("at", "records_per_s", "report", "waiting")
    after = monitoring.state()
    assert {key: after[key] for key in after if key not in volatile} == {
        key: before[key] for key in before if key not in volatile
    }
    assert gauges_of(monitoring) == gauges


def gauges_of(monitoring: MonitoringProcess) -> dict[str, str]:
    """Every series of a scrape but those that count what this process did."""
    counters = (
        "evaluation_seconds",
        "reports",
        "evaluator_failures",
        "drift_episodes",
        "detector_alarms",
        "notifications",
    )
    own = ("#", *(f"monitoring_{name}" for name in counters))
    lines = requests.get(f"{monitoring.url}/metrics", timeout=10).text.splitlines()
    return dict(line.rsplit(" ", 1) for line in lines if not line.startswith(own))


def test_a_report_appears_by_itself_and_its_making_holds_no_check_up(monitoring: MonitoringProcess) -> None:
    assert requests.get(f"{monitoring.url}/reports/latest", timeout=10).status_code == 404
    for body in stream(monitoring.bundle_sha256):
        monitoring.post_until_taken(body)
    report = poll_until(
        lambda: (found := requests.get(f"{monitoring.url}/reports/latest", timeout=10)).ok and found, 120
    )
    assert "payment" in report.text
    assert report.headers["Content-Security-Policy"].startswith("sandbox")
    assert monitoring.state()["report"]["failed"] == 0


def test_a_drifted_window_that_is_accepted_is_no_drift_any_more_also_after_a_kill_until_it_is_reverted(
    monitoring: MonitoringProcess,
) -> None:
    def post(first: int, count: int) -> None:
        monitoring.post_until_taken(
            body_of(
                predictions(count, first=first, bundle_sha256=monitoring.bundle_sha256, price_shift=30),
                first_seq=first + 1,
            )
        )

    def drifted() -> set[str]:
        return {one["name"] for one in monitoring.state()["columns"] if one["drifted"]}

    def decide(what: str) -> None:
        reply = requests.post(f"{monitoring.url}/api/reference/{what}", json={"by": "Ada"}, timeout=10)
        assert reply.status_code == 200, reply.text

    post(0, 400)
    monitoring.wait_for_checks(400)
    assert "price" in drifted()
    decide("accept")
    post(400, 400)
    monitoring.wait_for_checks(800)
    assert drifted() == set()
    monitoring.kill()
    monitoring.start()
    post(800, 200)
    monitoring.wait_for_checks(1000)
    assert drifted() == set()
    report = poll_until(lambda: reports_of(monitoring), 120)[0]
    assert "the accepted reference" in requests.get(monitoring.url + report["url"], timeout=10).text
    decide("revert")
    post(1000, 200)
    monitoring.wait_for_checks(1200)
    assert "price" in drifted()


def reports_of(monitoring: MonitoringProcess) -> list[dict[str, Any]]:
    """Reports about rows after the acceptance."""
    found = requests.get(f"{monitoring.url}/api/reports", timeout=10).json()
    return [one for one in found if one["row"] > 400]


def test_without_a_bundle_events_are_kept_and_the_state_says_what_is_missing(tmp_path: Path) -> None:
    monitoring = MonitoringProcess(tmp_path, **SCHEDULE)
    monitoring.start()
    monitoring.post_until_taken(body_of(predictions(200, bundle_sha256="f" * 64)))
    state = monitoring.wait_for_checks(200)
    assert state["evaluation"]["state"] == "no_reference"
    assert {one["name"] for one in state["conditions"] if one["active"]} == {"reference_missing"}
    assert state["columns"][1]["missing_share"] > 0
    assert monitoring.stop() == 0
