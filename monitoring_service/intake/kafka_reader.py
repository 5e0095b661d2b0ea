"""The thread that reads the case's topics into the inbox.

Events, the places they stood at and the counts are one transaction; only then does the reader go on. Where it stands
is what the inbox says: offsets are committed to Kafka for other people's tools alone, and a message that comes again
after a restart, or twice, changes nothing.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import structlog

from event_backbone.errors import AwayError, StopError, TryAgainLaterError
from event_backbone.kafka.dead_letters import without_value
from event_backbone.ports import Message, MessageConsumer, MessageProducer, Partition
from event_backbone.process.backoff import Backoff
from monitoring_service.inbox.store import InboxUnavailableError
from monitoring_service.intake.kafka_messages import StreamBatch, StreamDecoder
from monitoring_service.intake.kafka_status import StreamStatus
from monitoring_service.intake.receiver import Intake, OverloadedError

log = structlog.get_logger()

MOST_MESSAGES = 1000
POLL_S = 0.2
#: Lags are asked for and offsets committed this often.
EVERY_S = 1.0
#: While too many rows wait for their check.
_PAUSE_S = 0.5
#: Seconds after a failure, doubled with each in a row up to the second number.
_BACKOFF_S = (0.5, 5.0)


class StreamReader:
    """Reads until it is stopped; everything here happens in one thread, :meth:`run`.

    A broker that is away is asked again and again. ``stop`` is called, with the reason, when going on would do harm.
    """

    def __init__(
        self,
        open_stream: Callable[[], MessageConsumer],
        publisher: MessageProducer,
        decoder: StreamDecoder,
        intake: Intake,
        status: StreamStatus,
        stop: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._open_stream = open_stream
        self._publisher = publisher
        self._decoder = decoder
        self._intake = intake
        self._status = status
        self._stop = stop
        self._clock = clock
        self._stream: MessageConsumer | None = None
        # A batch that was read and not kept yet: it is not read again, but tried again.
        self._in_hand: StreamBatch | None = None
        self._uncommitted: dict[Partition, int] = {}
        self._next_at = 0.0
        self._backoff = Backoff(*_BACKOFF_S)

    def run(self, stopping: threading.Event) -> None:
        while not stopping.is_set():
            try:
                stopping.wait(self._guarded_step(stopping))
            except StopError as error:
                self._stop(str(error))
                break
        self._close()

    def _guarded_step(self, stopping: threading.Event) -> float:
        """One step; returns how long to wait before the next. Raises :class:`StopError` alone."""
        try:
            self.step(stopping)
        except StopError:
            raise
        except OverloadedError as error:
            log.warning("stream_not_kept", reason=str(error))
            return _PAUSE_S
        except InboxUnavailableError as error:
            log.warning("stream_not_kept", reason=str(error))
        except TryAgainLaterError as error:
            if self._status.note_error(str(error), is_away=isinstance(error, AwayError)):
                log.warning("stream_away", reason=str(error))
        except Exception as error:
            # The thread's border. What was read and not kept is read again, from the inbox's places.
            log.exception("stream_disturbed")
            self._status.note_error(type(error).__name__)
            self._begin_anew()
        else:
            self._backoff.reset()
            return 0.0
        return self._backoff.failed()

    def step(self, stopping: threading.Event) -> None:
        """Read and keep what is there; while too many rows wait for their check, nothing is read."""
        is_full = self._in_hand is None and self._intake.is_full
        self._status.note_backlog(is_full)
        if is_full:
            stopping.wait(_PAUSE_S)
        else:
            self._read_or_tell_how_late()
        if self._look_is_due():
            self._look_around(reads_well=True)
            self._status.note_well()

    def _look_is_due(self) -> bool:
        is_due = self._clock() >= self._next_at
        if is_due:
            self._next_at = self._clock() + EVERY_S
        return is_due

    def _read_or_tell_how_late(self) -> None:
        """What can't be read or kept, though a broker answers, makes lags grow that somebody should see."""
        try:
            self._read()
        except AwayError:
            raise
        except TryAgainLaterError:
            with contextlib.suppress(TryAgainLaterError):
                if self._look_is_due():
                    self._look_around(reads_well=False)
            raise

    def _read(self) -> None:
        if self._stream is None:
            self._stream = self._open_stream()
        if self._in_hand is None:
            messages = self._stream.poll(timeout_s=POLL_S, max_messages=MOST_MESSAGES)
            if not messages:
                return
            self._status.note_read(messages)
            self._in_hand = self._decoder.decode(messages)
        self._keep(self._in_hand)

    def _keep(self, batch: StreamBatch) -> None:
        """Dead letters first: a message whose place was passed has left its trace."""
        self._bury(batch.dead_letters)
        self._in_hand = replace(batch, dead_letters=())
        self._intake.keep(batch.envelopes, batch.progress)
        self._in_hand = None
        self._uncommitted.update(batch.next_offsets)
        if batch.stop is not None:
            raise StopError(batch.stop)

    def _bury(self, letters: Sequence[Message]) -> None:
        if not letters:
            return
        too_large = [without_value(letters[index]) for index, _ in self._publisher.publish(letters)]
        for index, reason in self._publisher.publish(too_large):
            log.error("dead_letter_refused", reason=reason, topic=too_large[index].topic)

    def _look_around(self, *, reads_well: bool) -> None:
        if self._stream is None:
            return
        if lags := self._stream.lags():
            self._status.note_lags(lags)
        if self._in_hand is None and (lags or reads_well):  # without partitions no broker was asked
            self._status.note_places(lags)
        if self._uncommitted:
            self._stream.commit(self._uncommitted)
            self._uncommitted = {}

    def _begin_anew(self) -> None:
        stream, self._stream = self._stream, None
        self._in_hand, self._uncommitted = None, {}
        self._decoder.begin_anew()
        if stream is not None:
            with contextlib.suppress(Exception):  # it is given up either way
                stream.close()

    def _close(self) -> None:
        if self._stream is not None and self._uncommitted:
            with contextlib.suppress(TryAgainLaterError):
                self._stream.commit(self._uncommitted)
        self._begin_anew()
        self._publisher.close()
