"""The window that a check judges: its rows, the model version that it is about, and what it is compared with."""

from __future__ import annotations

from dataclasses import dataclass

from monitoring_service.messages import Window
from monitoring_service.windows.columns import packed
from monitoring_service.windows.row_buffer import PredictionSource
from monitoring_service.windows.sliding_window import WindowView


@dataclass(frozen=True, slots=True, eq=False)
class JudgedWindow:
    """``accepted_sha256`` is the accepted reference to compare the rows with, if not the bundle's own."""

    view: WindowView
    source: PredictionSource
    accepted_sha256: str | None = None

    @property
    def row(self) -> int:
        return self.view.row

    def message(self) -> Window:
        """As the evaluator gets it: inputs of all rows, scores and predictions of one model version."""
        rows = self.view.rows
        same_model = rows.of_model(self.source.model)
        return Window(
            row=self.view.row,
            rows=len(rows),
            bundle_sha256=self.source.bundle_sha256,
            columns={name: packed(values) for name, values in rows.columns.items()},
            scores=rows.scores[same_model].tobytes(),
            predictions=rows.predictions[same_model].tobytes(),
            accepted_sha256=self.accepted_sha256,
        )
