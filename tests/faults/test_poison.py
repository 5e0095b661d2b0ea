"""Invalid records among many: each is a dead letter with its reason and where it came from, and the rest go on."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from full_stack import Urls, running_stack
from monitoring_process import poll_until
from monitoring_world import made_record
from reconciliation import TopicReader, check_kept
from record_producer import RecordProducer, topic_of

RECORDS, INVALID = 2000, 20


@dataclass(frozen=True)
class Poison:
    """A message that no worker may take, and the word that says why."""

    key: bytes | None
    value: bytes | None
    reason: str


def poison(number: int, rng: random.Random) -> Poison:
    """One of several kinds, in turn."""
    record: dict[str, Any] = made_record(rng)
    key = f"poison-{number}".encode()
    kinds = [
        Poison(key, b"{not json", "json"),
        Poison(key, None, "json"),
        Poison(key, json.dumps({**record, "price": "much"}).encode(), "record"),
        Poison(key, json.dumps({name: record[name] for name in ("items", "payment")}).encode(), "record"),
        Poison(key, json.dumps({**record, "colour": "red"}).encode(), "record"),
        Poison(key, json.dumps({**record, "schema_version": 99}).encode(), "schema_version"),
        Poison(key, json.dumps({**record, "record_id": "another"}).encode(), "key"),
        Poison(b"not an id: \xff", json.dumps(record).encode(), "key"),
    ]
    return kinds[number % len(kinds)]


class PoisonedProducer(RecordProducer):
    """Publishes invalid records between valid ones, and remembers where each went."""

    def __init__(self, kafka_url: str, seed: int) -> None:
        super().__init__(kafka_url, seed, duplicates=0)
        self.poisoned: dict[tuple[int, int], Poison] = {}

    def publish_all(self) -> None:
        rng = random.Random(5)
        for number in range(INVALID):
            self.publish((RECORDS - INVALID) // INVALID)
            one = poison(number, rng)
            sent = self._producer.send(self._topic, key=one.key, value=one.value).get(timeout=30)
            self.poisoned[sent.partition, sent.offset] = one


@pytest.mark.timeout(120)
def test_each_invalid_record_is_a_dead_letter_and_every_valid_one_is_predicted(urls: Urls, tmp_path: Path) -> None:
    producer = PoisonedProducer(urls.kafka, seed=1)
    producer.publish_all()
    producer.finish()
    with running_stack(tmp_path, urls, names=("worker", "monitoring")) as replica:
        check_kept(replica, urls, produced=producer.records, acknowledged=producer.acknowledged)
        reader = TopicReader(urls.kafka, "dead-letters")
        poll_until(lambda: len(reader.read_to_the_end()) >= INVALID, 30, "every invalid record is a dead letter")
        letters = reader.read_to_the_end()
        reader.close()
        assert len(letters) == INVALID
        found = {}
        for letter in letters:
            headers = dict(letter.headers)
            assert headers["dl_topic"].decode() == topic_of(urls.kafka, "records")
            assert json.loads(headers["dl_faults"])
            place = int(headers["dl_partition"]), int(headers["dl_offset"])
            found[place] = Poison(letter.key, letter.value, headers["dl_reason"].decode())
        assert found == producer.poisoned
