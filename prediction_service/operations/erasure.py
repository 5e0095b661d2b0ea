"""Erasure of records at every target: replicas, idle journals and sinks.

Replicas come first: each forgets the record and tells its own sinks so in the journal's order, which also removes what
its sidecar had in flight. Then the sinks get the events directly, so that nothing waits for a sidecar.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from urllib.parse import quote

import msgspec

from event_backbone.case.records import fault_in_record_id
from event_backbone.errors import Fault, SettingsError, StreamgaugeError, TryAgainLaterError
from event_backbone.events.schema import Envelope, Erasure, utc_now
from event_backbone.ports import Sink
from event_backbone.process.file_lock import try_lock
from event_backbone.process.urls import without_login
from event_backbone.web.http_client import HttpAnswer, own_client
from prediction_service.delivery.cursors import read_relay_state
from prediction_service.journal.slots import JOURNAL_FILE, RELAY_FILE, slots_with_a_journal
from prediction_service.journal.writer import Journal

#: What sinks see as the origin of these events. Numbers are microseconds, so that they rise from run to run.
SOURCE = "erase"
_IDS_AT_ONCE = 500
_NO_BOUND = 2**62


@dataclass(frozen=True, slots=True)
class ErasureOutcome:
    """Outcome of an erasure at one target; ``done`` is false when it has to be tried again."""

    place: str
    done: bool
    text: str


class ErasureTarget(Protocol):
    """A store of records. Erasing again changes nothing more.

    Errors: :class:`~event_backbone.errors.StreamgaugeError` when not everything was erased.
    """

    name: str

    def erase(self, erasures: Sequence[Erasure]) -> str:
        """A summary of what was done."""
        ...


def check_record_ids(record_ids: Sequence[str]) -> None:
    """Raise :class:`SettingsError` naming every id that can't be one."""
    found = ((record_id, fault_in_record_id(record_id)) for record_id in record_ids)
    faults = [Fault(repr(record_id), "record_id", fault.message) for record_id, fault in found if fault is not None]
    if faults:
        raise SettingsError("erase", faults)


def erase_everywhere(record_ids: Sequence[str], case: str, places: Sequence[ErasureTarget]) -> Iterator[ErasureOutcome]:
    """Erase at each target in turn; one that fails keeps none of the others from being asked."""
    erased_at = utc_now()
    erasures = [Erasure(record_id, case, erased_at) for record_id in dict.fromkeys(record_ids)]
    for place in places:
        try:
            yield ErasureOutcome(place.name, True, place.erase(erasures))
        except StreamgaugeError as error:
            yield ErasureOutcome(place.name, False, str(error))


class SinkErasure:
    """A sink, by the events that a relay would deliver."""

    def __init__(self, sink: Sink, clock_us: Callable[[], int] = lambda: time.time_ns() // 1000) -> None:
        self.name = f"sink {sink.name}"
        self._sink = sink
        self._clock_us = clock_us

    def erase(self, erasures: Sequence[Erasure]) -> str:
        first_seq = self._clock_us()
        batch = [Envelope(SOURCE, seq, erasure) for seq, erasure in enumerate(erasures, first_seq)]
        for start in range(0, len(batch), _IDS_AT_ONCE):
            refused = self._sink.deliver(batch[start : start + _IDS_AT_ONCE]).refused
            if refused:
                raise StreamgaugeError(f"refuses {len(refused)} of them: {refused[0].reason}")
        return f"told to erase {len(batch)}"


class _Erased(msgspec.Struct):
    """The part of a replica's answer that is reported."""

    rows_erased: int


class ReplicaErasure:
    """A replica's journal, by ``DELETE /predictions/<record_id>``."""

    def __init__(self, url: str, *, api_key: str | None, timeout_s: float) -> None:
        self.name = f"replica {without_login(url)}"
        self._url = f"{url.rstrip('/')}/predictions/"
        self._client = own_client(timeout_s=timeout_s, api_key=api_key)

    def erase(self, erasures: Sequence[Erasure]) -> str:
        return _removed(sum(self._erase_one(erasure.record_id) for erasure in erasures))

    def _erase_one(self, record_id: str) -> int:
        answer = self._delete(record_id)
        if answer.status == 401:
            raise StreamgaugeError("wants a good API key; give it as API_KEY")
        if answer.status != 200:
            raise answer.refusal()
        try:
            return msgspec.json.decode(answer.body, type=_Erased).rows_erased
        except msgspec.DecodeError:
            raise TryAgainLaterError("answered 200 and not what it erased: is it a prediction service?") from None

    def _delete(self, record_id: str) -> HttpAnswer:
        try:
            return self._client.send("DELETE", self._url + quote(record_id))
        except TryAgainLaterError as error:
            raise TryAgainLaterError(f"gives no answer: {error}") from None


class LocalErasure:
    """The replica on this machine where no URL is given: it need not answer when nobody writes a journal here."""

    def __init__(self, replica: ErasureTarget, journals_dir: Path) -> None:
        self.name = replica.name
        self._replica = replica
        self._journals_dir = journals_dir

    def erase(self, erasures: Sequence[Erasure]) -> str:
        try:
            return self._replica.erase(erasures)
        except TryAgainLaterError:
            if any(_is_written(slot) for slot in slots_with_a_journal(self._journals_dir)):
                raise
            return "is not running"


def _is_written(slot: Path) -> bool:
    lock = try_lock(slot / "writer.lock")
    if lock is not None:
        lock.release()
    return lock is None


class IdleJournals:
    """Journals on this machine that no server writes now, such as those of replicas that were taken away."""

    def __init__(self, journals_dir: Path) -> None:
        self.name = f"idle journals in {journals_dir}"
        self._journals_dir = journals_dir

    def erase(self, erasures: Sequence[Erasure]) -> str:
        idle = removed = 0
        for slot in slots_with_a_journal(self._journals_dir):
            lock = try_lock(slot / "writer.lock")
            if lock is None:
                continue
            try:
                removed += _erase_in(slot, erasures)
            finally:
                lock.release()
            idle += 1
        return f"{idle} journal{'s' if idle != 1 else ''}, {_removed(removed)}"


def _erase_in(slot: Path, erasures: Sequence[Erasure]) -> int:
    sinks = read_relay_state(slot / RELAY_FILE) or {}
    delivered_seq = max((sink.delivered_seq for sink in sinks.values()), default=0)
    journal = Journal(slot / JOURNAL_FILE, max_bytes=_NO_BOUND, delivered_seq=delivered_seq)
    try:
        return sum(journal.erase(erasure.record_id, erasure.case) for erasure in erasures)
    finally:
        journal.close()


def _removed(rows: int) -> str:
    return f"{rows} row{'s' if rows != 1 else ''} removed"
