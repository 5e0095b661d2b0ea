"""A reader that gets no further at one place, by an error of its library or by hanging in it, in a running process.

A stand-in raises, or never returns, when it takes apart what was fetched from one offset on. Readiness and
the metric that the alert reads say so soon enough for the alert to fire within half a minute, and SIGTERM ends the
process in time.
"""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

import pytest
import requests
from full_stack import Urls, install_champion, settings_for
from monitoring_process import PATIENCE, poll_until
from record_producer import RecordProducer, topic_of
from replica import Replica

#: Scrapes and rules take up to fifteen seconds more.
SEEN_WITHIN_S = 15
STOPS_WITHIN_S = 10
WELL = 20

STAND_IN = """
import os, time
from kafka.consumer import fetcher
from kafka.errors import KafkaError

kept = fetcher.Fetcher._parse_fetched_data

def parse(self, completed):
    place = completed.topic_partition.topic, completed.fetched_offset
    if place == (os.environ["STUCK_TOPIC"], int(os.environ["STUCK_AT"])) and completed.partition_data.records:
        while os.environ["STUCK_HOW"] == "hangs":
            time.sleep(0.01)
        raise KafkaError("a fault of a library")
    return kept(self, completed)

fetcher.Fetcher._parse_fetched_data = parse
"""
#: Process → kind of topic, metric, and the topic as the metric's label names it.
READERS = {
    "worker": ("records", "prediction_worker_standstill_seconds"),
    "monitoring": ("predictions", "monitoring_standstill_seconds"),
}


def stuck(how: str, kafka_url: str, kind: str, folder: Path) -> dict[str, str]:
    """The environment of a process whose library fails at the last message that is well."""
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(STAND_IN)
    path = os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])
    topic = topic_of(kafka_url, kind)
    return {"PYTHONPATH": path, "STUCK_TOPIC": topic, "STUCK_AT": str(WELL), "STUCK_HOW": how}


def standstill_s(url: str, metric: str, kind: str) -> float:
    text = requests.get(f"{url}/metrics", timeout=5).text
    found = re.search(rf'^{metric}{{case="shop",topic="(?:.*\.)?{kind}"}} (\S+)$', text, re.MULTILINE)
    return float(found[1]) if found else 0.0


def publish(urls: Urls, kind: str, count: int, seed: int) -> None:
    """Into the first partition of a topic; monitoring finds records where predictions should be, and names them."""
    producer = RecordProducer(urls.kafka, seed, duplicates=0.0, kind=kind, partition=0)
    producer.publish(count)
    producer.finish()


@pytest.mark.timeout(180)
@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("how", ["raises", "hangs"])
def test_a_reader_that_gets_no_further_is_seen_in_time_and_can_be_stopped(
    how: str, name: str, urls: Urls, tmp_path: Path
) -> None:
    kind, metric = READERS[name]
    install_champion(tmp_path / "state", tmp_path / "cases")
    settings = {**settings_for(urls), "MONITORING_UNREADABLE_LIMIT": "1000"}
    replica = Replica(tmp_path / "state", tmp_path / "cases", names=(name,), **settings)
    try:
        publish(urls, kind, WELL, seed=1)
        replica.start(name, **stuck(how, urls.kafka, kind, tmp_path / "stand-in"))
        replica.wait_until_ready()
        url = replica.url_of(name)
        assert url is not None
        time.sleep(3)  # what is well is read
        assert requests.get(f"{url}/readyz", timeout=5).ok
        publish(urls, kind, 5, seed=2)
        begin = time.monotonic()
        poll_until(lambda: standstill_s(url, metric, kind) > 10, 30, "the metric says it")
        fault = poll_until(
            lambda: requests.get(f"{url}/readyz", timeout=5).json()["faults"].get("standstill"), 30, "readiness says it"
        )
        assert time.monotonic() - begin < SEEN_WITHIN_S * PATIENCE
        assert "has not moved on" in fault
        process = replica.processes[name]
        process.terminate()
        begin = time.monotonic()
        process.wait(30)
        assert time.monotonic() - begin < STOPS_WITHIN_S * PATIENCE
    except BaseException:
        print(replica.logs())
        raise
    finally:
        replica.stop()
