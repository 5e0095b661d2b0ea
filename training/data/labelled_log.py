"""Labelled records of a prediction log."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from event_backbone.case.records import RecordDecoder
from event_backbone.case.schema import Case
from event_backbone.errors import RejectedError
from event_backbone.events.schema import encode_json
from event_backbone.ports import PredictionLog
from training.data.rows import LabelledRows

_PAGE_ROWS = 1000


@dataclass(frozen=True)
class LabelledLog:
    """Rows in the log's order, how many predictions were read for them, and a digest of the rows."""

    rows: LabelledRows
    read: int
    digest: str


def read_labelled(case: Case, log: PredictionLog, *, since: str | None = None) -> LabelledLog:
    """Predictions that have a label and whose records this case file takes, those made from ``since`` on.

    Raises :class:`~event_backbone.errors.TryAgainLaterError` when the log is away.
    """
    decoder, digest = RecordDecoder(case), hashlib.sha256()
    records: list[Mapping[str, Any]] = []
    labels: list[str | float] = []
    read, after = 0, None
    while page := log.predictions(since=since, after=after, limit=_PAGE_ROWS):
        read, after = read + len(page), page[-1].cursor
        known = log.labels([one.prediction.record_id for one in page])
        for prediction in (one.prediction for one in page):
            label = known.get(prediction.record_id)
            if label is None or not case.is_label(label.label) or not _is_valid(decoder, prediction.record):
                continue
            records.append(prediction.record)
            labels.append(label.label)
            digest.update(encode_json([prediction.record_id, prediction.content_hash, label.label]))
    return LabelledLog(LabelledRows(records, labels), read, digest.hexdigest())


def _is_valid(decoder: RecordDecoder, record: Mapping[str, Any]) -> bool:
    try:
        decoder.convert(record)
    except RejectedError:  # made under another case file
        return False
    return True
