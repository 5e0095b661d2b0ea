"""Background work: it comes again after a failure, and the failure is counted."""

from __future__ import annotations

import threading

from prediction_world import made_case
from prometheus_client import CollectorRegistry

from prediction_service.inference.periodic import PeriodicTasks
from prediction_service.serving.metrics import ServingMetrics


def test_a_task_that_fails_comes_again_and_is_counted_and_the_others_go_on() -> None:
    metrics = ServingMetrics(CollectorRegistry(), made_case())
    periodic_tasks = PeriodicTasks(metrics)
    failed_twice, other_ran, failures = threading.Event(), threading.Event(), []

    def fail() -> None:
        failures.append(1)
        if len(failures) > 2:
            failed_twice.set()
        raise OSError("disk full")

    periodic_tasks.every(0.001, "failing", fail)
    periodic_tasks.every(0.001, "fine", other_ran.set)
    assert failed_twice.wait(10)
    assert other_ran.wait(10)
    periodic_tasks.stop()
    counted = metrics.registry.get_sample_value("prediction_background_failures_total", {"task": "failing"})
    assert counted == len(failures)
    assert metrics.registry.get_sample_value("prediction_background_failures_total", {"task": "fine"}) == 0


def test_after_stop_nothing_runs_any_more() -> None:
    periodic_tasks = PeriodicTasks(ServingMetrics(CollectorRegistry(), made_case()))
    ran = threading.Event()
    periodic_tasks.every(0.001, "task", ran.set)
    assert ran.wait(10)
    periodic_tasks.stop()
    ran.clear()
    assert not ran.wait(0.05)
