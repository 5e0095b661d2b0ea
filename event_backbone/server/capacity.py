"""How much a server takes at once."""

from __future__ import annotations

from dataclasses import dataclass, field

from event_backbone.server.admission import AdmissionControl

#: Requests that are worked on or wait for a thread, of services that don't choose.
MOST_IN_FLIGHT = 64


@dataclass(frozen=True, slots=True)
class Capacity:
    """``threads`` answer requests; above what ``admission`` lets in, it is 503.

    ``most_body_bytes``: what the route with the largest bodies takes; of larger ones an application sees the beginning.
    """

    threads: int
    most_body_bytes: int
    admission: AdmissionControl = field(default_factory=lambda: AdmissionControl(MOST_IN_FLIGHT))
