"""Census and housing stream for real, a real Prometheus scrapes them: no panel is empty."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from dashboards import ROOT, PanelQuery, queries
from full_stack import Urls, make_topics, running_stack
from monitoring_process import poll_until
from parent_death import die_with_the_parent
from prometheus_server import PrometheusServer
from record_producer import RecordProducer
from replica import Replica

CASES = ("census", "housing")
#: Dashboards of one task, and the case that has it; every other one is asked about both.
CASE_OF = {"streamgauge-classification": ("census",), "streamgauge-regression": ("housing",)}
#: Panels that a worker or Kafka adds series to; without one they show a true zero.
KAFKA_PANELS = (
    "What waits",
    "Age of the oldest that waits",
    "Dead letters",
    "Records predicted",
    "Messages taken by the worker",
    "Messages read by monitoring",
    "Time of a batch",
    "Partitions and retries",
)
#: Drift begins at record 3,000 and ends at 9,000.
RECORDS_PER_S = 70


@contextlib.contextmanager
def streaming(case: str, state_dir: Path) -> Iterator[Replica]:
    """A replica with monitoring, and a stream that goes on for as long as the test."""
    replica = Replica(state_dir, ROOT / "cases", CASE=case, STATE_DIR=str(state_dir))
    options = {"rate": RECORDS_PER_S, "scenario": "sudden-shift", "seed": 3, "label-delay": 1}
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    environment = {
        **os.environ,
        "CASE": case,
        "CASES_DIR": str(ROOT / "cases"),
        "STATE_DIR": str(state_dir),
        "PREDICTION_URL": replica.prediction_url,
    }
    generator: subprocess.Popen[bytes] | None = None
    try:
        replica.start_all()
        with (state_dir / "generator.log").open("ab") as log:
            generator = subprocess.Popen(
                [sys.executable, "-m", "stream_generator", "send", *words],
                env=environment,
                stdout=log,
                stderr=log,
                preexec_fn=die_with_the_parent,  # noqa: PLW1509  # one system call, no lock
            )
        yield replica
    except BaseException:
        print(replica.logs())
        raise
    finally:
        if generator is not None:
            generator.kill()
            generator.wait()
        replica.stop()


def address(url: str) -> str:
    return url.removeprefix("http://")


@contextlib.contextmanager
def watched(folder: Path, replicas: Sequence[Replica]) -> Iterator[PrometheusServer]:
    targets = {
        "prediction": [address(replica.prediction_url) for replica in replicas],
        "monitoring": [address(replica.monitoring_url) for replica in replicas],
        "worker": [f"127.0.0.1:{port}" for replica in replicas for port in replica.worker_ports.values()],
    }
    server = PrometheusServer(folder, {job: found for job, found in targets.items() if found})
    try:
        server.start()
        server.wait_for_targets()
        yield server
    finally:
        server.stop()


def wait_for_data(
    server: PrometheusServer, asked: Sequence[PanelQuery], cases: Sequence[str], timeout_s: float
) -> None:
    """Until each query has had an answer that is a number, for each case that its dashboard is about."""
    empty = [(case, query) for query in asked for case in CASE_OF.get(query.dashboard, cases)]

    def all_had_data() -> bool:
        empty[:] = [(case, query) for case, query in empty if not server.numbers(query.asked(case))]
        return not empty

    with contextlib.suppress(AssertionError):
        poll_until(all_had_data, timeout_s)
    assert not empty, "\n".join(["no data:", *(f"{case}: {query}: {query.asked(case)}" for case, query in empty)])


@pytest.fixture
def case_states(tmp_path: Path, census_champion_state: Path, housing_champion_state: Path) -> dict[str, Path]:
    """A folder for each case, so that nothing is shared."""
    found = {"census": census_champion_state, "housing": housing_champion_state}
    for case, state in found.items():
        shutil.copytree(state / case, tmp_path / case / case)
    return {case: tmp_path / case for case in CASES}


@pytest.mark.long
@pytest.mark.alone
@pytest.mark.timeout(420)
def test_every_panel_has_data_while_census_and_housing_stream(tmp_path: Path, case_states: dict[str, Path]) -> None:
    with contextlib.ExitStack() as stack:
        replicas = [stack.enter_context(streaming(case, case_states[case])) for case in CASES]
        server = stack.enter_context(watched(tmp_path / "prometheus", replicas))
        wait_for_data(server, queries(), CASES, 200)
        # The scenario's drift ends some time.
        fired = 'count by (case) (last_over_time(ALERTS{alertname="FeatureDrift", alertstate="firing"}[10m]))'
        poll_until(lambda: len(server.numbers(fired)) == len(CASES), 60, "an annotation in each case's charts")


@pytest.mark.timeout(240)
def test_a_worker_shows_in_the_panels_about_kafka(
    tmp_path: Path, kafka_url: str, kafka_namespace: str, mongo_url: str, mongo_database: str
) -> None:
    urls = Urls(f"{kafka_url}/{kafka_namespace}", f"{mongo_url}/{mongo_database}")
    make_topics(urls.kafka)
    producer = RecordProducer(urls.kafka, seed=1, rate_per_s=50)
    with running_stack(tmp_path, urls) as replica, watched(tmp_path / "prometheus", [replica]) as server:
        producer.start()
        try:
            asked = [query for query in queries() if query.panel in KAFKA_PANELS]
            assert {query.panel for query in asked} == set(KAFKA_PANELS)
            wait_for_data(server, asked, ["shop"], 60)
            for panel, label in (
                ("What waits", "topic"),
                ("Messages taken by the worker", "topic"),
                ("Messages read by monitoring", "topic"),
                ("Time of a batch", "step"),
            ):
                [query] = [one for one in asked if one.panel == panel]
                poll_until(
                    lambda query=query, label=label: any(
                        label in labels for labels, _ in server.numbers(query.asked("shop"))
                    ),
                    30,
                    f"{panel}: a series with {label}",
                )
        finally:
            producer.finish()
