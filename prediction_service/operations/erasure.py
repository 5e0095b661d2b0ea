"""Erasure of records at every target: replicas, idle journals and sinks.

Replicas come first: each forgets the record and tells its own sinks so in the journal's order, which also removes what
its sidecar had in flight. Then the sinks get the events directly, so that nothing waits for a sidecar.

An id that fails at a target keeps none of the others from being erased there; each is named with the reason.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Protocol
from urllib.parse import quote

import msgspec

from event_backbone.case.records import fault_in_kept_id, fault_in_record_id
from event_backbone.decoding.bounded_json import decode_bounded
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
_LONGEST_SHOWN = 130
#: Ids that are named in the outcome at one target; of the others only the number is.
MOST_IDS_NAMED = 20


class NotErasedError(StreamgaugeError):
    """Some ids were not erased; the message says what was done, and names them with the reason."""

    def __init__(self, done: str, reasons: Mapping[str, str]) -> None:
        named = "; ".join(f"{record_id}: {reason}" for record_id, reason in islice(reasons.items(), MOST_IDS_NAMED))
        more = len(reasons) - MOST_IDS_NAMED
        super().__init__(f"{done}; not erased: {named}" + (f"; and {more:,} more" if more > 0 else ""))


class _NobodyToAskError(TryAgainLaterError):
    """The target answers nobody, or not us, so that it makes no sense to ask for the next id."""


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
    found = ((record_id, fault_in_kept_id(record_id)) for record_id in record_ids)
    faults = [
        Fault(repr(record_id[:_LONGEST_SHOWN]), "record_id", fault.message)
        for record_id, fault in found
        if fault is not None
    ]
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
        refused = [
            refusal
            for start in range(0, len(batch), _IDS_AT_ONCE)
            for refusal in self._sink.deliver(batch[start : start + _IDS_AT_ONCE]).refused
        ]
        done = f"told to erase {len(batch) - len(refused)}"
        if refused:
            reasons = {erasures[one.seq - first_seq].record_id: f"refused ({one.reason})" for one in refused}
            raise NotErasedError(done, reasons)
        return done


class _Left(msgspec.Struct):
    reason: str


class _Erased(msgspec.Struct):
    """The part of a replica's answer that is reported."""

    rows_erased: int
    not_erased: list[_Left] = []


class ReplicaErasure:
    """A replica's journal, by ``DELETE /predictions/<record_id>``; an id that no URL can carry, by a body."""

    def __init__(self, url: str, *, api_key: str | None, timeout_s: float) -> None:
        self.name = f"replica {without_login(url)}"
        self._url = f"{url.rstrip('/')}/predictions"
        self._client = own_client(timeout_s=timeout_s, api_key=api_key)

    def erase(self, erasures: Sequence[Erasure]) -> str:
        removed = 0
        reasons: dict[str, str] = {}
        for number, erasure in enumerate(erasures):
            try:
                removed += self._erase_one(erasure.record_id)
            except _NobodyToAskError as error:
                if number == 0:
                    raise
                reasons |= {left.record_id: str(error) for left in erasures[number:]}
                break
            except StreamgaugeError as error:
                reasons[erasure.record_id] = str(error)
        if reasons:
            raise NotErasedError(_removed(removed), reasons)
        return _removed(removed)

    def _erase_one(self, record_id: str) -> int:
        answer = self._ask(record_id)
        if answer.status == 401:
            raise _NobodyToAskError("wants a good API key; give it as API_KEY")
        if answer.status != 200:
            raise answer.refusal()
        try:
            erased = decode_bounded(answer.body, _Erased)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise TryAgainLaterError("answered 200 and not what it erased: is it a prediction service?") from None
        if erased.not_erased:
            raise TryAgainLaterError(erased.not_erased[0].reason)
        return erased.rows_erased

    def _ask(self, record_id: str) -> HttpAnswer:
        try:
            if fault_in_record_id(record_id) is None:
                return self._client.send("DELETE", f"{self._url}/{quote(record_id)}")
            body = msgspec.json.encode({"record_ids": [record_id]})
            return self._client.send("POST", f"{self._url}/erase", body, headers={"Content-Type": "application/json"})
        except TryAgainLaterError as error:
            raise _NobodyToAskError(f"gives no answer: {error}") from None


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
        reasons: dict[str, str] = {}
        for slot in slots_with_a_journal(self._journals_dir):
            lock = try_lock(slot / "writer.lock")
            if lock is None:
                continue
            try:
                removed += _erase_in(slot, erasures, reasons)
            finally:
                lock.release()
            idle += 1
        done = f"{idle} journal{'s' if idle != 1 else ''}, {_removed(removed)}"
        if reasons:
            raise NotErasedError(done, reasons)
        return done


def _erase_in(slot: Path, erasures: Sequence[Erasure], reasons: dict[str, str]) -> int:
    """The rows removed; ids that could not be erased go into ``reasons``."""
    sinks = read_relay_state(slot / RELAY_FILE) or {}
    delivered_seq = max((sink.delivered_seq for sink in sinks.values()), default=0)
    removed = 0
    try:
        journal = Journal(slot / JOURNAL_FILE, max_bytes=_NO_BOUND, delivered_seq=delivered_seq)
    except StreamgaugeError as error:
        reasons.update({erasure.record_id: f"journal {slot.name}: {error}" for erasure in erasures})
        return 0
    with contextlib.closing(journal):
        for erasure in erasures:
            try:
                removed += journal.erase(erasure.record_id, erasure.case)
            except StreamgaugeError as error:
                reasons[erasure.record_id] = f"journal {slot.name}: {error}"
    return removed


def _removed(rows: int) -> str:
    return f"{rows} row{'s' if rows != 1 else ''} removed"
