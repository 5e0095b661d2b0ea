"""The dashboard of data drift: which columns differ from the reference, since when, by how much."""

from __future__ import annotations

from grafana_foundation_sdk.models.dashboard import Dashboard

from grafana.frame import make_dashboard
from grafana.panels import NUMBER, RED, SHARE, YELLOW, Panel, bars, cells, lines, number, rows, states
from grafana.queries import Query, increase, limit, of_case

#: A p-value of 0 has no place on a logarithmic axis.
SMALLEST_P_VALUE = 1e-12
OF_LIMIT = f"{of_case('monitoring_column_drift_effect_ratio')} / {of_case('monitoring_column_minimum_effect_ratio')}"


def _columns() -> list[Panel]:
    return [
        cells(
            "Effect as a share of its limit",
            "Each column's effect, divided by the smallest that counts for it: at 100 % and more it drifts, once it is "
            "significant in several checks in a row.",
            SHARE,
            Query(OF_LIMIT, "{{column}}"),
            steps=[(0.5, YELLOW), (1, RED)],
        ),
        states(
            "Drift verdicts",
            "From the check that confirms a drift to the one that ends it.",
            Query(of_case("monitoring_column_condition", 'condition="drift"'), "{{column}}"),
            {0: ("no drift", "green"), 1: ("drift", RED)},
            height=10,
        ),
    ]


def _now() -> list[Panel]:
    p_values = of_case("monitoring_column_drift_p_value_ratio")
    table = {"Value #A": "effect", "Value #B": "limit", "Value #C": "p-value", "Value #D": "Evidently's score"}
    return [
        bars(
            "Effect now",
            "How far each column's rows moved, as a share of its limit, worst column first.",
            SHARE,
            Query(f"sort_desc({OF_LIMIT})", "{{column}}"),
            steps=[(0.5, YELLOW), (1, RED)],
        ),
        rows(
            "Columns now",
            "What the newest check measured.",
            NUMBER,
            Query(of_case("monitoring_column_drift_effect_ratio")),
            Query(of_case("monitoring_column_minimum_effect_ratio")),
            Query(p_values),
            Query(of_case("monitoring_column_drift_score")),
            by="column",
            names=table,
            width=12,
        ),
    ]


def _charts() -> list[Panel]:
    p_values = of_case("monitoring_column_drift_p_value_ratio")
    return [
        lines(
            "Effect",
            "Share of rows that moved between reference and window: largest difference of the distributions.",
            SHARE,
            Query(of_case("monitoring_column_drift_effect_ratio"), "{{column}}"),
            limit("minimum_effect"),
            whole=True,
        ),
        lines(
            "p-value",
            "Two-sample test, adjusted for the number of columns. Below the limit chance alone is no explanation.",
            SHARE,
            Query(f"clamp_min({p_values}, {SMALLEST_P_VALUE:g})", "{{column}}"),
            limit("significance"),
            log=True,
        ),
        lines(
            "Evidently's score",
            "The score that Evidently's reports show. The verdict does not follow from it.",
            NUMBER,
            Query(of_case("monitoring_column_drift_score"), "{{column}}"),
            whole=True,
        ),
        lines(
            "Stream detectors",
            "Checks in which a column's stream detector alarmed; `score` is the model's score.",
            NUMBER,
            Query(increase("monitoring_detector_alarms_total", by="column"), "{{column}}"),
            whole=True,
        ),
    ]


def _episodes() -> list[Panel]:
    return [
        number(
            "Episodes of columns",
            "Drift verdicts of columns that began in the chosen time.",
            NUMBER,
            Query(increase("monitoring_drift_episodes_total", 'family="column"', over="$__range")),
            width=6,
        ),
        number(
            "Episodes of predictions",
            "Drift verdicts of the predictions that began in the chosen time.",
            NUMBER,
            Query(increase("monitoring_drift_episodes_total", 'family="prediction"', over="$__range")),
            width=6,
        ),
        number(
            "Columns that drift now",
            "Share of the watched columns that have a drift verdict.",
            SHARE,
            Query(of_case("monitoring_drifted_columns_ratio")),
            width=6,
        ),
        number(
            "Rows in the window",
            "What the newest check can see.",
            NUMBER,
            Query(of_case("monitoring_window_rows")),
            width=6,
        ),
    ]


def data_drift() -> Dashboard:
    sections = {"Columns over time": _columns(), "Episodes": _episodes(), "Measures": [*_now(), *_charts()]}
    text = "Which columns differ from the reference, since when, by how much, and how sure that is."
    return make_dashboard("streamgauge-data-drift", "Data drift", text, sections)
