"""Where each partition was read up to, as the inbox keeps it."""

from __future__ import annotations

from event_backbone.kafka.topics import place_source, topic_source
from event_backbone.ports import Partition
from monitoring_service.inbox.store import Inbox
from monitoring_service.inbox.topic_ids import forget_places_in_another_topic


class KeptPlaces:
    """What an assigned consumer asks for and tells; in the reading thread alone."""

    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox

    def position(self, partition: Partition) -> int | None:
        """The offset to read on from; ``None`` where nothing was read."""
        kept = self._inbox.positions().get(place_source(partition))
        return None if kept is None else kept + 1

    def met(self, topic: str, topic_id: str) -> None:
        """Places in another topic of that name are forgotten: what was counted from there is known by its ids."""
        forget_places_in_another_topic(self._inbox, topic_source(topic), topic_id)
