"""Validation of decoded events against a case."""

from __future__ import annotations

from event_backbone.case.records import fault_in_kept_id
from event_backbone.case.schema import Case
from event_backbone.errors import Fault, UnreadableMessageError
from event_backbone.events.schema import Erasure, Event, Label, Prediction, Rejections, Shadow, parse_utc

#: What stores can count, with room to add.
LARGEST_INTEGER = 2**62


def check_event(case: Case, event: Event) -> None:
    """Raises :class:`UnreadableMessageError` for an event of the right types that can't belong to this case."""
    if event.case != case.name:
        raise _unreadable("case", "case", f"must be {case.name}")
    match event:
        case Prediction() | Shadow():
            _check_id(event)
            if not case.is_label(event.prediction) or not is_time(event.predicted_at):
                raise _unreadable("prediction", "prediction", "is no prediction of this case")
        case Label():
            _check_id(event)
            if not case.is_label(event.label) or not is_time(event.labelled_at):
                raise _unreadable("label", "label", "is no label of this case", "type")
        case Rejections():
            counts = [event.records, *(fault.count for fault in event.faults)]
            if not all(0 <= count <= LARGEST_INTEGER for count in counts):
                raise _unreadable("rejections", "records", f"must lie between 0 and {LARGEST_INTEGER}", "range")
        case Erasure():
            _check_id(event)


def _check_id(event: Prediction | Label | Erasure | Shadow) -> None:
    if fault := fault_in_kept_id(event.record_id):
        raise UnreadableMessageError("record_id", [fault])


def _unreadable(reason: str, place: str, message: str, fault_reason: str = "invalid") -> UnreadableMessageError:
    return UnreadableMessageError(reason, [Fault(place, fault_reason, message)])


def is_time(text: str) -> bool:
    """Whether it is an RFC 3339 time with an offset."""
    try:
        parse_utc(text)
    except ValueError:
        return False
    return True
