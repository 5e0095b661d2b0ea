"""The sink that delivers to monitoring over HTTP."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import msgspec

from event_backbone.errors import TryAgainLaterError
from event_backbone.events.schema import Envelope, encode_ndjson
from event_backbone.ports import Delivered, Refusal

if TYPE_CHECKING:
    import requests


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


def without_login(url: str) -> str:
    """A URL as it may be shown and logged."""
    scheme, separator, rest = url.partition("://")
    place, slash, path = rest.partition("/")
    return f"{scheme}{separator}{place.rpartition('@')[2]}{slash}{path}"
