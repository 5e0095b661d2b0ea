"""Sources of recorded streams: adapters of :class:`~stream_generator.recording.port.Recording`, by URL scheme."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from event_backbone.errors import Fault, SettingsError, TryAgainLaterError
from event_backbone.prediction_log.opening import open_prediction_log
from event_backbone.process.urls import without_login
from stream_generator.recording.jsonl import LinesRecording
from stream_generator.recording.kafka import KafkaRecording
from stream_generator.recording.kafka_offsets import KafkaOffsets
from stream_generator.recording.log import LogRecording
from stream_generator.recording.port import Period, Recording
from stream_generator.sending.retrying import Persistence
from stream_generator.settings import GeneratorSettings

_SQLITE_MAGIC = b"SQLite format 3\x00"


@dataclass(frozen=True, slots=True)
class RecordingOptions:
    """Options of opening a source.

    ``needs_times``: gaps will be kept. ``now`` (RFC 3339) ends a period without an end. ``topic`` is the kind of topic
    that Kafka is asked for.
    """

    settings: GeneratorSettings
    period: Period
    now: str
    persistence: Persistence
    needs_times: bool = False
    with_labels: bool = True
    topic: str = "predictions"


def open_recording(source: str, wanted: RecordingOptions) -> Recording:
    """A URL, or the path of a journal or of a JSONL file.

    Raises:
        SettingsError: no adapter takes it, or it is no recording.
        TryAgainLaterError: it is away.
    """
    scheme = source.partition("://")[0] if "://" in source else ""
    if scheme not in SOURCES:
        known = ", ".join(f"{name}://" for name in SOURCES if name)
        raise SettingsError(f"source {source!r}", [Fault("--from", "scheme", f"is no path and none of {known}")])
    return SOURCES[scheme](source, wanted)


def source_name(source: str, topic: str) -> str:
    """A stable name for a recording, without a login."""
    if "://" not in source:
        return str(Path(source).resolve())
    parts = urlsplit(source)
    if parts.scheme == "sqlite":
        return str(_sqlite_path(source).resolve())
    return without_login(source) + (f"#{topic}" if parts.scheme == "kafka" else "")


def _open_path(source: str, wanted: RecordingOptions) -> Recording:
    path = Path(source)
    try:
        with path.open("rb") as file:
            is_journal = file.read(len(_SQLITE_MAGIC)) == _SQLITE_MAGIC
    except OSError as error:
        message = (error.strerror or "can not be read").lower()
        raise SettingsError(source, [Fault("--from", "unreadable", message)]) from None
    if is_journal:
        return _open_journal(source, wanted)
    return LinesRecording(path, wanted.period, needs_times=wanted.needs_times)


def _open_journal(source: str, wanted: RecordingOptions) -> Recording:
    try:
        recording = _open_log(source, wanted)
        recording.log.predictions(limit=1)
    except TryAgainLaterError as error:
        raise SettingsError(source, [Fault("--from", "journal", f"is no readable journal: {error}")]) from None
    return recording


def _open_log(source: str, wanted: RecordingOptions) -> LogRecording:
    settings = wanted.settings
    log = open_prediction_log(source, settings.case, settings, timeout_s=settings.request_timeout_s, place="--from")
    return LogRecording(log, wanted.period, wanted.now, wanted.persistence, wanted.with_labels)


def _open_topics(source: str, wanted: RecordingOptions) -> Recording:
    from event_backbone.kafka.access import kafka_access
    from event_backbone.kafka.topics import Topics

    settings, case = wanted.settings, wanted.settings.load_case()
    access = kafka_access(source, settings, place="--from")
    topics = Topics(access.namespace, case.name)
    named = [topics.records if wanted.topic == "records" else topics.predictions]
    if wanted.with_labels:
        named.append(topics.labels)
    places = KafkaOffsets(access, settings.request_timeout_s)
    return KafkaRecording(places, named, case, wanted.period, wanted.persistence)


def _sqlite_path(url: str) -> Path:
    return Path(unquote(urlsplit(url).path)[1:])


#: URL scheme → adapter; a path has none.
SOURCES: Mapping[str, Callable[[str, RecordingOptions], Recording]] = {
    "": _open_path,
    "sqlite": _open_journal,
    "mongodb": _open_log,
    "kafka": _open_topics,
}
