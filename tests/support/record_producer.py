"""Publishes records to a ``.records`` topic and keeps its own books of what the broker acknowledged."""

from __future__ import annotations

import functools
import json
import random
import threading
import time
from typing import Any
from urllib.parse import urlsplit

from monitoring_world import made_record


def bootstrap_of(kafka_url: str) -> str:
    return urlsplit(kafka_url).netloc


def topic_of(kafka_url: str, kind: str, case: str = "shop") -> str:
    """``[namespace.]<case>.<kind>``; the namespace is the URL's path."""
    namespace = urlsplit(kafka_url).path.strip("/")
    return f"{namespace}.{case}.{kind}" if namespace else f"{case}.{kind}"


class RecordProducer:
    """``duplicates``: share of records that are published twice; ``partition``: of the topic, else the key's."""

    def __init__(
        self,
        kafka_url: str,
        seed: int,
        *,
        rate_per_s: float = 100,
        duplicates: float = 0.1,
        kind: str = "records",
        partition: int | None = None,
    ) -> None:
        from kafka import KafkaProducer

        self._producer = KafkaProducer(bootstrap_servers=bootstrap_of(kafka_url), linger_ms=5, api_version=(4, 1))
        self._topic, self._partition = topic_of(kafka_url, kind), partition
        self._rng = random.Random(seed)
        self._prefix = f"k{seed}"
        self._rate_per_s = rate_per_s
        self._duplicates = duplicates
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._publish_all, daemon=True)
        self.records: dict[str, dict[str, Any]] = {}
        self.acknowledged: set[str] = set()

    def start(self) -> None:
        self._thread.start()

    def finish(self) -> None:
        """Stop; return when the broker has answered for every record, or gave up."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        self._producer.flush(120)
        self._producer.close()

    def publish(self, count: int) -> None:
        """As fast as it goes, in the caller's thread."""
        for _ in range(count):
            self._publish_one()

    def _publish_all(self) -> None:
        due_at = time.monotonic()
        while not self._stop.is_set():
            self._publish_one()
            due_at += 1 / self._rate_per_s
            self._stop.wait(max(0.0, due_at - time.monotonic()))

    def _publish_one(self) -> None:
        record_id, record = f"{self._prefix}-{len(self.records) + 1}", made_record(self._rng)
        self.records[record_id] = record
        for _ in range(2 if self._rng.random() < self._duplicates else 1):
            sent = self._producer.send(
                self._topic, key=record_id.encode(), value=json.dumps(record).encode(), partition=self._partition
            )
            sent.add_callback(functools.partial(self._acknowledge, record_id))

    def _acknowledge(self, record_id: str, _metadata: object) -> None:
        self.acknowledged.add(record_id)
