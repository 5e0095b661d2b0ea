"""The worker as people run it: probes, labels of others, limits and ends, on a real broker and a MongoDB."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import requests
from full_stack import Urls, make_topics, running_stack
from monitoring_process import poll_until
from reconciliation import check_kept, collection
from record_producer import RecordProducer, bootstrap_of, topic_of
from replica import Replica

pytestmark = pytest.mark.timeout(180)


@pytest.fixture
def urls(kafka_url: str, mongo_url: str, kafka_namespace: str, mongo_database: str) -> Urls:
    made = Urls(f"{kafka_url}/{kafka_namespace}", f"{mongo_url}/{mongo_database}")
    make_topics(made.kafka)
    return made


def publish(urls: Urls, kind: str, *messages: tuple[bytes | None, bytes]) -> None:
    from kafka import KafkaProducer

    with KafkaProducer(bootstrap_servers=bootstrap_of(urls.kafka), api_version=(4, 1)) as producer:
        for key, value in messages:
            producer.send(topic_of(urls.kafka, kind), key=key, value=value)
        producer.flush(30)


def get(replica: Replica, path: str) -> requests.Response:
    return requests.get(f"{replica.url_of('worker')}{path}", timeout=5)


def test_its_probes_say_what_it_does_and_sigterm_ends_it_in_order(urls: Urls, tmp_path: Path) -> None:
    with running_stack(tmp_path, urls, names=("worker",)) as replica:
        producer = RecordProducer(urls.kafka, seed=1, duplicates=0.2)
        producer.publish(500)
        producer.finish()
        check_kept(replica, urls, produced=producer.records, acknowledged=producer.acknowledged)
        assert get(replica, "/livez").status_code == get(replica, "/readyz").status_code == 200
        status = poll_until(
            lambda: (found := get(replica, "/status").json())["lag"] and not found["away"] and found,
            30,
            "the status has lags and nothing is away",
        )
        assert status["model"]
        assert len(status["partitions"]) == 6
        assert status["lag"][topic_of(urls.kafka, "records")] == {"records": 0, "seconds": 0.0}
        metrics = get(replica, "/metrics").text
        assert f'prediction_worker_lag_records{{case="shop",topic="{topic_of(urls.kafka, "records")}"}} 0.0' in metrics
        assert 'prediction_worker_step_duration_seconds_count{case="shop",step="keep"}' in metrics
        worker = replica.processes["worker"]
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(20) == 0
    with running_stack(tmp_path / "again", urls, names=("worker",)) as replica:
        poll_until(lambda: get(replica, "/status").json()["lag"], 30, "it has partitions")
        assert get(replica, "/status").json()["lag"][topic_of(urls.kafka, "records")]["records"] == 0
        assert 'prediction_answered_total{case="shop"} 0.0' in get(replica, "/metrics").text, (
            "everything had been committed"
        )


def test_labels_of_others_are_kept_and_ours_are_left_to_the_sidecar(urls: Urls, tmp_path: Path) -> None:
    publish(
        urls,
        "labels",
        (b"r1", b'{"label": "yes", "labelled_at": "2026-01-01T00:00:00Z"}'),
        (b"r1", b'{"label": "yes", "labelled_at": "2026-01-01T00:00:00Z"}'),
        (b"r1", b'{"record_id": "r1", "label": "no", "labelled_at": "2026-01-02T00:00:00Z"}'),
        (b"r2", b'{"label": "perhaps"}'),
    )
    with running_stack(tmp_path, urls, names=("worker",)), collection(urls.mongo, "labels") as labels:
        poll_until(lambda: labels.count_documents({}) == 2, 30, "both labels are kept, once each")
        found = {document["label"]: document["labelled_at"] for document in labels.find({"record_id": "r1"})}
        assert found == {"yes": "2026-01-01T00:00:00.000000Z", "no": "2026-01-02T00:00:00.000000Z"}


def test_nothing_but_invalid_records_stops_it_loudly(urls: Urls, tmp_path: Path) -> None:
    publish(urls, "records", *[(b"same key", b"no json %d" % number) for number in range(60)])
    with running_stack(tmp_path, urls, names=(), WORKER_MAX_INVALID_IN_A_ROW="50") as replica:
        replica.worker_ports["worker"] = replica.prediction_port
        replica.start("worker")
        assert replica.processes["worker"].wait(60) == 1
        said = replica.logs()
        assert "50 invalid messages in a row" in said
        assert "no json" not in said, "what a record holds must not be logged"


def test_what_is_wrong_with_the_settings_is_said_at_once(tmp_path: Path) -> None:
    cases_dir = str(Path(__file__).parents[2] / "cases")
    env = {**os.environ, "SINKS": "http://127.0.0.1:1", "STATE_DIR": str(tmp_path), "CASES_DIR": cases_dir}
    command = [sys.executable, "-m", "prediction_service", "worker"]
    ended = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 2
    assert "needs one kafka:// URL" in ended.stderr
