"""Transactions on a SQLite file."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator


@contextlib.contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[None]:
    """One writing transaction: committed at the end, or nothing of it stands, whatever went wrong.

    The connection is one that begins none by itself (``isolation_level=None``). It waits for another writer at the
    beginning, for as long as the connection's timeout, and never in the middle. How durable a commit is, the file's
    pragmas say. Afterwards the connection is free for the next one, also after a failed commit.
    """
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        # SQLite may have rolled back by itself, as it does on a full disk; what went wrong first is what is told.
        if db.in_transaction:
            with contextlib.suppress(sqlite3.Error):
                db.execute("ROLLBACK")
        raise
