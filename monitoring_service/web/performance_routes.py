"""HTTP routes of performance: that of past windows, and the comparison with the shadow."""

from __future__ import annotations

from flask import Flask, request
from flask.typing import ResponseReturnValue

from event_backbone.web.request_bodies import query_number
from event_backbone.web.responses import json_response
from monitoring_service.checks.performance_windows import WINDOWS_KEPT, PerformanceWindows
from monitoring_service.checks.shadow_comparison import MOST_PAIRS, ShadowComparisons

WINDOWS_SHOWN = 500


def add_performance_routes(app: Flask, windows: PerformanceWindows) -> None:
    @app.get("/api/quality-windows")
    def performance_windows() -> ResponseReturnValue:
        """The newest ``limit`` windows, oldest of them first; versions in one window follow each other."""
        limit = query_number(request.args, "limit", default=WINDOWS_SHOWN, low=1)
        return json_response(windows.newest(min(limit, WINDOWS_KEPT)))


def add_shadow_routes(app: Flask, comparisons: ShadowComparisons) -> None:
    @app.get("/api/shadow")
    def shadow() -> ResponseReturnValue:
        """Empty while there is no shadow; ``most_pairs``: older ones are left out."""
        return json_response({"most_pairs": MOST_PAIRS, "comparisons": comparisons.newest()})
