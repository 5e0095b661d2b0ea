"""A journal's file as a prediction log."""

from __future__ import annotations

import contextlib
import itertools
import sqlite3
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

from event_backbone.errors import Fault, RejectedError, TryAgainLaterError
from event_backbone.events.schema import Event, Label, Prediction, decode_event, latest_labels
from event_backbone.ports import LoggedPrediction
from event_backbone.prediction_log import journal_layout as layout

#: Limits of the time: it is fixed in its form, and "~" sorts behind every digit.
_ALWAYS = ("", "~")


class SqliteLog:
    """Reads a journal, in any process, while its owner writes it; never writes. One caller at a time, in any thread.

    Predictions come in the order of their ``seq``; a cursor is a ``seq``.
    """

    def __init__(self, path: Path) -> None:
        """Raises :class:`TryAgainLaterError` when there is no such file."""
        try:
            self._db = sqlite3.connect(
                f"{path.resolve().as_uri()}?mode=ro", uri=True, isolation_level=None, check_same_thread=False
            )
        except sqlite3.Error as error:
            raise TryAgainLaterError(f"{path} can't be opened: {error}") from None
        self._path = path

    def prediction(self, record_id: str) -> Prediction | None:
        found = self._bodies(layout.SELECT_PREDICTION, (layout.prediction_key(record_id),))
        return _prediction_of(found[0]) if found else None

    def predictions(
        self, *, since: str | None = None, until: str | None = None, after: str | None = None, limit: int
    ) -> Sequence[LoggedPrediction]:
        values = (_seq_of(after), *_limits(since, until), limit)
        with self._reported():
            rows = self._db.execute(layout.SELECT_PREDICTIONS, values).fetchall()
        return [LoggedPrediction(str(seq), _prediction_of(body)) for seq, body in rows]

    def count(self, *, since: str | None = None, until: str | None = None) -> int:
        with self._reported():
            (count,) = self._db.execute(layout.COUNT_PREDICTIONS, (0, *_limits(since, until))).fetchone()
        return int(count)

    def labels(self, record_ids: Collection[str]) -> Mapping[str, Label]:
        found = itertools.chain.from_iterable(self._labels_of(record_id) for record_id in set(record_ids))
        return latest_labels(label for label in found if isinstance(label, Label))

    def _labels_of(self, record_id: str) -> list[Event]:
        bodies = self._bodies(layout.SELECT_LABELS, layout.label_keys(record_id))
        return [decode_event(body) for body in bodies]

    def _bodies(self, query: str, values: Sequence[str]) -> list[bytes]:
        with self._reported():
            return [body for (body,) in self._db.execute(query, values)]

    @contextlib.contextmanager
    def _reported(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise TryAgainLaterError(f"{self._path} can't be read: {error}") from None

    def close(self) -> None:
        self._db.close()


def _limits(since: str | None, until: str | None) -> tuple[str, str]:
    earliest, latest = _ALWAYS
    return earliest if since is None else since, latest if until is None else until


def _seq_of(cursor: str | None) -> int:
    if cursor is None:
        return 0
    if not (cursor.isascii() and cursor.isdecimal() and len(cursor) < 19):
        raise RejectedError([Fault("after", "format", "is no cursor of this log")])
    return int(cursor)


def _prediction_of(body: bytes) -> Prediction:
    event = decode_event(body)
    assert isinstance(event, Prediction)
    return event
