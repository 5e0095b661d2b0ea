"""The port of a stream's target, and its adapter for HTTP."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import msgspec
from msgspec import Struct

from event_backbone.decoding.bounded_json import bounded_decoder
from stream_generator.sending.planning import Outgoing
from stream_generator.sending.retrying import NoAnswerError, Sender, ServiceAnswer

#: Answers that are about what was sent: sent again, it would get the same one.
_FINAL_STATUSES = frozenset({200, 202, 400, 409, 413, 422})


class LabelOut(Struct, frozen=True):
    """One element of the body of ``POST /labels``, and the value of a label's message."""

    record_id: str
    label: str | float
    labelled_at: str


@dataclass(frozen=True, slots=True)
class SendResult:
    """The outcome of one record or label.

    ``fault`` is ``None`` when it was taken, else a status or reason. ``is_final`` is ``False`` when nobody knows
    whether it was taken, or when the fault lies elsewhere than in what was sent. ``answer`` is the body of a target's
    answer to a record, where there is one.
    """

    fault: str | None = None
    is_final: bool = True
    answer: bytes | None = None


class StreamTarget(Protocol):
    """One connection to the target.

    Both methods return an outcome for each item, in the order of the items, after at most the patience of the adapter;
    they raise nothing. The other side meets the items of a call in their order. ``most_at_once`` bounds the records of
    a call. :meth:`open` connects, so that the first item is not late; what fails there is met again when sending. One
    caller at a time.
    """

    most_at_once: int

    def open(self) -> None: ...

    def send_records(self, items: Sequence[Outgoing]) -> Sequence[SendResult]: ...

    def send_labels(self, labels: Sequence[LabelOut]) -> Sequence[SendResult]: ...

    def close(self) -> None: ...


class _Answered(Struct):
    record_id: str


class _Accepted(Struct):
    accepted: int


_decode_answered: Callable[[bytes], _Answered] = bounded_decoder(_Answered)
_decode_accepted: Callable[[bytes], _Accepted] = bounded_decoder(_Accepted)
encode_json = msgspec.json.Encoder().encode


class HttpTarget:
    """A prediction service: a record is one ``POST /predict``, labels go together to ``POST /labels``."""

    most_at_once = 1

    def __init__(self, sender: Sender) -> None:
        self._sender = sender

    def open(self) -> None:
        """A connection is made within a request's time."""

    def send_records(self, items: Sequence[Outgoing]) -> list[SendResult]:
        return [self._send_record(item) for item in items]

    def send_labels(self, labels: Sequence[LabelOut]) -> list[SendResult]:
        try:
            answer = self._sender.send("/labels", encode_json(labels))
        except NoAnswerError as error:
            return [SendResult(error.reason, is_final=False)] * len(labels)
        accepted = min(_accepted(answer.body) if answer.status == 202 else 0, len(labels))
        refused = SendResult(str(answer.status), answer.status in _FINAL_STATUSES)
        return [SendResult()] * accepted + [refused] * (len(labels) - accepted)

    def close(self) -> None:
        self._sender.close()

    def _send_record(self, item: Outgoing) -> SendResult:
        try:
            answer = self._sender.send("/predict", item.body or b"")
        except NoAnswerError as error:
            return SendResult(error.reason, is_final=False)
        if answer.status != 200:
            return SendResult(str(answer.status), answer.status in _FINAL_STATUSES)
        if not _answers(answer, item.record_id):
            return SendResult("other answer", is_final=False)
        return SendResult(answer=answer.body)


def _answers(answer: ServiceAnswer, record_id: str) -> bool:
    """Whether this is the answer to that record; a 200 for another one is no prediction for ours."""
    try:
        return _decode_answered(answer.body).record_id == record_id
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False


def _accepted(body: bytes) -> int:
    try:
        return _decode_accepted(body).accepted
    except (msgspec.DecodeError, UnicodeDecodeError):
        return 0
