"""The sink that delivers to monitoring over HTTP."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import msgspec

from event_backbone.decoding.bounded_json import decode_bounded
from event_backbone.errors import TryAgainLaterError
from event_backbone.events.schema import Envelope, encode_ndjson
from event_backbone.ports import Delivered, Refusal
from event_backbone.process.urls import without_login
from event_backbone.web.http_client import HttpAnswer, own_client


class _RefusedLine(msgspec.Struct):
    index: Annotated[int, msgspec.Meta(ge=0)]
    reason: str


class _Receipt(msgspec.Struct):
    """The part of monitoring's receipt that a relay uses."""

    refused: list[_RefusedLine]


#: Answers that will be the same for the same rows; any other, such as 401 or 404, is about the other side's settings.
_ABOUT_THE_CONTENT = frozenset({400, 413, 422})


class HttpSink:
    """Delivers NDJSON to ``POST <url>/events`` of a monitoring service, which answers after its inbox committed."""

    def __init__(self, url: str, *, timeout_s: float, api_key: str | None = None) -> None:
        self.name = "monitoring"
        self._shown = f"{without_login(url).rstrip('/')}/events"
        self._events_url = f"{url.rstrip('/')}/events"
        self._client = own_client(timeout_s=timeout_s, api_key=api_key)

    def deliver(self, batch: Sequence[Envelope]) -> Delivered:
        return Delivered(self._deliver(batch))

    def _deliver(self, batch: Sequence[Envelope]) -> list[Refusal]:
        answer = self._post(encode_ndjson(batch))
        if answer.status == 200:
            return self._refusals(batch, answer.body)
        if answer.status in _ABOUT_THE_CONTENT:
            return self._deliver_apart(batch, answer.status)
        raise answer.refusal(self._shown)

    def _refusals(self, batch: Sequence[Envelope], body: bytes) -> list[Refusal]:
        try:
            receipt = decode_bounded(body, _Receipt)
            return [Refusal(batch[line.index].seq, line.reason) for line in receipt.refused]
        except (msgspec.DecodeError, UnicodeDecodeError, IndexError):
            raise TryAgainLaterError(f"{self._shown} answered 200 without a receipt") from None

    def _deliver_apart(self, batch: Sequence[Envelope], status: int) -> list[Refusal]:
        """A batch that is refused whole: bisection finds the row that spoils it, its neighbours are kept."""
        if len(batch) == 1:
            return [Refusal(batch[0].seq, f"http_{status}")]
        middle = len(batch) // 2
        return [*self._deliver(batch[:middle]), *self._deliver(batch[middle:])]

    def _post(self, body: bytes) -> HttpAnswer:
        headers = {"Content-Type": "application/x-ndjson"}
        try:
            return self._client.send("POST", self._events_url, body, headers=headers)
        except TryAgainLaterError as error:
            raise TryAgainLaterError(f"{self._shown}: {error}") from None

    def close(self) -> None:
        self._client.close()
