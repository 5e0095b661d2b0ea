"""The committed dashboards as Grafana reads them, and their queries as Prometheus is asked them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "grafana" / "dashboards"
#: What Grafana puts in for its own variables, with a scrape every second.
TIMES = {"$__rate_interval": "15s", "$__range": "5m"}


@dataclass(frozen=True)
class PanelQuery:
    """One query of one panel; ``str`` names it in the output of tests."""

    dashboard: str
    panel: str
    ref_id: str
    expr: str

    def __str__(self) -> str:
        return f"{self.dashboard} / {self.panel} / {self.ref_id}"

    def asked(self, case: str, version: str = ".*") -> str:
        """With the variables' values in their places."""
        return filled(self.expr, {"$case": case, "$version": version, **TIMES})


def filled(text: str, values: Mapping[str, str]) -> str:
    for variable, value in values.items():
        text = text.replace(variable, value)
    assert "$" not in text, text
    return text


def dashboards() -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))]


def panels(dashboard: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Without the rows, which are headings."""
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def all_panels() -> Iterator[tuple[str, dict[str, Any]]]:
    for dashboard in dashboards():
        for panel in panels(dashboard):
            yield dashboard["uid"], panel


def queries() -> list[PanelQuery]:
    return [
        PanelQuery(uid, panel["title"], target["refId"], target["expr"])
        for uid, panel in all_panels()
        for target in panel["targets"]
    ]
