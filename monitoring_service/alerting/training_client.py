"""The client of the training server: status, requests for a retraining, and notifications of alerts."""

from __future__ import annotations

from typing import Annotated, Any, NoReturn, Protocol, TypeVar

import msgspec
from msgspec import Meta, Struct

from event_backbone.decoding.bounded_json import decode_bounded
from event_backbone.errors import ConflictError, TryAgainLaterError
from event_backbone.web.http_client import HttpAnswer, own_client
from monitoring_service.alerting.webhook import NotTakenError, Webhook

#: The server does nothing slow; what is late is away.
TIMEOUT_S = 3.0


class TrainingRun(Struct, frozen=True):
    """A run in the server's JSON."""

    id: str
    state: str
    stage: str
    reason: str
    started_at: str
    ended_at: str | None = None
    decision: dict[str, Any] | None = None


class TrainingRefusal(Struct, frozen=True):
    """Why no run may begin now."""

    reason: str
    detail: str
    retry_after_s: float | None = None


class TrainingStatus(Struct, frozen=True):
    """Runs, newest first, and whether another may begin."""

    runs: Annotated[list[TrainingRun], Meta(max_length=1000)]
    refusal: TrainingRefusal | None = None


class TrainingServer(Protocol):
    """Raises :class:`TryAgainLaterError` when it is away or its answer can't be decoded. Thread-safe."""

    def status(self) -> TrainingStatus: ...

    def train(self, reason: str) -> str:
        """Request a run and return its id; raises :class:`ConflictError`, with the reason, where none may begin."""
        ...

    def notify(self, body: bytes) -> None:
        """Send a notification as Alertmanager posts it; returns when it was taken, whatever followed from it."""
        ...


class _Begun(Struct):
    id: str


class _Problem(Struct):
    detail: str = ""


_Answer = TypeVar("_Answer", bound=Struct)


class HttpTrainingServer:
    """The adapter over HTTP; ``key`` is sent to the server."""

    def __init__(self, url: str, key: str | None = None, *, timeout_s: float = TIMEOUT_S) -> None:
        self._url = url.rstrip("/")
        self._client = own_client(timeout_s=timeout_s, api_key=key)
        self._webhook = Webhook(f"{self._url}/alerts", self._client)

    def status(self) -> TrainingStatus:
        answer = self._request("GET")
        return self._read(answer, TrainingStatus) if answer.status == 200 else self._give_up(f"status {answer.status}")

    def train(self, reason: str) -> str:
        answer = self._request("POST", msgspec.json.encode({"reason": reason}))
        if answer.status == 409:
            raise ConflictError(self._read(answer, _Problem).detail)
        return self._read(answer, _Begun).id if answer.status == 202 else self._give_up(f"status {answer.status}")

    def notify(self, body: bytes) -> None:
        try:
            self._webhook.send(body)
        except NotTakenError as error:
            self._give_up(str(error))

    def _request(self, method: str, body: bytes | None = None) -> HttpAnswer:
        try:
            return self._client.send(method, f"{self._url}/train", body)
        except TryAgainLaterError as error:
            self._give_up(str(error))

    def _read(self, answer: HttpAnswer, kind: type[_Answer]) -> _Answer:
        try:
            return decode_bounded(answer.body, kind)
        except (msgspec.DecodeError, UnicodeDecodeError):
            self._give_up("an answer that is none of its own")

    @staticmethod
    def _give_up(reason: str) -> NoReturn:
        raise TryAgainLaterError(f"the training server gives no answer ({reason})")
