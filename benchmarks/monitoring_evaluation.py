"""One evaluation of a window beside a run of Evidently's drift preset on the same data."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.monitoring_stream import Stream
from event_backbone.case.schema import Case
from event_backbone.settings import Settings
from monitoring_service.evaluation.frames import decode_answer, decode_request, frame
from monitoring_service.evaluation.process import Evaluator, ReportMaker
from monitoring_service.messages import Evaluate, Window
from monitoring_service.references.store import References, WindowReference
from monitoring_service.reports.folder import ReportFolder
from monitoring_service.windows.columns import column_values, packed

WINDOW_ROWS = 1000


def evaluation_s(settings: Settings, stream: Stream, rounds: int, *, with_scores: bool) -> float:
    """Median of everything from a window's arrays to the answer: both frames are written and read."""
    case, records = stream.case, stream.records[:WINDOW_ROWS]
    columns = {column.name: column_values(column, [one[column.name] for one in records]) for column in case.columns}
    scores = np.linspace(0, 1, WINDOW_ROWS).tobytes()
    evaluator = Evaluator(case, references(settings, case), _no_reports(settings, case))

    def evaluate() -> None:
        content = {name: packed(values) for name, values in columns.items()}
        window = Window(WINDOW_ROWS, WINDOW_ROWS, stream.bundle_sha256, content, scores, scores)
        request = decode_request(frame(Evaluate(window, with_scores=with_scores))[4:])
        decode_answer(frame(evaluator.answer(request))[4:])

    return _median_s(evaluate, rounds)


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
