"""How many predictions a monitoring service has counted."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from msgspec import Struct

from event_backbone.decoding.bounded_json import bounded_decoder
from event_backbone.errors import Fault, SettingsError, TryAgainLaterError
from event_backbone.process.urls import without_login
from event_backbone.web.http_client import own_client


class _Totals(Struct):
    predictions: int


class _State(Struct):
    totals: _Totals


_decode_state: Callable[[bytes], _State] = bounded_decoder(_State)


class MonitoringCount:
    """Asks ``/api/state``. The total says nothing of single records, and counts those of others as well."""

    def __init__(self, url: str, *, api_key: str | None, timeout_s: float) -> None:
        self.name = without_login(url)
        self._url = f"{url.rstrip('/')}/api/state"
        self._client = own_client(timeout_s=timeout_s, api_key=api_key)

    def predictions(self) -> int:
        """Counted since its inbox began.

        Raises:
            TryAgainLaterError: it is away.
            SettingsError: it is no monitoring service, or wants another key.
        """
        answer = self._client.send("GET", self._url)
        if answer.status >= 500:
            raise TryAgainLaterError(f"{self.name} answered {answer.status}", answer.retry_after_s or 1.0)
        try:
            return _decode_state(answer.body).totals.predictions
        except (msgspec.DecodeError, UnicodeDecodeError):
            message = f"{self.name} answered {answer.status}, and no state of monitoring"
            raise SettingsError("monitoring", [Fault("--monitoring", "answer", message)]) from None
