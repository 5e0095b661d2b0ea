"""Retries of a request until its final answer: the same body, hence the same ``record_id``, is sent again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from tenacity import RetryCallState, Retrying, retry_if_exception_type, wait_random_exponential

from event_backbone.errors import StreamgaugeError, TryAgainLaterError
from stream_generator.sending.pacing import Clock

Outcome = TypeVar("Outcome")

#: Whoever sends these did not, or may not have, handled the request: it is safe and useful to send it again.
STATUSES_TO_RETRY = frozenset({502, 503, 504})


@dataclass(frozen=True, slots=True)
class ServiceAnswer:
    """A whole HTTP response. ``retry_after_s`` is 0 when the other side named no time."""

    status: int
    body: bytes
    retry_after_s: float = 0.0


class NoAnswerError(StreamgaugeError):
    """The outcome is unknown or was put off: ``reason`` is ``connection``, ``timeout`` or a status."""

    def __init__(self, reason: str, retry_after_s: float = 0.0) -> None:
        self.reason = reason
        self.retry_after_s = retry_after_s
        super().__init__(reason)


class Transport(Protocol):
    """A connection to one server.

    :meth:`post` returns whatever was answered, whatever its status; it raises :class:`NoAnswerError` with
    ``connection`` or ``timeout`` otherwise, and the next call connects anew. It blocks for a bounded time.
    One caller at a time.
    """

    def post(self, path: str, body: bytes) -> ServiceAnswer: ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Patience:
    """Time limits of one request, in seconds: the first pause is at most ``first_pause_s``, doubled each time."""

    total_s: float = 30.0
    first_pause_s: float = 0.05
    longest_pause_s: float = 2.0


class Persistence:
    """Retries an attempt while that is worth it; not thread-safe."""

    def __init__(self, clock: Clock, patience: Patience) -> None:
        self._clock = clock
        self._patience = patience
        self._back_off = wait_random_exponential(multiplier=patience.first_pause_s, max=patience.longest_pause_s)

    def until_done(self, attempt: Callable[[], Outcome]) -> Outcome:
        """What ``attempt`` returns at last.

        Raises:
            NoAnswerError, TryAgainLaterError: the last one, when the patience is over or the run was stopped.
        """
        return Retrying(
            sleep=self._sleep,
            wait=self._pause_s,
            stop=self._gives_up_at(self._clock.now() + self._patience.total_s),
            retry=retry_if_exception_type((NoAnswerError, TryAgainLaterError)),
            reraise=True,
        )(attempt)

    @property
    def is_over(self) -> bool:
        """Whether the run was stopped: what is still asked is tried once."""
        return self._clock.stopped

    def _sleep(self, seconds: float) -> None:
        self._clock.wait(seconds)

    def _pause_s(self, state: RetryCallState) -> float:
        """``Retry-After``, and a random time on top so that not all come back at once."""
        error = state.outcome.exception() if state.outcome else None
        asked_s = error.retry_after_s if isinstance(error, NoAnswerError) else 0.0
        return asked_s + self._back_off(state)

    def _gives_up_at(self, deadline: float) -> Callable[[RetryCallState], bool]:
        return lambda state: self._clock.stopped or self._clock.now() + state.upcoming_sleep > deadline


class Sender:
    """Sends bodies over one transport; not thread-safe, as the transport is not."""

    def __init__(self, transport: Transport, clock: Clock, patience: Patience) -> None:
        self._transport = transport
        self._persistence = Persistence(clock, patience)

    def send(self, path: str, body: bytes) -> ServiceAnswer:
        """Return the final answer.

        Raises:
            NoAnswerError: with the last reason, when the patience is over or the run was stopped.
        """
        return self._persistence.until_done(lambda: self._attempt(path, body))

    def close(self) -> None:
        self._transport.close()

    def _attempt(self, path: str, body: bytes) -> ServiceAnswer:
        answer = self._transport.post(path, body)
        if answer.status in STATUSES_TO_RETRY:
            raise NoAnswerError(str(answer.status), answer.retry_after_s)
        return answer
