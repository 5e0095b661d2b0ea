"""Counts since the inbox began."""

from __future__ import annotations

from msgspec import Struct


class InboxTotals(Struct, frozen=True):
    """Counts since the inbox began; ``rejected_records`` are counts that the prediction service sent.

    ``shadows`` are what shadows said, once by record and version.
    """

    predictions: int = 0
    labels: int = 0
    rejected_records: int = 0
    duplicates: int = 0
    conflicts: int = 0
    unmatched_labels: int = 0
    erasures: int = 0
    shadows: int = 0
