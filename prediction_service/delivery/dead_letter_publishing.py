"""Publishing of parked rows to ``.dead-letters``: a loop of the sidecar beside the relays."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from pathlib import Path

import structlog

from event_backbone.errors import TryAgainLaterError
from event_backbone.ports import MessageProducer
from prediction_service.delivery.parked_rows import ParkedRows

log = structlog.get_logger()

_AT_ONCE = 200


class DeadLetterPublishing:
    """Publishes a journal's parked rows, each at least once, by a producer of its own: no relay waits for it."""

    def __init__(self, open_publisher: Callable[[], MessageProducer], topic: str, *, poll_every_s: float = 1.0) -> None:
        self._open_publisher = open_publisher
        self._topic = topic
        self._poll_every_s = poll_every_s

    def run(self, slot: Path, stop: threading.Event) -> None:
        """Block until ``stop`` is set; what is left is published after the next start."""
        with contextlib.closing(self._open_publisher()) as publisher:
            while not stop.wait(self._poll_every_s):
                try:
                    self._publish(slot, publisher, stop)
                except TryAgainLaterError as error:
                    log.warning("dead_letters_wait", slot=slot.name, error=str(error))
                    stop.wait(5 * self._poll_every_s)
                except Exception:  # a thread's border: the rows are still there
                    log.exception("dead_letters_failed", slot=slot.name)
                    stop.wait(5 * self._poll_every_s)

    def _publish(self, slot: Path, publisher: MessageProducer, stop: threading.Event) -> None:
        with contextlib.closing(ParkedRows(slot)) as rows:
            while not stop.is_set() and rows.publish(publisher, self._topic, at_most=_AT_ONCE):
                log.info("dead_letters_published", slot=slot.name)
