"""The training server as monitoring meets it: what it does, asking it for a retraining, telling it of alerts."""

from __future__ import annotations

from typing import Annotated, Any, NoReturn, Protocol, TypeVar

import msgspec
from msgspec import Meta, Struct

from event_backbone.errors import ConflictError, TryAgainLaterError
from monitoring_service.alerting.webhook import NotTakenError, Webhook

#: The server does nothing slow; what is late is away.
TIMEOUT_S = 3.0


class TrainingRun(Struct, frozen=True):
    """A run as the server tells of it."""

    id: str
    state: str
    stage: str
    reason: str
    started_at: str
    ended_at: str | None = None
    decision: dict[str, Any] | None = None


class TrainingRefusal(Struct, frozen=True):
    """Why none may begin now."""

    reason: str
    detail: str
    retry_after_s: float | None = None


class TrainingStatus(Struct, frozen=True):
    """Runs, newest first, and whether another may begin."""

    runs: Annotated[list[TrainingRun], Meta(max_length=1000)]
    refusal: TrainingRefusal | None = None


class TrainingServer(Protocol):
    """Raises :class:`TryAgainLaterError` when it is away or answers what nobody understands. Thread-safe."""

    def status(self) -> TrainingStatus: ...

    def train(self, reason: str) -> str:
        """The id of the run that was begun; raises :class:`ConflictError` when none may begin, in its own words."""
        ...

    def tell(self, body: bytes) -> None:
        """A message as Alertmanager posts it; returns when it was taken, whatever followed from it."""
        ...


class _Begun(Struct):
    id: str


class _Problem(Struct):
    detail: str = ""


_Answer = TypeVar("_Answer", bound=Struct)


class HttpTrainingServer:
    """The real one; ``key`` is shown to it."""

    def __init__(self, url: str, key: str | None = None, *, timeout_s: float = TIMEOUT_S) -> None:
        self._url = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._timeout_s = timeout_s
        self._webhook = Webhook(f"{self._url}/alerts", headers=self._headers, timeout_s=timeout_s)

    def status(self) -> TrainingStatus:
        code, body = self._request("GET")
        return self._read(body, TrainingStatus) if code == 200 else self._give_up(f"status {code}")

    def train(self, reason: str) -> str:
        code, body = self._request("POST", msgspec.json.encode({"reason": reason}))
        if code == 409:
            raise ConflictError(self._read(body, _Problem).detail)
        return self._read(body, _Begun).id if code == 202 else self._give_up(f"status {code}")

    def tell(self, body: bytes) -> None:
        try:
            self._webhook.send(body)
        except NotTakenError as error:
            self._give_up(str(error))

    def _request(self, method: str, body: bytes | None = None) -> tuple[int, bytes]:
        import requests

        try:
            answer = requests.request(
                method,
                f"{self._url}/train",
                data=body,
                headers=self._headers,
                timeout=self._timeout_s,
                allow_redirects=False,
            )
        except requests.RequestException as error:
            self._give_up(type(error).__name__)
        return answer.status_code, answer.content

    def _read(self, body: bytes, kind: type[_Answer]) -> _Answer:
        try:
            return msgspec.json.decode(body, type=kind)
        except msgspec.DecodeError:
            self._give_up("an answer that is none of its own")

    @staticmethod
    def _give_up(reason: str) -> NoReturn:
        raise TryAgainLaterError(f"the training server gives no answer ({reason})")
