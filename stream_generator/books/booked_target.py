"""A target that keeps books of what passes through it."""

from __future__ import annotations

from collections.abc import Sequence

from stream_generator.books.digests import answer_digest_of_body, record_digest_of_body
from stream_generator.books.file import BookedAnswer, BookedRecord, BooksWriter
from stream_generator.sending.planning import Outgoing
from stream_generator.sending.targets import LabelOut, SendResult, StreamTarget


class BookedTarget:
    """A :class:`~stream_generator.sending.targets.StreamTarget`: writes each record down before it is sent, and each
    answer before anybody else learns of it. Labels are not booked.

    Raises :class:`~event_backbone.errors.StopError` when the books can't be written.
    """

    def __init__(self, target: StreamTarget, books: BooksWriter) -> None:
        self.most_at_once = target.most_at_once
        self._target = target
        self._books = books

    def open(self) -> None:
        self._target.open()

    def send_records(self, items: Sequence[Outgoing]) -> Sequence[SendResult]:
        self._books.write(BookedRecord(item.record_id, record_digest_of_body(item.body or b"{}")) for item in items)
        results = self._target.send_records(items)
        self._books.write(
            BookedAnswer(item.record_id, None if sent.answer is None else answer_digest_of_body(sent.answer))
            for item, sent in zip(items, results, strict=True)
            if sent.fault is None
        )
        return results

    def send_labels(self, labels: Sequence[LabelOut]) -> Sequence[SendResult]:
        return self._target.send_labels(labels)

    def close(self) -> None:
        self._target.close()
