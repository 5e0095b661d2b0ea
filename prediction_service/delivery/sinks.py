"""Adapters of the :class:`~event_backbone.ports.Sink` port, chosen by URL."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from event_backbone.case.schema import Case
from event_backbone.errors import Fault, SettingsError
from event_backbone.kafka.access import KafkaAccess, is_kafka, kafka_access
from event_backbone.kafka.topics import Topics
from event_backbone.ports import Sink
from event_backbone.process.urls import without_login
from event_backbone.settings import ConnectionSettings
from prediction_service.delivery.http_sink import HttpSink
from prediction_service.delivery.kafka_sink import KafkaSink
from prediction_service.settings import ReplicaSettings


@dataclass(frozen=True, slots=True)
class SinkAddress:
    """Arguments of an adapter: a URL, the setting it stands in, and the login."""

    url: str
    place: str
    timeout_s: float
    case: Case
    connections: ConnectionSettings


def _http_sink(address: SinkAddress) -> Sink:
    key = address.connections.monitoring_api_key
    return HttpSink(address.url, timeout_s=address.timeout_s, api_key=key.get_secret_value() if key else None)


def _kafka_sink(address: SinkAddress) -> Sink:
    from event_backbone.kafka.producer import KafkaPublisher

    access = kafka_access(address.url, address.connections, place=address.place)
    publisher = KafkaPublisher(access, timeout_s=address.timeout_s)
    return KafkaSink(publisher, Topics(access.namespace, address.case.name), address.case.sha256)


def _mongo_sink(address: SinkAddress) -> Sink:
    from event_backbone.mongodb.access import mongo_access
    from event_backbone.mongodb.sink import MongoSink

    access = mongo_access(address.url, address.connections, timeout_s=address.timeout_s, place=address.place)
    return MongoSink(access, address.case.name)


#: URL scheme → adapter.
ADAPTERS: dict[str, Callable[[SinkAddress], Sink]] = {
    "http": _http_sink,
    "https": _http_sink,
    "kafka": _kafka_sink,
    "mongodb": _mongo_sink,
}


def open_sinks(
    urls: Sequence[str], case: Case, connections: ConnectionSettings, *, timeout_s: float, setting: str = "SINKS"
) -> list[Sink]:
    """The sinks of some URLs, which stand in a setting; nothing is connected yet.

    Raises:
        SettingsError: with every fault of every URL and its login, or whose sinks would share a cursor.
    """
    sinks: list[Sink] = []
    faults: list[Fault] = []
    for index, url in enumerate(urls):
        try:
            sinks.append(_open(SinkAddress(url, f"{setting}[{index}]", timeout_s, case, connections)))
        except SettingsError as error:
            faults += error.faults
    faults += _faults_of_names([sink.name for sink in sinks], setting)
    if faults:
        raise SettingsError("settings", faults)
    return sinks


def _open(address: SinkAddress) -> Sink:
    scheme = address.url.partition("://")[0] if "://" in address.url else ""
    if scheme not in ADAPTERS:
        named = repr(scheme) if scheme else "a URL without scheme"
        message = f"no sink for {named}; there are: {', '.join(ADAPTERS)}"
        raise SettingsError("settings", [Fault(address.place, "scheme", message)])
    if scheme in ("http", "https") and (fault := _fault_in_http_url(address)):
        raise SettingsError("settings", [fault])
    return ADAPTERS[scheme](address)


def _fault_in_http_url(address: SinkAddress) -> Fault | None:
    try:
        parts = urlsplit(address.url)
    except ValueError as error:
        return Fault(address.place, "url", str(error))
    return None if parts.hostname else Fault(address.place, "url", f"{without_login(address.url)!r} names no host")


def _faults_of_names(names: Sequence[str], setting: str) -> Iterator[Fault]:
    for index, name in enumerate(names):
        if name in names[:index]:
            yield Fault(
                f"{setting}[{index}]", "twice", f"a second sink called {name!r}: the two would share one cursor"
            )


def kafka_of_sinks(settings: ReplicaSettings) -> KafkaAccess:
    """The broker among SINKS.

    Raises:
        SettingsError: there is none.
    """
    for index, url in enumerate(settings.sinks):
        if is_kafka(url):
            return kafka_access(url, settings, place=f"SINKS[{index}]")
    raise SettingsError("settings", [Fault("SINKS", "missing", "names no kafka://host:port")])
