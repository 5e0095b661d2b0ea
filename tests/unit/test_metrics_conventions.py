"""Every service's metrics: names and units by Prometheus' conventions, the case on each series, and not too many."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from metrics_world import REFERENCE, full_snapshot
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families
from real_parts_cache import part_or_skip

from event_backbone.case.files import find_case
from event_backbone.case.schema import Case
from event_backbone.web.exposition import exposition
from monitoring_service.lifecycle.standby import build_standby
from monitoring_service.views.metrics import MonitoringMetrics
from prediction_service.serving.metrics import ENDPOINTS, OTHER, ReplicaCollector, ServingMetrics
from prediction_service.worker.metrics import WorkerMetrics
from training.server.metrics import TrainingMetrics
from training.server.runs import RetrainingRun

ROOT = Path(__file__).parents[2]
CASES = [find_case(name, ROOT / "cases") for name in ("census", "housing")]
MOST_SERIES = 600
#: Sinks in a full stack, statuses beside those that are there from the start, topics and steps of a worker.
SINKS, STATUSES = ("mongodb", "kafka", "monitoring"), ("400", "409", "413", "422", "500")
TOPICS, STEPS = ("records", "labels"), ("predict", "keep", "publish", "commit")

each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


class FullReplica:
    """A replica's status with every sink there can be."""

    def journal(self) -> dict[str, int]:
        return {"bytes": 1, "max_bytes": 2, "last_seq": 3}

    def sinks(self) -> dict[str, dict[str, float]]:
        return {name: {"lag": 1, "lag_s": 2.0, "conflicts": 3, "parked": 4} for name in SINKS}


def of_monitoring(case: Case) -> str:
    metrics = MonitoringMetrics(case, CollectorRegistry(), stale_after_s=15)
    return metrics.exposition(full_snapshot(case), REFERENCE).decode()


def of_standby(case: Case) -> str:
    return build_standby(case).test_client().get("/metrics").get_data(as_text=True)


def of_serving(case: Case) -> str:
    registry = CollectorRegistry()
    metrics = ServingMetrics(registry, case)
    registry.register(ReplicaCollector(FullReplica()))  # type: ignore[arg-type]
    metrics.model_info.labels("streamgauge", "17").set(1)
    for endpoint in (*ENDPOINTS.values(), OTHER):
        for status in STATUSES:
            metrics.requests.labels(endpoint, status)
    return exposition(registry, case.name).decode()


def of_worker(case: Case) -> str:
    registry = CollectorRegistry()
    metrics = WorkerMetrics(registry, case)
    metrics.model_info.labels("streamgauge", "17").set(1)
    for topic in TOPICS:
        metrics.consumed.labels(topic)
        metrics.lag_records.labels(topic)
        metrics.lag_seconds.labels(topic)
    for step in STEPS:
        metrics.step_seconds.labels(step)
        metrics.retries.labels(step)
    return exposition(registry, case.name).decode()


def of_training(case: Case) -> str:
    metrics = TrainingMetrics(CollectorRegistry())
    metrics.show([RetrainingRun("a", "drift", 1.0, state="failed", ended_at=2.0)])
    return exposition(metrics.registry, case.name).decode()


SERVICES = {
    "monitoring": of_monitoring,
    "standby": of_standby,
    "prediction": of_serving,
    "worker": of_worker,
    "training": of_training,
}
each_service = pytest.mark.parametrize("service", SERVICES)


@each_case
@each_service
def test_promtool_finds_nothing_to_say_about_the_metrics(service: str, case: Case) -> None:
    part_or_skip("promtool")
    text = SERVICES[service](case)
    ended = subprocess.run(
        ["promtool", "check", "metrics"], input=text, capture_output=True, text=True, timeout=30, check=False
    )
    assert (ended.returncode, ended.stdout + ended.stderr) == (0, "")


@each_case
@each_service
def test_every_series_carries_the_case(service: str, case: Case) -> None:
    families = text_string_to_metric_families(SERVICES[service](case))
    assert {sample.labels["case"] for family in families for sample in family.samples} == {case.name}


@each_case
@each_service
def test_a_service_has_no_more_than_600_series_for_a_case_and_version(service: str, case: Case) -> None:
    families = list(text_string_to_metric_families(SERVICES[service](case)))
    series = [(sample.name, *sample.labels.items()) for family in families for sample in family.samples]
    assert len(series) == len(set(series))
    assert len(series) <= MOST_SERIES


@each_case
def test_a_snapshot_in_which_everything_is_known_has_a_series_of_every_metric(case: Case) -> None:
    families = list(text_string_to_metric_families(of_monitoring(case)))
    of_other_task = "monitoring_prediction_value" if case.is_binary else "monitoring_prediction_mix_ratio"
    assert {family.name for family in families if not family.samples} == {of_other_task}
