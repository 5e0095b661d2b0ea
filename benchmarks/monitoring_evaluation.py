"""One evaluation of a window beside a run of Evidently's drift preset on the same data."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

from benchmarks.monitoring_stream import Stream
from event_backbone.case.schema import Case
from event_backbone.events.schema import ModelRef
from event_backbone.settings import Settings
from monitoring_service.evaluation.frames import decode_answer, decode_request, frame
from monitoring_service.evaluation.judged_window import JudgedWindow
from monitoring_service.evaluation.measuring import Measurer
from monitoring_service.evaluation.process import Evaluator, ReportMaker
from monitoring_service.messages import ScoreWindow
from monitoring_service.references.store import References, WindowReference
from monitoring_service.reports.folder import ReportFolder
from monitoring_service.windows.row_buffer import WindowRow
from monitoring_service.windows.sliding_window import Windows

WINDOW_ROWS = 1000
MODEL = ModelRef("measured", "1")


def evaluation_s(settings: Settings, stream: Stream, rounds: int, *, with_scores: bool) -> float:
    """Median of everything from a window to its measures; with scores also of both frames to and from the evaluator."""
    case, known = stream.case, references(settings, stream.case)
    windows = Windows(case, rows_counted=0, checked_row=0)
    windows.add(rows_of(stream), [], WINDOW_ROWS)
    view = windows.newest()
    window = JudgedWindow(view, view.rows.sources[-1])
    measurer, evaluator = Measurer(case, known), Evaluator(case, known, _no_reports(settings, case))

    def evaluate() -> None:
        measures = measurer.measure(window)
        if with_scores:
            names = [measure.name for measure in measures.columns if measure.state == "ok"]
            request = decode_request(frame(ScoreWindow(window.message(), names, predictions=True))[4:])
            decode_answer(frame(evaluator.answer(request))[4:])

    return _median_s(evaluate, rounds)


def rows_of(stream: Stream) -> list[WindowRow]:
    """A window of real records with made scores."""
    case = stream.case
    prediction = str(case.target.negative) if case.is_binary else 0.0
    return [
        WindowRow(number, record, number / WINDOW_ROWS, prediction, MODEL, stream.bundle_sha256, "", 0.0)
        for number, record in enumerate(stream.records[:WINDOW_ROWS], 1)
    ]


def preset_s(settings: Settings, stream: Stream, rounds: int) -> float:
    """Median of a run of Evidently's drift preset, its data sets prepared beforehand and nothing rendered."""
    from evidently import DataDefinition, Dataset, Report
    from evidently.presets import DataDriftPreset
    from pandas import DataFrame

    case = stream.case
    definition = DataDefinition(
        numerical_columns=[column.name for column in case.columns if not column.is_category],
        categorical_columns=[column.name for column in case.columns if column.is_category],
    )
    window = {name: [record[name] for record in stream.records[:WINDOW_ROWS]] for name in case.column_names}
    known = {name: list(reference(settings, stream).rows[name]) for name in case.column_names}
    current, compared = (Dataset.from_pandas(DataFrame(data), data_definition=definition) for data in (window, known))
    return _median_s(lambda: Report([DataDriftPreset()]).run(current, compared).dict(), rounds)


def references(settings: Settings, case: Case) -> References:
    return References(case, settings.bundles_dir, settings.monitoring_dir / "references")


def reference(settings: Settings, stream: Stream) -> WindowReference:
    found = references(settings, stream.case).find(stream.bundle_sha256).reference
    assert found is not None, "the stream was made from this bundle"
    return found


def _no_reports(settings: Settings, case: Case) -> ReportMaker:
    return ReportMaker(case, ReportFolder(settings.monitoring_dir / "no-reports", kept=1, kept_s=1.0), 1.0)


def _median_s(action: Callable[[], Any], rounds: int) -> float:
    action()
    took = []
    for _ in range(rounds):
        started = time.perf_counter()
        action()
        took.append(time.perf_counter() - started)
    return statistics.median(took)
