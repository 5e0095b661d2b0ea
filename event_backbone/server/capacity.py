"""How much a server takes at once, and how long it waits for its clients."""

from __future__ import annotations

from dataclasses import dataclass, field

from event_backbone.server.admission import AdmissionControl
from event_backbone.server.body_reader import RECEIVED_WITHIN_S
from event_backbone.server.idle_readers import READS_WITHIN_S

#: Requests that are worked on or wait for a thread, of services that don't choose.
MOST_IN_FLIGHT = 64


@dataclass(frozen=True, slots=True)
class Capacity:
    """``threads`` answer requests; above what ``admission`` lets in, it is 503.

    ``most_body_bytes``: what the route with the largest bodies takes; of larger ones an application sees the beginning.
    A body has to come whole within ``received_within_s``, and an answer is given up of which nothing was read within
    ``reads_within_s``.
    """

    threads: int
    most_body_bytes: int
    admission: AdmissionControl = field(default_factory=lambda: AdmissionControl(MOST_IN_FLIGHT))
    received_within_s: float = RECEIVED_WITHIN_S
    reads_within_s: float = READS_WITHIN_S
