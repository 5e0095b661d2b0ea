"""Decoding of messages in ``.records`` into records with their identity, or into faults."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import msgspec

from event_backbone.case.records import Record, fault_in_record_id, faults_in, record_type
from event_backbone.case.schema import Case
from event_backbone.decoding.lenient_json import decode_lenient
from event_backbone.errors import Fault, RejectedError
from event_backbone.events.cloud_events import header
from event_backbone.events.schema import SCHEMA_VERSION
from event_backbone.kafka.topics import place_id
from event_backbone.ports import Received

#: Fields that a producer may send beside a record's columns; they say what the record was written for.
#: Flat, as a record's columns are, so that the decoder never goes down into anything.
_ABOUT_THE_MESSAGE: dict[str, Any] = {"schema_version": int | None, "case_sha256": str | None}


class RejectedMessageError(RejectedError):
    """A message that can't become a prediction. ``reason`` is from a closed set."""

    def __init__(self, reason: str, faults: Sequence[Fault]) -> None:
        self.reason = reason
        super().__init__(faults)


class RecordReader:
    """Decodes messages whose value is one record, as ``POST /predict`` takes it."""

    def __init__(self, case: Case) -> None:
        self._case = case
        fields = [(name, kind, None) for name, kind in _ABOUT_THE_MESSAGE.items()]
        marked = msgspec.defstruct("MarkedRecord", fields, bases=(record_type(case),), kw_only=True)
        self._decode_trusted = msgspec.json.Decoder(marked).decode

    def read(self, received: Received) -> Record:
        """The record with its ``record_id``: the key, else the one in the value, else made from partition and offset.

        Raises:
            RejectedMessageError: with every fault by field.
        """
        if received.loss is not None:
            fault = Fault("(message)", "invalid", received.loss.message)
            raise RejectedMessageError(received.loss.reason, [fault])
        record = self._decode(received.value or b"")
        if received.key is None or header(received.headers, "dl_id") == received.key:
            # A replayed dead letter without a key of its own has its place as key.
            record.record_id = record.record_id or (received.key or place_id(received).encode()).decode()
        elif record.record_id is None or record.record_id.encode() == received.key:
            record.record_id = _id_of_key(received.key)
        else:
            raise RejectedMessageError("key", [Fault("record_id", "format", "differs from the message's key")])
        return record

    def _decode(self, body: bytes) -> Record:
        try:
            record: Any = self._decode_trusted(body)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise self._rejected(body) from None
        if record.schema_version not in (None, SCHEMA_VERSION):
            raise _of_another_version()
        return cast(Record, record)

    def _rejected(self, body: bytes) -> RejectedMessageError:
        payload, fault = decode_lenient(body)
        if fault is not None:
            return RejectedMessageError("json", [fault])
        if isinstance(payload, dict):
            if payload.get("schema_version") not in (None, SCHEMA_VERSION):
                return _of_another_version()
            payload = {name: value for name, value in payload.items() if name not in _ABOUT_THE_MESSAGE}
        faults = faults_in(self._case, payload)
        return RejectedMessageError("record", faults or [Fault("(body)", "invalid", "is not a valid record")])


def _of_another_version() -> RejectedMessageError:
    message = f"must be {SCHEMA_VERSION}, the only one this version reads"
    return RejectedMessageError("schema_version", [Fault("schema_version", "format", message)])


def _id_of_key(key: bytes) -> str:
    record_id = key.decode(errors="replace")
    fault = fault_in_record_id(record_id)
    if fault is not None:
        raise RejectedMessageError("key", [fault])
    return record_id
