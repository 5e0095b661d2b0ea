"""The sidecar: relays every journal that no other sidecar relays, and follows the champion."""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Callable
from pathlib import Path

import structlog

from event_backbone.ports import Sink
from event_backbone.process.file_lock import HeldLock, try_lock
from prediction_service.delivery.cursors import RelayState
from prediction_service.delivery.dead_letter_publishing import DeadLetterPublishing
from prediction_service.delivery.relay import Relay, run_relay
from prediction_service.journal.reader import JournalReader
from prediction_service.journal.slots import JOURNAL_FILE, RELAY_FILE, slots_with_a_journal
from prediction_service.model_sync.registry_watch import RegistryWatch

log = structlog.get_logger()


class Sidecar:
    """Runs until :meth:`stop`. Each journal has a thread for each sink, so a sink that is away holds up no other.

    ``open_all_sinks`` makes a fresh set of sinks for each journal: a sink serves one caller at a time.
    """

    def __init__(
        self,
        journals_dir: Path,
        open_all_sinks: Callable[[], list[Sink]],
        watch: RegistryWatch,
        *,
        batch_rows: int,
        follow_interval_s: float,
        publishing: DeadLetterPublishing | None = None,
    ) -> None:
        self._journals_dir = journals_dir
        self._open_all_sinks = open_all_sinks
        self._watch = watch
        self._batch_rows = batch_rows
        self._follow_interval_s = follow_interval_s
        self._publishing = publishing
        self._stop = threading.Event()
        self._locks: dict[Path, HeldLock] = {}
        self._threads: list[threading.Thread] = []

    def run(self) -> None:
        """Block until :meth:`stop`, then until every relay has finished its present batch."""
        # Not waited for: a registry that is away may hold it for seconds, and whatever it leaves undone is done again.
        watch = functools.partial(self._watch.run, self._stop, every_s=self._follow_interval_s)
        threading.Thread(target=watch, name="follower", daemon=True).start()
        while not self._stop.wait(0.5):
            self._relay_free_slots()
        for thread in self._threads:
            thread.join()
        for lock in self._locks.values():
            lock.release()

    def stop(self) -> None:
        self._stop.set()

    def _relay_free_slots(self) -> None:
        for slot in slots_with_a_journal(self._journals_dir):
            if slot not in self._locks and (lock := try_lock(slot / "relay.lock")) is not None:
                self._locks[slot] = lock
                try:
                    self._relay_slot(slot)
                except Exception:  # the sidecar's border: this slot is tried again, the others go on
                    log.exception("slot_not_relayed", slot=slot.name)
                    self._locks.pop(slot).release()

    def _relay_slot(self, slot: Path) -> None:
        sinks = self._open_all_sinks()
        names = [sink.name for sink in sinks]
        log.info("relaying", slot=slot.name, sinks=names)
        RelayState(slot / RELAY_FILE, names).close()  # before the threads, so that none meets a file half made
        for sink in sinks:
            work = functools.partial(self._relay, slot, sink, names)
            self._start(work, f"relay-{slot.name}-{sink.name}")
        if self._publishing is not None:
            self._start(functools.partial(self._publishing.run, slot, self._stop), f"dead-letters-{slot.name}")

    def _start(self, work: Callable[[], None], name: str) -> None:
        thread = threading.Thread(target=work, name=name)
        self._threads.append(thread)
        thread.start()

    def _relay(self, slot: Path, sink: Sink, names: list[str]) -> None:
        """One thread: starts again after any error, because the journal is still there."""
        while not self._stop.is_set():
            try:
                with (
                    contextlib.closing(JournalReader(slot / JOURNAL_FILE)) as journal,
                    contextlib.closing(RelayState(slot / RELAY_FILE, names)) as state,
                ):
                    run_relay(Relay(journal, state, sink, batch_rows=self._batch_rows), self._stop)
            except Exception:  # a thread's border: a relay that ends silently would fill the journal
                log.exception("relay_failed", slot=slot.name, sink=sink.name)
                self._stop.wait(1.0)
        sink.close()
