"""A report as JSON."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from event_backbone.events.schema import format_utc
from monitoring_service.reports.folder import Report

#: Everything below is a report; a form may be posted to each.
REPORTS_PATH = "/reports/"


def report_document(report: Report) -> dict[str, Any]:
    """``size`` is in bytes."""
    at = format_utc(datetime.fromtimestamp(report.made_at, UTC))
    url = f"{REPORTS_PATH}{report.name}"
    return {"row": report.row, "at": at, "kind": report.kind, "url": url, "size": report.size}
