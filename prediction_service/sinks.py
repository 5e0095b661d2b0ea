"""Where a journal can be relayed to: adapters of the :class:`~event_backbone.ports.Sink` port, chosen by URL."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from event_backbone.errors import Fault, SettingsError, TryAgainLaterError
from event_backbone.events import Envelope, encode_ndjson, event_id
from event_backbone.ports import Refusal, Sink

if TYPE_CHECKING:
    import requests


class MemorySink:
    """Keeps events in this process, once by id; for tests and trials."""

    def __init__(self, name: str = "memory") -> None:
        self.name = name
        self.kept: dict[str, Envelope] = {}
        self.away: str | None = None
        self.refuse: Callable[[Envelope], str | None] = lambda _envelope: None

    def deliver(self, batch: Sequence[Envelope]) -> list[Refusal]:
        if self.away is not None:
            raise TryAgainLaterError(self.away)
        refusals = []
        for envelope in batch:
            reason = self.refuse(envelope)
            if reason is None:
                self.kept.setdefault(event_id(envelope.event), envelope)
            else:
                refusals.append(Refusal(envelope.seq, reason))
        return refusals

    def close(self) -> None:
        """Nothing is held."""


class HttpSink:
    """Delivers NDJSON to ``POST <url>/events`` of a monitoring service, which answers after its inbox committed."""

    def __init__(self, url: str, *, timeout_s: float, session: requests.Session | None = None) -> None:
        import requests

        self.name = "monitoring"
        self._events_url = f"{url.rstrip('/')}/events"
        self._timeout_s = timeout_s
        self._session = session or requests.Session()
        self._session.trust_env = False  # a proxy meant for the internet has no business between our processes

    def deliver(self, batch: Sequence[Envelope]) -> list[Refusal]:
        response = self._post(encode_ndjson(batch))
        if response.status_code == 200:
            return [Refusal(batch[item["index"]].seq, item["reason"]) for item in response.json()["refused"]]
        if 400 <= response.status_code < 500 and response.status_code not in (404, 408, 429):
            return self._deliver_apart(batch, response.status_code)
        raise TryAgainLaterError(f"{self._events_url} answered {response.status_code}", _retry_after_s(response))

    def _deliver_apart(self, batch: Sequence[Envelope], status: int) -> list[Refusal]:
        """A batch that is refused whole: halves find the row that spoils it, its neighbours are kept."""
        if len(batch) == 1:
            return [Refusal(batch[0].seq, f"http_{status}")]
        middle = len(batch) // 2
        return [*self.deliver(batch[:middle]), *self.deliver(batch[middle:])]

    def _post(self, body: bytes) -> requests.Response:
        import requests

        headers = {"Content-Type": "application/x-ndjson"}
        try:
            return self._session.post(self._events_url, data=body, headers=headers, timeout=self._timeout_s)
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
    """Raises :class:`SettingsError` naming every URL without an adapter."""
    faults = [
        Fault(
            f"SINKS[{index}]",
            "scheme",
            f"no sink for {urlsplit(url).scheme or 'a URL without scheme'!r}; there are: {', '.join(ADAPTERS)}",
        )
        for index, url in enumerate(urls)
        if urlsplit(url).scheme not in ADAPTERS
    ]
    if faults:
        raise SettingsError("settings", faults)
    return [ADAPTERS[urlsplit(url).scheme](url, timeout_s) for url in urls]
