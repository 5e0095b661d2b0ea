"""Checks beside an evaluator that comes late, or never, and on a machine that others keep busy; real processes."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import requests
from busy_loops import busy_loops
from late_evidently import LateEvidently
from monitoring_process import MonitoringProcess, poll_until
from monitoring_world import body_of, label, predictions

SCHEDULE: dict[str, Any] = {"window_rows": 400, "minimum_rows": 200, "check_every_rows": 20}
FIRST_CHECK = 200
JUDGED_WITHIN_S = 5.0


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Callable[..., MonitoringProcess]]:
    """Starts services that are stopped at the end."""
    with ExitStack() as stack:

        def start(name: str, **settings: str) -> MonitoringProcess:
            monitoring = MonitoringProcess(tmp_path / name, settings=settings, **SCHEDULE)
            monitoring.start()
            stack.callback(monitoring.stop)
            return monitoring

        yield start


def post(monitoring: MonitoringProcess, first: int, count: int) -> None:
    """Records that drift from the 500th on, with labels."""
    made = predictions(
        count, first=first, bundle_sha256=monitoring.bundle_sha256, price_shift=12.0 if first >= 500 else 0.0
    )
    labels = [label(one.record_id, str(one.prediction)) for one in made]
    monitoring.post_until_taken(body_of([*made, *labels], first_seq=2 * first + 1))


def waiting(monitoring: MonitoringProcess) -> dict[str, str]:
    """What the probe, the status and the state say alike; the service is ready all the same."""
    ready = requests.get(f"{monitoring.url}/readyz", timeout=10)
    assert ready.status_code == 200
    found: dict[str, str] = ready.json().get("waiting", {})
    assert requests.get(f"{monitoring.url}/status", timeout=10).json().get("waiting", {}).keys() == found.keys()
    return found


def judged_after_s(monitoring: MonitoringProcess) -> float:
    """From the record that makes the first check due to its verdicts."""
    post(monitoring, 0, FIRST_CHECK - 1)
    assert monitoring.state()["evaluation"] is None
    assert "first_check" in waiting(monitoring)
    post(monitoring, FIRST_CHECK - 1, 1)
    due_at = time.monotonic()
    state = monitoring.wait_for_checks(FIRST_CHECK, 300)
    assert state["evaluation"]["state"] == "ok"
    assert {one["drifted"] for one in state["columns"]} == {False}
    return time.monotonic() - due_at


def verdicts(monitoring: MonitoringProcess) -> Any:
    """Of every check and every episode: all but Evidently's scores, and what is known as labels come, by the clock."""
    found, history = monitoring.state(), monitoring.history()["checks"]
    by_the_clock = ("received_at", "performance", "estimated", "labelled_rows")
    checks = [{name: one[name] for name in one if name not in by_the_clock} for one in history]
    scores = ("score", "method")
    columns = [{name: one[name] for name in one if name not in scores} for one in found["columns"]]
    episodes = [(one["column"], one["suspected_at_row"], one["confirmed_at_row"]) for one in found["episodes"]]
    conditions = [(one["name"], one["column"], one["active"], one["value"]) for one in found["conditions"]]
    stable = [one for one in conditions if one[0] not in ("label_delay", "stale")]
    return checks, columns, episodes, stable, found["quality"]


def has_scores(monitoring: MonitoringProcess) -> bool:
    state = monitoring.state()
    return all(one["score"] is not None for one in (*state["columns"], state["prediction_drift"]))


@pytest.mark.alone
def test_a_check_is_judged_at_once_while_the_evaluator_is_starting_and_scores_follow_when_it_comes(
    tmp_path: Path, started: Callable[..., MonitoringProcess]
) -> None:
    late = LateEvidently(tmp_path / "late")
    monitoring = started("monitoring", **late.settings)
    assert judged_after_s(monitoring) < JUDGED_WITHIN_S
    poll_until(lambda: waiting(monitoring)["reports"].startswith("the evaluator is starting since"), 5, "its start")
    assert not has_scores(monitoring)
    late.come()
    poll_until(lambda: has_scores(monitoring), 120, "Evidently's scores of the newest window")
    poll_until(lambda: requests.get(f"{monitoring.url}/reports/latest", timeout=10).ok, 120, "a report")
    assert monitoring.state()["evaluation"]["at_row"] == FIRST_CHECK, "no new record was needed"
    assert waiting(monitoring) == {}


@pytest.mark.parametrize("comes_at", [300, None], ids=["in the middle", "at the end"])
def test_verdicts_are_those_of_an_undisturbed_run_whenever_the_evaluator_comes(
    tmp_path: Path, started: Callable[..., MonitoringProcess], comes_at: int | None
) -> None:
    late = LateEvidently(tmp_path / "late")
    undisturbed, disturbed = started("undisturbed"), started("disturbed", **late.settings)
    for first in range(0, 900, 100):
        for monitoring in (undisturbed, disturbed):
            post(monitoring, first, 100)
        if first == FIRST_CHECK:
            poll_until(lambda: has_scores(undisturbed), 120, "the evaluator of the undisturbed one")
        if first == comes_at:
            late.come()
    for monitoring in (undisturbed, disturbed):
        monitoring.wait_for_checks(900)
    late.come()
    for monitoring in (undisturbed, disturbed):
        poll_until(lambda monitoring=monitoring: has_scores(monitoring), 120, "scores")
    with contextlib.suppress(AssertionError):
        poll_until(lambda: verdicts(disturbed) == verdicts(undisturbed), 20, "the same performance")
    assert verdicts(disturbed) == verdicts(undisturbed)
    assert [one["column"] for one in disturbed.state()["episodes"]] == ["price"]


def test_without_an_evaluator_checks_go_on_and_the_fault_of_the_reports_is_shown(
    tmp_path: Path, started: Callable[..., MonitoringProcess]
) -> None:
    monitoring = started("monitoring", **LateEvidently(tmp_path / "never", never=True).settings)
    for first in range(0, 900, 100):
        post(monitoring, first, 100)
    state = monitoring.wait_for_checks(900)
    assert state["evaluation"]["state"] == "ok"
    assert [one["column"] for one in state["episodes"]] == ["price"]

    def told() -> bool:
        active = {one["name"] for one in monitoring.state()["conditions"] if one["active"]}
        return "evaluator_failed" in active

    poll_until(told, 60, "the condition evaluator_failed")
    assert "it failed since" in waiting(monitoring)["reports"]
    post(monitoring, 900, 100)
    assert monitoring.wait_for_checks(1000)["evaluation"]["state"] == "ok"
    metrics = requests.get(f"{monitoring.url}/metrics", timeout=10).text
    assert 'monitoring_failed_checks_total{case="shop"} 0.0' in metrics


@pytest.mark.long
@pytest.mark.alone
def test_beside_busy_loops_a_check_is_judged_at_once_and_scores_and_reports_come_in_the_end(
    started: Callable[..., MonitoringProcess],
) -> None:
    with busy_loops(4):
        monitoring = started("monitoring")
        assert judged_after_s(monitoring) < JUDGED_WITHIN_S
        poll_until(lambda: has_scores(monitoring), 300, "Evidently's scores of the newest window")
        poll_until(lambda: requests.get(f"{monitoring.url}/reports/latest", timeout=10).ok, 300, "a report")
        assert waiting(monitoring) == {}
        metrics = requests.get(f"{monitoring.url}/metrics", timeout=10).text
        assert 'monitoring_evaluator_failures_total{case="shop"} 0.0' in metrics
