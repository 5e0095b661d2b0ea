"""The generator as a process, and recordings of the garden case for it to replay."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
from prediction_world import made_case, made_class, made_record, made_score, prediction

from event_backbone.events.schema import Envelope, Label, Prediction, content_hash, format_utc
from event_backbone.kafka.access import KafkaAccess, kafka_access
from event_backbone.kafka.topics import Topics
from event_backbone.kafka.wire import messages_of
from event_backbone.prediction_log.journal_layout import entry_of
from event_backbone.settings import ConnectionSettings
from prediction_service.journal.writer import Journal

CASE = made_case()
START = datetime(2026, 1, 31, 8, 0, tzinfo=UTC)


def recorded_predictions(number: int, gap_s: float = 0.01) -> list[Prediction]:
    """Evenly recorded, each as the made model answers it."""
    return [_recorded(f"r{index:04}", index, index * gap_s) for index in range(number)]


def _recorded(record_id: str, seed: int, seconds: float) -> Prediction:
    record = made_record(seed)
    score = made_score(record)
    return prediction(
        record_id,
        seed=seed,
        prediction=made_class(score),
        predicted_at=format_utc(START + timedelta(seconds=seconds)),
        content_hash=content_hash(record),
    )


def recorded_labels(predictions: Sequence[Prediction]) -> list[Label]:
    """One for each record that has an even number."""
    return [Label(one.record_id, "garden", "yes", one.predicted_at) for one in predictions[::2]]


def bursts(number: int, size: int, seed: int = 5) -> list[float]:
    """Times of records in bursts with uneven pauses between them, in seconds."""
    rng = random.Random(seed)
    times, now = [], 0.0
    for _ in range(number):
        times += [now + place * 0.01 for place in range(size)]
        now += rng.uniform(2.0, 6.0)
    return times


def write_lines(path: Path, times: Sequence[float]) -> Path:
    lines = [
        {"record": made_record(index), "record_id": f"r{index:04}", "at": format_utc(START + timedelta(seconds=at))}
        for index, at in enumerate(times)
    ]
    path.write_bytes(b"".join(msgspec.json.encode(line) + b"\n" for line in lines))
    return path


def write_journal(path: Path, predictions: Sequence[Prediction], labels: Sequence[Label] = ()) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    journal = Journal(path, max_bytes=2**30)
    journal.append([entry_of(event) for event in (*predictions, *labels)])
    journal.close()
    return path


def fill_mongo(url: str, predictions: Sequence[Prediction], labels: Sequence[Label]) -> None:
    from event_backbone.mongodb.access import mongo_access
    from event_backbone.mongodb.sink import MongoSink

    sink = MongoSink(mongo_access(url, ConnectionSettings(), timeout_s=20), "garden")
    sink.deliver(_envelopes(predictions, labels))
    sink.close()


def made_topics(url: str, partitions: int = 3) -> tuple[KafkaAccess, Topics]:
    from event_backbone.kafka.admin import TopicSpec, create_topics

    access = kafka_access(url, ConnectionSettings())
    topics = Topics(access.namespace, "garden")
    create_topics(access, [TopicSpec(name, partitions, 1) for name in topics.all], timeout_s=30)
    return access, topics


def fill_kafka(url: str, predictions: Sequence[Prediction], labels: Sequence[Label]) -> None:
    from event_backbone.kafka.producer import KafkaPublisher

    access, topics = made_topics(url)
    publisher = KafkaPublisher(access, timeout_s=20)
    for envelope in _envelopes(predictions, labels):
        # One by one, so that the times of the messages are in the order of what they hold.
        publisher.publish(messages_of(envelope, topics, CASE.sha256))
    publisher.close()


def _envelopes(predictions: Sequence[Prediction], labels: Sequence[Label]) -> list[Envelope]:
    return [Envelope("made", seq, event) for seq, event in enumerate((*predictions, *labels), start=1)]


class Generator:
    """Commands with the settings of one folder: a made case, a state, a champion."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self.environment = {
            **os.environ,
            "CASE": "garden",
            "STATE_DIR": str(folder / "state"),
            "CASES_DIR": str(folder / "cases"),
            **settings,
        }

    def start(self, command: str, *options: object) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "stream_generator", command, *map(str, options)],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, command: str, *options: object) -> tuple[int, str, str]:
        process = self.start(command, *options)
        try:
            out, err = process.communicate(timeout=120)
        finally:
            process.kill()
            process.wait()
        return process.returncode, out, err

    def replay(self, source: object, *options: object) -> str:
        """One that is expected to end well; what it said."""
        code, out, err = self.run("replay", "--from", source, *options)
        assert code == 0, out + err
        return out + err


def read_json(path: Path) -> Any:
    return msgspec.json.decode(path.read_bytes())
