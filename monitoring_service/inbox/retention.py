"""Retention: deleting old rows and ids, a little at a time."""

from __future__ import annotations

import sqlite3


def forget_old(db: sqlite3.Connection, first_row_needed: int, received_before: float, limit: int) -> None:
    """Delete records no window needs, and ids older than this time that no window needs; at most ``limit`` of each."""
    row, at = first_row_needed, received_before
    _delete_oldest(db, "records", "number", "number < ?", (row,), limit)
    _delete_oldest(db, "predictions", "number", "number < ? AND received_at < ?", (row, at), limit)
    _delete_oldest(db, "rejections", "id", "at_row < ? AND received_at < ?", (row, at), limit)
    _delete_oldest(db, "labels", "id", "received_at < ?", (at,), limit)
    _delete_oldest(db, "conflicts", "rowid", "received_at < ?", (at,), limit)
    _delete_oldest(db, "shadows", "id", "received_at < ?", (at,), limit)
    _delete_oldest(db, "erasures", "rowid", "received_at < ?", (at,), limit)


def _delete_oldest(
    db: sqlite3.Connection, table: str, key: str, condition: str, values: tuple[float, ...], limit: int
) -> None:
    """Take what is old enough among the ``limit`` oldest, so that a step is short however much there is to do."""
    db.execute(
        f"DELETE FROM {table} WHERE {key} IN (SELECT {key} FROM {table} ORDER BY {key} LIMIT ?) AND {condition}",  # noqa: S608  names are ours
        (limit, *values),
    )
