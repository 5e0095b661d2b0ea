"""Bodies of people's decisions: who and why, with the same limits on every route."""

from __future__ import annotations

from typing import Annotated, TypeVar

from msgspec import Meta, Struct

from event_backbone.web.request_bodies import Name, Note, body_within, read_object

LONGEST_SILENCE_S = 30 * 86400
MOST_DECISION_BYTES = 8192


class Decision(Struct, kw_only=True):
    """Who decides, with or without a reason."""

    by: Name
    note: Note = ""


class Silencing(Decision):
    """A decision with the number of seconds without notifications."""

    seconds: Annotated[float, Meta(gt=0, le=LONGEST_SILENCE_S)]


Sent = TypeVar("Sent", bound=Decision)


def sent(kind: type[Sent]) -> Sent:
    """The body of the present request; raises :class:`RejectedError` with all of its faults."""
    return read_object(body_within(MOST_DECISION_BYTES), kind)
