"""Places in a topic that is no longer there: one of the same name may have come in its stead."""

from __future__ import annotations

from monitoring_service.inbox.store import Inbox

_FORGET = "DELETE FROM positions WHERE substr(source, 1, length(:source)) = :source"


def forget_places_in_another_topic(inbox: Inbox, source: str, topic_id: str) -> None:
    """Keep the id of the topic whose sources begin with ``source``, and forget where another one was read up to.

    Raises :class:`~monitoring_service.inbox.store.InboxUnavailableError`.
    """
    name = f"topic_id:{source}"
    with inbox.writing() as db:
        known = db.execute("SELECT body FROM kept WHERE name = ?", (name,)).fetchone()
        if known == (topic_id,):
            return
        db.execute("INSERT OR REPLACE INTO kept VALUES (?, ?)", (name, topic_id))
        if known is not None:
            db.execute(_FORGET, {"source": source})
