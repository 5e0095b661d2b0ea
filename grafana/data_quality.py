"""The dashboard of data quality: missing, unseen, out-of-range and rejected values."""

from __future__ import annotations

from grafana_foundation_sdk.models.dashboard import Dashboard

from grafana.frame import make_dashboard
from grafana.panels import (
    GREEN,
    NUMBER,
    ORANGE,
    RED,
    ROWS,
    SECONDS,
    SHARE,
    YELLOW,
    Panel,
    cells,
    lines,
    number,
    states,
)
from grafana.queries import Query, either, increase, limit, numbered, of_case, or_zero

MISSING, USUAL = of_case("monitoring_column_missing_ratio"), of_case("monitoring_column_reference_missing_ratio")
MORE_MISSING = f"({MISSING} - {USUAL})"
STATES = {0: ("ok", GREEN), 1: ("insufficient", YELLOW), 2: ("invalid", RED)}
FAULTS = {
    0: ("fine", GREEN),
    1: ("missing", YELLOW),
    2: ("out_of_range", ORANGE),
    3: ("unseen", "purple"),
    4: ("rejected", RED),
}


def _columns() -> list[Panel]:
    faults = {name: value for value, (name, _) in FAULTS.items() if value}
    states_by_name = {name: value for value, (name, _) in STATES.items()}
    return [
        states(
            "Broken data",
            "Columns and what is wrong with them: too many values missing, never seen, out of range, or refused. Of "
            "several faults the gravest is shown.",
            Query(numbered("monitoring_column_condition", "condition", faults, by="column"), "{{column}}"),
            FAULTS,
            height=10,
        ),
        states(
            "Can columns be measured?",
            "insufficient: too few values for a verdict; invalid: values that can't be compared.",
            Query(numbered("monitoring_column_state", "state", states_by_name, by="column"), "{{column}}"),
            STATES,
            height=10,
        ),
        cells(
            "Missing values as a share of what is allowed",
            "Share of rows without a value above that of the reference, divided by the limit: broken at 100 %.",
            SHARE,
            Query(f"clamp_min({MORE_MISSING}, 0) / scalar(max({limit('missing_increase').expr}))", "{{column}}"),
            steps=[(0.5, YELLOW), (1, RED)],
        ),
    ]


def _values() -> list[Panel]:
    return [
        lines(
            "Missing, above the reference",
            "Share of rows without a value, minus that of the reference.",
            SHARE,
            Query(MORE_MISSING, "{{column}}"),
            limit("missing_increase"),
        ),
        lines(
            "Never seen",
            "Share of rows with a category that nobody expects.",
            SHARE,
            Query(of_case("monitoring_column_unseen_ratio"), "{{column}}"),
            limit("unseen"),
            whole=True,
        ),
        lines(
            "Out of range",
            "Share of rows with a number outside the expected range.",
            SHARE,
            Query(of_case("monitoring_column_out_of_range_ratio"), "{{column}}"),
            limit("out_of_range"),
            whole=True,
        ),
    ]


def _refused() -> list[Panel]:
    return [
        lines(
            "Refused",
            "Share of the records that came that were refused for this column.",
            SHARE,
            Query(of_case("monitoring_column_rejected_ratio"), "{{column}}"),
            limit("rejected"),
            whole=True,
        ),
        lines(
            "Faults in refused records",
            "The ten most frequent pairs of column and reason, at the prediction service.",
            NUMBER,
            Query(
                f"topk(10, {increase('prediction_rejected_faults_total', by='column, reason')})",
                "{{column}}: {{reason}}",
            ),
            whole=True,
        ),
        lines(
            "Records refused",
            "By the prediction service, and as monitoring counts them.",
            NUMBER,
            Query(increase("prediction_rejected_records_total"), "prediction service"),
            Query(increase("monitoring_rejected_records_total"), "monitoring"),
            whole=True,
        ),
    ]


def _window() -> list[Panel]:
    newest, oldest = (
        of_case("monitoring_window_edge_timestamp_seconds", f'edge="{edge}"') for edge in ("newest", "oldest")
    )
    return [
        number("Rows in the window", "What the newest check can see.", ROWS, Query(of_case("monitoring_window_rows"))),
        number(
            "Span of the window",
            "Time from its oldest row to its newest.",
            SECONDS,
            Query(f"{newest} - ignoring (edge) {oldest}"),
        ),
        number(
            "Labels that wait",
            "Labels whose prediction may still come.",
            NUMBER,
            Query(of_case("monitoring_waiting_labels")),
        ),
    ]


def _exceptions() -> list[Panel]:
    return [
        number(
            "Labels without prediction",
            "Labels whose prediction did not come in time.",
            NUMBER,
            Query(increase("monitoring_unmatched_labels_total", over="$__range")),
            red_from=1,
        ),
        number(
            "Conflicts",
            "Predictions for a known record that say something else.",
            NUMBER,
            Query(increase("monitoring_conflicting_predictions_total", over="$__range")),
            red_from=1,
        ),
        number(
            "Erased",
            "Records that were erased because somebody asked for it.",
            NUMBER,
            Query(increase("monitoring_erasures_total", over="$__range")),
        ),
    ]


def _refused_events() -> list[Panel]:
    unreadable = either(
        increase("monitoring_dead_letters_total", by="job, reason"),
        increase("prediction_worker_dead_letters_total", by="job, reason"),
    )
    return [
        lines(
            "Events that are refused",
            "Lines that monitoring will never take, by reason.",
            NUMBER,
            Query(increase("monitoring_refused_events_total", by="reason"), "{{reason}}"),
            whole=True,
        ),
        lines(
            "Dead letters",
            "Messages that could not be read or taken, by reader and reason.",
            NUMBER,
            Query(unreadable, "{{job}}: {{reason}}"),
            whole=True,
        ),
    ]


def _repeated() -> list[Panel]:
    return [
        lines(
            "Known already",
            "Events and records that came again with the same content: harmless, and counted once.",
            NUMBER,
            Query(increase("monitoring_duplicate_events_total"), "events at monitoring"),
            Query(increase("prediction_repeated_total"), "records at the prediction service"),
            Query(increase("prediction_conflicts_total"), "records with other content"),
            whole=True,
        ),
        lines(
            "Conflicts at sinks",
            "Predictions for an id that a sink knew with other content.",
            NUMBER,
            Query(or_zero(increase("prediction_sink_conflicts_total", by="sink")), "{{sink}}"),
            whole=True,
        ),
    ]


def data_quality() -> Dashboard:
    sections = {
        "Columns over time": _columns(),
        "Shares and their limits": [*_values(), *_refused()],
        "Events": [*_window(), *_exceptions(), *_refused_events(), *_repeated()],
    }
    text = "Whether what comes is what should come: missing, never seen, out of range, refused."
    return make_dashboard("streamgauge-data-quality", "Data quality", text, sections)
