"""Decoding of labels from HTTP bodies and messages: an object with an id, the true value and, perhaps, a time."""

from __future__ import annotations

from typing import Any

from event_backbone.case.records import fault_in_record_id
from event_backbone.case.schema import Case
from event_backbone.decoding.lenient_json import decode_lenient
from event_backbone.errors import Fault, RejectedError, unknown_fields
from event_backbone.events.schema import Label, format_utc, parse_utc, utc_now

_FIELDS = frozenset({"record_id", "label", "labelled_at"})


def decode_label(body: bytes, case: Case) -> Label:
    """``{"record_id", "label", "labelled_at"?}``; the time is now where none is given.

    Raises:
        RejectedError: with every fault by field.
    """
    payload, fault = decode_lenient(body)
    if fault is not None:
        raise RejectedError([fault])
    return label_of(payload, case)


def label_of(payload: object, case: Case) -> Label:
    """A label from an object that is already decoded."""
    faults = _faults_in(payload, case)
    if faults:
        raise RejectedError(faults)
    assert isinstance(payload, dict)
    at, value = payload.get("labelled_at"), payload["label"]
    when = utc_now() if at is None else format_utc(parse_utc(at))
    return Label(payload["record_id"], case.name, value if case.is_binary else float(value), when)


def _faults_in(payload: Any, case: Case) -> list[Fault]:
    if not isinstance(payload, dict):
        return [Fault("(body)", "type", "must be a JSON object")]
    faults = []
    if payload.get("record_id") is None:
        faults.append(Fault("record_id", "missing", "is missing"))
    elif (fault := fault_in_record_id(payload["record_id"])) is not None:
        faults.append(fault)
    if "label" not in payload:
        faults.append(Fault("label", "missing", "is missing"))
    elif not case.is_label(payload["label"]):
        target = case.target
        allowed = f"{target.positive!r} or {target.negative!r}" if case.is_binary else "a finite number"
        faults.append(Fault("label", "type", f"must be {allowed}"))
    if not _is_time(payload.get("labelled_at")):
        faults.append(Fault("labelled_at", "format", "must be an RFC 3339 time with an offset"))
    return faults + unknown_fields(set(payload) - _FIELDS, "a field of a label")


def _is_time(value: object) -> bool:
    if value is None:
        return True
    try:
        return isinstance(value, str) and parse_utc(value) is not None
    except ValueError:
        return False
