"""The HTTP door to the comparison with the shadow."""

from __future__ import annotations

import msgspec
from flask import Flask, Response
from flask.typing import ResponseReturnValue

from monitoring_service.shadow_comparison import MOST_PAIRS, ShadowComparisons


def add_shadow_routes(app: Flask, comparisons: ShadowComparisons) -> None:
    @app.get("/api/shadow")
    def shadow() -> ResponseReturnValue:
        """Empty while there is no shadow; ``most_pairs``: older ones are left out."""
        document = {"most_pairs": MOST_PAIRS, "comparisons": comparisons.newest()}
        return Response(msgspec.json.encode(document), content_type="application/json")
