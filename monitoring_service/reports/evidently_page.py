"""One Evidently report as an HTML page: drift and summary of the columns, and performance where labels are.

Evidently refuses a whole report for one column it can't draw, so what it can't report on is left out and named on the
page, and the rest is made.
"""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import structlog

from event_backbone.case.schema import Case
from monitoring_service.messages import Labelled, MakeReport, ReportKind

if TYPE_CHECKING:
    import pandas as pd

log = structlog.get_logger()

#: A report on labelled rows is worth reading from here on; Evidently also fails on a handful of rows.
FEWEST_LABELLED_ROWS = 30
_SCROLLS_SIDEWAYS = "<style>.MuiCard-root { overflow-x: auto !important; }</style>"
_WHY: Mapping[ReportKind, str] = {
    "demand": "made because somebody asked",
    "alert": "made because a condition began to hold",
    "schedule": "made on schedule",
}
Columns = Mapping[str, Sequence[Any]]


class NothingToReportError(Exception):
    """There is no column and no label that a report could be about."""


def heading_of(request: MakeReport) -> str:
    """The title of a report."""
    window = request.window
    against = f"the reference of bundle {window.bundle_sha256[:12]}"
    if window.accepted_sha256 is not None:
        against = f"the accepted reference {window.accepted_sha256[:12]}"
    return f"{window.rows:,} rows until row {window.row:,} against {against}; {_WHY[request.kind]}"


def render_report(
    case: Case, reference: Columns, known: Columns, window: Columns, labelled: Labelled, heading: str = ""
) -> str:
    """Evidently's report as an HTML page.

    ``reference`` and ``window`` hold one list a column, ``known`` the score, prediction and target of rows that are
    labelled throughout. Raises :class:`NothingToReportError`.
    """
    empty = [column.name for column in case.columns if not _has_values(reference, window, column.name)]
    names = [column.name for column in case.columns if column.name not in empty]
    columns, failed = _columns_that_can_be_drawn(case, reference, window, names)
    performance, reason = _performance_if_possible(case, known, labelled)
    runs = [run for run in (columns, performance) if run is not None]
    if not runs:
        raise NothingToReportError
    notes = [heading, _left_out("without any value", empty), _left_out("that Evidently can't draw", failed), reason]
    # Evidently has no report over two tables, and labels are there for a part of the rows only: two runs, one page.
    page, widgets = runs[0], [widget for run in runs for widget in run._widgets]
    page._widgets = [*(_note(text) for text in notes if text), *widgets]
    return _with_our_head(page.get_html_str(as_iframe=False), case)


def _with_our_head(page: str, case: Case) -> str:
    """Evidently's page has no title, and hides what is beyond the edge of a phone."""
    title = html.escape(f"{case.title} · Evidently report")
    return page.replace("<head>", f"<head>\n<title>{title}</title>\n{_SCROLLS_SIDEWAYS}", 1)


def _has_values(reference: Columns, window: Columns, name: str) -> bool:
    return all(any(value is not None for value in side.get(name, ())) for side in (reference, window))


def _left_out(why: str, names: Sequence[str]) -> str | None:
    return f"Left out are columns {why}: {', '.join(names)}" if names else None


def _note(text: str) -> Any:
    from evidently.legacy.renderers.html_widgets import header_text

    return header_text(label=text)


def _columns_that_can_be_drawn(
    case: Case, reference: Columns, window: Columns, names: Sequence[str]
) -> tuple[Any | None, list[str]]:
    """A run over all these columns or, where Evidently fails, over those that it can draw; and those that it can't."""
    if not names:
        return None, []
    try:
        return _run_columns(case, reference, window, names), []
    except Exception as error:  # whatever a library raises for one column must not cost the others
        log.warning("report_of_all_columns_failed", error=type(error).__name__)
    good = [name for name in names if _can_be_drawn(case, reference, window, name)]
    failed = [name for name in names if name not in good]
    return (_run_columns(case, reference, window, good) if good else None), failed


def _can_be_drawn(case: Case, reference: Columns, window: Columns, name: str) -> bool:
    try:
        _run_columns(case, reference, window, [name])
    except Exception as error:  # as above
        log.warning("column_not_reported", column=name, error=type(error).__name__)
        return False
    return True


def _run_columns(case: Case, reference: Columns, window: Columns, names: Sequence[str]) -> Any:
    from evidently import DataDefinition
    from evidently import Report as EvidentlyReport
    from evidently.presets import DataDriftPreset, DataSummaryPreset

    categories = [column.name for column in case.columns if column.is_category and column.name in names]
    numbers = [name for name in names if name not in categories]
    definition = DataDefinition(numerical_columns=numbers, categorical_columns=categories)
    kinds = {name: "object" if name in categories else "float64" for name in names}
    return EvidentlyReport([DataDriftPreset(), DataSummaryPreset()]).run(
        _dataset(_frame(window, kinds), definition), _dataset(_frame(reference, kinds), definition)
    )


def _frame(columns: Columns, kinds: Mapping[str, str]) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame({name: pd.Series(list(columns[name]), dtype=kind) for name, kind in kinds.items()})


def _dataset(frame: pd.DataFrame, definition: Any) -> Any:
    from evidently import Dataset

    return Dataset.from_pandas(frame, data_definition=definition)


def _performance_if_possible(case: Case, known: Columns, labelled: Labelled) -> tuple[Any | None, str | None]:
    """A run over the labelled rows, or why there is none."""
    if not labelled.labels:
        return None, None
    if len(labelled.labels) < FEWEST_LABELLED_ROWS:
        return None, f"Performance is left out: fewer than {FEWEST_LABELLED_ROWS} rows have a label"
    if case.is_binary and len(set(labelled.labels)) == 1:
        return None, "Performance is left out: all labels are of one class"
    try:
        return _run_performance(case, known, labelled), None
    except Exception as error:  # whatever a library raises here must not cost the columns
        log.warning("quality_not_reported", error=type(error).__name__)
        return None, "Performance is left out: Evidently can't draw it for these labels"


def _run_performance(case: Case, known: Columns, labelled: Labelled) -> Any:
    """Evidently's quality preset over the labelled rows and those whose labels were known at training."""
    import pandas as pd
    from evidently import BinaryClassification, DataDefinition, Regression
    from evidently import Report as EvidentlyReport
    from evidently.presets import ClassificationPreset, RegressionPreset

    target = case.target.name
    window = pd.DataFrame({target: labelled.labels, "prediction": labelled.predictions, "score": labelled.scores})
    reference = pd.DataFrame({name: list(known[name]) for name in (target, "prediction", "score")})
    if case.is_binary:
        task = BinaryClassification(
            target=target, prediction_labels="prediction", prediction_probas="score", pos_label=case.target.positive
        )
        preset, definition = ClassificationPreset(), DataDefinition(classification=[task])
    else:
        preset = RegressionPreset()
        definition = DataDefinition(regression=[Regression(target=target, prediction="score")])
    return EvidentlyReport([preset]).run(_dataset(window, definition), _dataset(reference, definition))
