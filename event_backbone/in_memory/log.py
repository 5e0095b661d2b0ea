"""A prediction log in memory, for tests and trials."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from event_backbone.errors import Fault, RejectedError, TryAgainLaterError
from event_backbone.events.schema import Event, Label, Prediction, event_id, latest_labels
from event_backbone.ports import LoggedPrediction


class MemoryLog:
    """Holds what was put in with :meth:`keep`; while ``away`` is set, reads raise it."""

    def __init__(self) -> None:
        self.away: str | None = None
        self._predictions: dict[str, Prediction] = {}
        self._labels: dict[str, Label] = {}

    def keep(self, events: Sequence[Event]) -> None:
        """Predictions once by ``record_id``, the first stands; every label."""
        for event in events:
            if isinstance(event, Prediction):
                self._predictions.setdefault(event.record_id, event)
            elif isinstance(event, Label):
                self._labels.setdefault(event_id(event), event)

    def prediction(self, record_id: str) -> Prediction | None:
        self._answer()
        return self._predictions.get(record_id)

    def predictions(
        self, *, since: str | None = None, until: str | None = None, after: str | None = None, limit: int
    ) -> Sequence[LoggedPrediction]:
        self._answer()
        seen = _place_of(after)
        found = [one for one in self._between(since, until) if (one.predicted_at, one.record_id) > seen]
        return [LoggedPrediction(f"{one.predicted_at}~{one.record_id}", one) for one in found[:limit]]

    def count(self, *, since: str | None = None, until: str | None = None) -> int:
        self._answer()
        return len(self._between(since, until))

    def labels(self, record_ids: Collection[str]) -> Mapping[str, Label]:
        self._answer()
        return latest_labels(label for label in self._labels.values() if label.record_id in set(record_ids))

    def _between(self, since: str | None, until: str | None) -> list[Prediction]:
        """In the order of the port, everything in the period."""
        found = [
            one
            for one in self._predictions.values()
            if (since is None or one.predicted_at >= since) and (until is None or one.predicted_at < until)
        ]
        return sorted(found, key=lambda one: (one.predicted_at, one.record_id))

    def _answer(self) -> None:
        if self.away is not None:
            raise TryAgainLaterError(self.away)

    def close(self) -> None:
        """Nothing is held."""


def _place_of(cursor: str | None) -> tuple[str, str]:
    if cursor is None:
        return "", ""
    predicted_at, tilde, record_id = cursor.partition("~")
    if not tilde:
        raise RejectedError([Fault("after", "format", "is no cursor of this log")])
    return predicted_at, record_id
