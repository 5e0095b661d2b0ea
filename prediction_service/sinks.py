"""Where a journal can be relayed to: adapters of the :class:`~event_backbone.ports.Sink` port, chosen by URL."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import msgspec

from event_backbone.errors import Fault, SettingsError, TryAgainLaterError
from event_backbone.events import Envelope, Prediction, encode_ndjson, event_id
from event_backbone.ports import Delivered, Refusal, Sink

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

    def __init__(self, url: str, *, timeout_s: float, session: requests.Session | None = None) -> None:
        import requests

        self.name = "monitoring"
        self._events_url = f"{url.rstrip('/')}/events"
        self._timeout_s = timeout_s
        self._session = session or requests.Session()
        self._session.trust_env = False  # a proxy meant for the internet has no business between our processes

    def deliver(self, batch: Sequence[Envelope]) -> Delivered:
        return Delivered(self._deliver(batch))

    def _deliver(self, batch: Sequence[Envelope]) -> list[Refusal]:
        response = self._post(encode_ndjson(batch))
        if response.status_code == 200:
            return self._refusals(batch, response.content)
        if response.status_code in _ABOUT_THE_CONTENT:
            return self._deliver_apart(batch, response.status_code)
        raise TryAgainLaterError(f"{self._events_url} answered {response.status_code}", _retry_after_s(response))

    def _refusals(self, batch: Sequence[Envelope], body: bytes) -> list[Refusal]:
        try:
            receipt = msgspec.json.decode(body, type=_Receipt)
            return [Refusal(batch[line.index].seq, line.reason) for line in receipt.refused]
        except (msgspec.DecodeError, UnicodeDecodeError, IndexError):
            raise TryAgainLaterError(f"{self._events_url} answered 200 without a receipt") from None

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
            raise TryAgainLaterError(f"{self._events_url}: {type(error).__name__}") from error

    def close(self) -> None:
        self._session.close()


def _retry_after_s(response: requests.Response) -> float:
    text = response.headers.get("Retry-After", "")
    return float(text) if text.isdecimal() else 1.0


#: URL scheme → adapter. MongoDB and Kafka find their place here.
ADAPTERS: dict[str, Callable[[str, float], Sink]] = {
    "http": lambda url, timeout_s: HttpSink(url, timeout_s=timeout_s),
    "https": lambda url, timeout_s: HttpSink(url, timeout_s=timeout_s),
}


def open_sinks(urls: Sequence[str], *, timeout_s: float) -> list[Sink]:
    """Raises :class:`SettingsError` naming every URL that no adapter takes, or whose sink would share a cursor."""
    faults = [fault for index, url in enumerate(urls) if (fault := _fault_in_url(f"SINKS[{index}]", url)) is not None]
    if faults:
        raise SettingsError("settings", faults)
    sinks = [ADAPTERS[urlsplit(url).scheme](url, timeout_s) for url in urls]
    faults = list(_faults_of_names([sink.name for sink in sinks]))
    if faults:
        raise SettingsError("settings", faults)
    return sinks


def _fault_in_url(place: str, url: str) -> Fault | None:
    try:
        parts = urlsplit(url)
    except ValueError as error:
        return Fault(place, "url", str(error))
    if parts.scheme not in ADAPTERS:
        scheme = repr(parts.scheme) if parts.scheme else "a URL without scheme"
        return Fault(place, "scheme", f"no sink for {scheme}; there are: {', '.join(ADAPTERS)}")
    return None if parts.hostname else Fault(place, "url", f"{url!r} names no host")


def _faults_of_names(names: Sequence[str]) -> Iterator[Fault]:
    for index, name in enumerate(names):
        if name in names[:index]:
            yield Fault(f"SINKS[{index}]", "twice", f"a second sink called {name!r}: the two would share one cursor")
