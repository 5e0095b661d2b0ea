"""Where a journal can be relayed to: adapters of the :class:`~event_backbone.ports.Sink` port, chosen by URL."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import msgspec

from event_backbone.case import Case
from event_backbone.errors import Fault, SettingsError, TryAgainLaterError
from event_backbone.events import Envelope, Prediction, encode_ndjson, event_id
from event_backbone.kafka_topics import Topics
from event_backbone.kafka_wire import messages_of
from event_backbone.ports import Delivered, MessageOutlet, Refusal, Sink
from event_backbone.settings import ConnectionSettings

if TYPE_CHECKING:
    import requests


class MemorySink:
    """Keeps events in this process, once by id; for tests and trials. ``differing`` holds the conflicts, once too."""

    def __init__(self, name: str = "memory") -> None:
        self.name = name
        self.kept: dict[str, Envelope] = {}
        self.differing: dict[tuple[str, str], Prediction] = {}
        self.away: str | None = None
        self.refuse: Callable[[Envelope], str | None] = lambda _envelope: None

    def deliver(self, batch: Sequence[Envelope]) -> Delivered:
        if self.away is not None:
            raise TryAgainLaterError(self.away)
        refusals, conflicts_before, held = [], len(self.differing), {}
        for envelope in batch:
            reason = self.refuse(envelope)
            if reason is not None:
                refusals.append(Refusal(envelope.seq, reason))
            elif (standing := self._keep(envelope)) is not None:
                held[standing.record_id] = standing
        return Delivered(refusals, len(self.differing) - conflicts_before, held)

    def _keep(self, envelope: Envelope) -> Prediction | None:
        """The prediction that stands where this is a later one for its id."""
        standing = self.kept.setdefault(event_id(envelope.event), envelope).event
        event = envelope.event
        if standing is event or not (isinstance(event, Prediction) and isinstance(standing, Prediction)):
            return None
        if standing.content_hash != event.content_hash:
            self.differing.setdefault((event.record_id, event.content_hash), event)
        return standing

    def close(self) -> None:
        """Nothing is held."""


class _RefusedLine(msgspec.Struct):
    index: Annotated[int, msgspec.Meta(ge=0)]
    reason: str


class _Receipt(msgspec.Struct):
    """The part of monitoring's answer that a relay acts on."""

    refused: list[_RefusedLine]


#: Answers that will be the same for the same rows; any other, such as 401 or 404, is about the other side's settings.
_ABOUT_THE_CONTENT = frozenset({400, 413, 422})


class HttpSink:
    """Delivers NDJSON to ``POST <url>/events`` of a monitoring service, which answers after its inbox committed."""

    def __init__(
        self, url: str, *, timeout_s: float, api_key: str | None = None, session: requests.Session | None = None
    ) -> None:
        import requests

        self.name = "monitoring"
        self._shown = f"{without_login(url).rstrip('/')}/events"
        # A login in the URL would be shown in the place of the key.
        self._events_url = f"{url.rstrip('/')}/events" if api_key is None else self._shown
        self._timeout_s = timeout_s
        self._session = session or requests.Session()
        self._session.trust_env = False  # a proxy meant for the internet has no business between our processes
        if api_key is not None:
            self._session.headers["Authorization"] = f"Bearer {api_key}"

    def deliver(self, batch: Sequence[Envelope]) -> Delivered:
        return Delivered(self._deliver(batch))

    def _deliver(self, batch: Sequence[Envelope]) -> list[Refusal]:
        response = self._post(encode_ndjson(batch))
        if response.status_code == 200:
            return self._refusals(batch, response.content)
        if response.status_code in _ABOUT_THE_CONTENT:
            return self._deliver_apart(batch, response.status_code)
        raise TryAgainLaterError(f"{self._shown} answered {response.status_code}", _retry_after_s(response))

    def _refusals(self, batch: Sequence[Envelope], body: bytes) -> list[Refusal]:
        try:
            receipt = msgspec.json.decode(body, type=_Receipt)
            return [Refusal(batch[line.index].seq, line.reason) for line in receipt.refused]
        except (msgspec.DecodeError, UnicodeDecodeError, IndexError):
            raise TryAgainLaterError(f"{self._shown} answered 200 without a receipt") from None

    def _deliver_apart(self, batch: Sequence[Envelope], status: int) -> list[Refusal]:
        """A batch that is refused whole: halves find the row that spoils it, its neighbours are kept."""
        if len(batch) == 1:
            return [Refusal(batch[0].seq, f"http_{status}")]
        middle = len(batch) // 2
        return [*self._deliver(batch[:middle]), *self._deliver(batch[middle:])]

    def _post(self, body: bytes) -> requests.Response:
        import requests

        headers = {"Content-Type": "application/x-ndjson"}
        try:
            return self._session.post(
                self._events_url, data=body, headers=headers, timeout=self._timeout_s, allow_redirects=False
            )
        except requests.RequestException as error:
            # Without its cause, whose text holds the URL with its login.
            raise TryAgainLaterError(f"{self._shown}: {type(error).__name__}") from None

    def close(self) -> None:
        self._session.close()


def _retry_after_s(response: requests.Response) -> float:
    text = response.headers.get("Retry-After", "")
    return float(text) if text.isdecimal() else 1.0


class KafkaSink:
    """Publishes each event to its topic, under its ``record_id``; an erasure becomes tombstones.

    Kafka keeps what is delivered again once more: readers take an event once, by its id.
    """

    def __init__(self, outlet: MessageOutlet, topics: Topics, case_sha256: str) -> None:
        self.name = "kafka"
        self._outlet = outlet
        self._topics = topics
        self._case_sha256 = case_sha256

    def deliver(self, batch: Sequence[Envelope]) -> Delivered:
        refused = {one.seq: "case" for one in batch if one.event.case != self._topics.case}
        ours = [one for one in batch if one.seq not in refused]
        messages = [(one.seq, message) for one in ours for message in messages_of(one, self._topics, self._case_sha256)]
        for index, reason in self._outlet.publish([message for _, message in messages]):
            refused[messages[index][0]] = reason
        return Delivered([Refusal(seq, reason) for seq, reason in sorted(refused.items())])

    def close(self) -> None:
        self._outlet.close()


def without_login(url: str) -> str:
    """A URL as it may be shown and logged."""
    scheme, separator, rest = url.partition("://")
    place, slash, path = rest.partition("/")
    return f"{scheme}{separator}{place.rpartition('@')[2]}{slash}{path}"


@dataclass(frozen=True, slots=True)
class SinkAddress:
    """What an adapter is made from: a URL, where it stands in the settings, and how to log in there."""

    url: str
    place: str
    timeout_s: float
    case: Case
    connections: ConnectionSettings


def _http_sink(address: SinkAddress) -> Sink:
    key = address.connections.monitoring_api_key
    return HttpSink(address.url, timeout_s=address.timeout_s, api_key=key.get_secret_value() if key else None)


def _kafka_sink(address: SinkAddress) -> Sink:
    from event_backbone.kafka_access import kafka_access
    from event_backbone.kafka_transport import KafkaOutlet

    access = kafka_access(address.url, address.connections, place=address.place)
    outlet = KafkaOutlet(access, timeout_s=address.timeout_s)
    return KafkaSink(outlet, Topics(access.namespace, address.case.name), address.case.sha256)


def _mongo_sink(address: SinkAddress) -> Sink:
    from event_backbone.mongo_access import mongo_access
    from event_backbone.mongo_sink import MongoSink

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
