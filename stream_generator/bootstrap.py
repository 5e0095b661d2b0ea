"""Wiring of the generator: targets, pace and labels; chooses the adapter of a target."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from event_backbone.errors import Fault, SettingsError
from event_backbone.ports import ModelRegistry
from stream_generator.books.booked_target import BookedTarget
from stream_generator.books.file import BooksWriter
from stream_generator.books.monitoring_count import MonitoringCount
from stream_generator.commands.options import Delivery
from stream_generator.sending.http_transport import KeepAliveHttp
from stream_generator.sending.kafka_target import KafkaTarget
from stream_generator.sending.labels import Labeller, LabelQueue
from stream_generator.sending.open_loop import OpenLoop, SendingThread
from stream_generator.sending.pacing import Clock
from stream_generator.sending.resuming import Marks
from stream_generator.sending.retrying import Patience, Persistence, Sender
from stream_generator.sending.tally import Tally
from stream_generator.sending.targets import HttpTarget, StreamTarget
from stream_generator.settings import GeneratorSettings

if TYPE_CHECKING:
    from event_backbone.mongodb.log import RescoredPredictions

#: Most records in flight unless told otherwise.
HTTP_IN_FLIGHT = 8
KAFKA_IN_FLIGHT = 500


@dataclass(frozen=True, slots=True)
class Connections:
    """One target for each thread that sends records, and one for labels."""

    for_records: list[StreamTarget]
    for_labels: StreamTarget


@dataclass(frozen=True, slots=True)
class TargetOptions:
    """Arguments of a target's adapter."""

    url: str
    settings: GeneratorSettings
    concurrency: int | None
    clock: Clock

    @property
    def patience(self) -> Patience:
        return Patience(total_s=self.settings.give_up_after_s)


def build_open_loop(
    settings: GeneratorSettings,
    delivery: Delivery,
    clock: Clock,
    tally: Tally,
    marks: Marks,
    books: BooksWriter | None = None,
) -> OpenLoop:
    """A loop with a connection for each thread that sends, and one for labels."""
    url = delivery.target or settings.prediction_url
    connections = _adapter(url)(TargetOptions(url, settings, delivery.concurrency, clock))
    labeller = Labeller(LabelQueue(delivery.label_delay), connections.for_labels, clock, tally, marks)
    targets: list[StreamTarget] = connections.for_records
    if books is not None:
        targets = [BookedTarget(target, books) for target in targets]
    workers = [SendingThread(target, clock, tally, labeller, marks) for target in targets]
    return OpenLoop(workers, labeller, clock, marks)


def _adapter(url: str) -> Callable[[TargetOptions], Connections]:
    scheme = url.partition("://")[0] if "://" in url else ""
    if scheme not in TARGETS:
        known = " or ".join(f"{name}://" for name in TARGETS)
        raise SettingsError("target", [Fault("--to", "url", f"{url!r} is no {known} address")])
    return TARGETS[scheme]


def _http(wiring: TargetOptions) -> Connections:
    """As many connections as records may be in flight: they leave in order, and may arrive in another."""
    key = wiring.settings.api_key

    def target() -> StreamTarget:
        transport = KeepAliveHttp(
            wiring.url, wiring.settings.request_timeout_s, None if key is None else key.get_secret_value()
        )
        return HttpTarget(Sender(transport, wiring.clock, wiring.patience))

    return Connections([target() for _ in range(wiring.concurrency or HTTP_IN_FLIGHT)], target())


def _kafka(wiring: TargetOptions) -> Connections:
    """One producer for records, which publishes what is due together and so keeps the order; one for labels."""
    from event_backbone.kafka.access import kafka_access
    from event_backbone.kafka.producer import KafkaPublisher
    from event_backbone.kafka.topics import Topics

    settings = wiring.settings
    access = kafka_access(wiring.url, settings, place="--to")
    topics = Topics(access.namespace, settings.load_case().name)

    def target() -> StreamTarget:
        publisher = KafkaPublisher(access, timeout_s=settings.request_timeout_s)
        retries = Persistence(wiring.clock, wiring.patience)
        return KafkaTarget(publisher, topics, retries, wiring.concurrency or KAFKA_IN_FLIGHT)

    return Connections([target()], target())


def persistence(settings: GeneratorSettings, clock: Clock) -> Persistence:
    """The retry policy for a source that is away."""
    return Persistence(clock, Patience(total_s=settings.give_up_after_s))


def monitoring_count(url: str, settings: GeneratorSettings) -> MonitoringCount:
    """Nothing is asked yet."""
    key = settings.monitoring_api_key
    return MonitoringCount(
        url, api_key=None if key is None else key.get_secret_value(), timeout_s=settings.request_timeout_s
    )


def open_registry(settings: GeneratorSettings) -> ModelRegistry:
    """Nothing is opened yet: MLflow is imported when it is first asked."""
    from event_backbone.model.mlflow_registry import MlflowRegistry

    return MlflowRegistry(settings.tracking_uri)


def open_keeping(url: str, settings: GeneratorSettings) -> RescoredPredictions:
    """Raises :class:`SettingsError` when it is no ``mongodb://`` URL."""
    from event_backbone.mongodb.access import mongo_access
    from event_backbone.mongodb.log import RescoredPredictions

    access = mongo_access(url, settings, timeout_s=settings.request_timeout_s, place="--keep")
    return RescoredPredictions(access, settings.case)


#: URL scheme → adapter.
TARGETS: Mapping[str, Callable[[TargetOptions], Connections]] = {
    "http": _http,
    "https": _http,
    "kafka": _kafka,
}
