"""What a replay of a topic of records would send."""

from __future__ import annotations

from pathlib import Path

from event_backbone.case.files import load_case
from event_backbone.kafka.access import kafka_access
from event_backbone.kafka.topics import Topics
from event_backbone.settings import ConnectionSettings
from stream_generator.recording.kafka import KafkaRecording
from stream_generator.recording.kafka_offsets import KafkaOffsets
from stream_generator.recording.port import Period, Recorded
from stream_generator.sending.pacing import StoppableClock
from stream_generator.sending.retrying import Patience, Persistence


def recorded(kafka_url: str, cases_dir: Path) -> list[Recorded]:
    access = kafka_access(kafka_url, ConnectionSettings(_env_file=None))  # type: ignore[call-arg]
    case = load_case(cases_dir / "shop.yaml")
    topic = Topics(access.namespace, case.name).records
    persistence = Persistence(StoppableClock(), Patience())
    recording = KafkaRecording(KafkaOffsets(access, 10.0), [topic], case, Period(), persistence)
    try:
        return list(recording.items())
    finally:
        recording.close()
