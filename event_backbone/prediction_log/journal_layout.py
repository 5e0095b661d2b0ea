"""The layout of a journal's file: tables, statements, and events as rows.

The prediction service writes and trims such a file, and logs read it; nobody else spells a table or a column of it.
``entries`` holds a row for each event, and ``identity`` one row for the file: its id, and the highest ``seq`` given
before rows were deleted.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import astuple

from event_backbone.events.schema import Erasure, Label, Prediction, Rejections, encode_json, event_id, utc_now

SCHEMA = """
CREATE TABLE IF NOT EXISTS entries (
    seq INTEGER PRIMARY KEY,
    event_id TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    record_id TEXT NOT NULL,
    content_hash TEXT NOT NULL,
    body BLOB NOT NULL,
    appended_at TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS identity (journal_id TEXT NOT NULL, given_seq INTEGER NOT NULL);
"""

# The file ------------------------------------------------------------------------------------------------------------

SELECT_JOURNAL_ID = "SELECT journal_id FROM identity"
#: Given a journal's id.
INSERT_IDENTITY = "INSERT INTO identity VALUES (?, 0)"
#: Given another id.
RENAME_JOURNAL = "UPDATE identity SET journal_id = ?"
#: Given the highest ``seq`` given so far.
NOTE_GIVEN_SEQ = "UPDATE identity SET given_seq = ?"
#: The highest ``seq`` ever given, also when its row is deleted.
SELECT_LAST_SEQ = "SELECT max(coalesce((SELECT max(seq) FROM entries), 0), given_seq) FROM identity"

# Rows in order -------------------------------------------------------------------------------------------------------

COUNT_ROWS = "SELECT count(*) FROM entries"
COUNT_ROWS_BY_KIND = "SELECT kind, count(*) FROM entries GROUP BY kind"
#: Given a ``seq`` and how many: the next rows above it, as ``seq`` and body.
SELECT_AFTER = "SELECT seq, body FROM entries WHERE seq > ? ORDER BY seq LIMIT ?"
#: Given a ``seq``: when the next row above it was appended.
SELECT_NEXT_TIME = "SELECT appended_at FROM entries WHERE seq > ? ORDER BY seq LIMIT 1"
#: Given a ``seq`` and how many: the oldest rows up to it, as ``seq``, kind, time and length of the body.
SELECT_OLDEST = "SELECT seq, kind, appended_at, length(body) FROM entries WHERE seq <= ? ORDER BY seq LIMIT ?"
DELETE_ROW = "DELETE FROM entries WHERE seq = ?"

_PREDICTIONS = "FROM entries WHERE seq > ? AND kind = 'prediction' AND appended_at >= ? AND appended_at < ?"
#: Given a ``seq``, the earliest time, the time it ends before, and how many: predictions, as ``seq`` and body.
SELECT_PREDICTIONS = f"SELECT seq, body {_PREDICTIONS} ORDER BY seq LIMIT ?"
#: Given a ``seq`` and the two times.
COUNT_PREDICTIONS = f"SELECT count(*) {_PREDICTIONS}"

# Rows of one record --------------------------------------------------------------------------------------------------

#: Given :func:`prediction_key`; an erasure may stand in the prediction's place.
SELECT_PREDICTION = "SELECT body FROM entries WHERE event_id = ? AND kind = 'prediction'"
#: Given an ``event_id``: what is kept under it, as ``seq``, content hash and body.
SELECT_HELD = "SELECT seq, content_hash, body FROM entries WHERE event_id = ?"
#: Given :func:`label_keys`.
SELECT_LABELS = "SELECT body FROM entries WHERE event_id > ? AND event_id < ? AND record_id = ?"
_OF_RECORD = "FROM entries WHERE event_id = ? OR (event_id > ? AND event_id < ? AND record_id = ?)"
#: Given :func:`record_keys`: kinds, and lengths of the bodies.
SELECT_RECORD = f"SELECT kind, length(body) {_OF_RECORD}"
DELETE_RECORD = f"DELETE {_OF_RECORD}"


def prediction_key(record_id: str) -> str:
    return f"prediction:{record_id}"


def label_keys(record_id: str) -> tuple[str, str, str]:
    """A range of ``event_id`` that holds every label of the record, and the id.

    ';' is the character after ':'. An id may hold ':' itself, so the range may hold labels of a longer id too.
    """
    return f"label:{record_id}:", f"label:{record_id};", record_id


def record_keys(record_id: str) -> tuple[str, str, str, str]:
    return prediction_key(record_id), *label_keys(record_id)


# A new row -----------------------------------------------------------------------------------------------------------


class Entry(Struct, frozen=True):
    """A row to append: its columns, but for ``seq``."""

    event_id: str
    kind: str
    record_id: str
    content_hash: str
    body: bytes
    appended_at: str


def entry_of(event: Prediction | Label | Rejections | Erasure) -> Entry:
    """The journal row that holds an event."""
    match event:
        case Prediction():
            kind, record_id, digest, at = "prediction", event.record_id, event.content_hash, event.predicted_at
        case Label():
            kind, record_id, digest, at = "label", event.record_id, "", utc_now()  # labelled_at is the sender's word
        case Rejections():
            kind, record_id, digest, at = "rejections", "", "", event.until
        case Erasure():
            # In the place of the prediction: whoever uses the id again meets another content.
            kind, record_id, digest, at = "erasure", event.record_id, "", event.erased_at
            return Entry(prediction_key(record_id), kind, record_id, digest, encode_json(event), at)
    return Entry(event_id(event), kind, record_id, digest, encode_json(event), at)


@functools.cache
def insert_statement(rows: int) -> str:
    """Keeps so many rows whose ``event_id`` is new, in one statement; given :func:`insert_values`."""
    places = ", ".join(["(?, ?, ?, ?, ?, ?, ?)"] * rows)
    columns = "seq, event_id, kind, record_id, content_hash, body, appended_at"
    return f"INSERT INTO entries ({columns}) VALUES {places} ON CONFLICT (event_id) DO NOTHING"  # noqa: S608  # no input


def insert_values(numbered: Sequence[tuple[int, Entry]]) -> list[object]:
    return [value for seq, entry in numbered for value in (seq, *astuple(entry))]
