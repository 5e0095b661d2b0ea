"""The overview dashboard: alerts, conditions, performance and traffic, with links to the others."""

from __future__ import annotations

from grafana_foundation_sdk.models.dashboard import Dashboard

from grafana.frame import make_dashboard
from grafana.panels import (
    NUMBER,
    RECORDS_PER_SECOND,
    ROWS,
    SECONDS,
    SHARE,
    Panel,
    lines,
    number,
    rows,
    states,
)
from grafana.queries import Query, either, of_case, of_version, or_zero, quantile, rate, seconds_since

PRIMARY_METRIC = 'figure=~"accuracy|mae"'


def _holding() -> list[Panel]:
    drifting = of_case("monitoring_column_condition", 'condition="drift"')
    broken = of_case("monitoring_column_condition", 'condition!="drift"')
    return [
        number(
            "Firing alerts",
            "Prometheus' alerts of this case that fire, and those that know no case, such as a service that is down.",
            NUMBER,
            Query(or_zero('count(ALERTS{alertstate="firing", case=~"$case|"})')),
            red_from=1,
        ),
        number(
            "Columns that drift",
            "Columns with a drift verdict: significant, large enough, and several checks in a row.",
            NUMBER,
            Query(f"sum({drifting})"),
            red_from=1,
        ),
        number(
            "Columns with broken data",
            "Pairs of column and fault: too many values missing, never seen before, out of range, or refused.",
            NUMBER,
            Query(f"sum({broken})"),
            red_from=1,
        ),
    ]


def _pace() -> list[Panel]:
    checked = of_case("monitoring_last_check_timestamp_seconds", 'outcome="answered"')
    return [
        number(
            "Records",
            "Predictions that reach monitoring, each record counted once.",
            RECORDS_PER_SECOND,
            Query(rate("monitoring_predictions_total")),
        ),
        number(
            "Time to an answer",
            "95 of 100 requests for a prediction are answered within this time.",
            SECONDS,
            Query(quantile(0.95, "prediction_request_duration_seconds", 'endpoint=~"predict.*"')),
        ),
        number(
            "Since the last check",
            "Time since a window was last measured.",
            SECONDS,
            Query(seconds_since(f"max({checked})")),
        ),
    ]


def _conditions_and_performance() -> list[Panel]:
    realised, estimated, reference = (
        Query(of_version(metric, PRIMARY_METRIC), f"{what} {{{{figure}}}}, version {{{{version}}}}")
        for metric, what in (
            ("monitoring_performance", "realised"),
            ("monitoring_estimated_performance", "estimated"),
            ("monitoring_reference_performance", "reference"),
        )
    )
    return [
        states(
            "Conditions",
            "What holds when; each begins and ends only after several checks in a row say so.",
            Query(of_case("monitoring_condition"), "{{condition}}"),
            height=9,
        ),
        lines(
            "Performance",
            "Accuracy (classification) or mean absolute error (regression, in the target's unit): realised with "
            "labels, estimated without, and on the reference.",
            NUMBER,
            realised,
            estimated,
            reference,
        ),
        lines(
            "Columns that drift, as a share of all",
            "Share of the watched columns that have a drift verdict.",
            SHARE,
            Query(of_case("monitoring_drifted_columns_ratio"), "drifted"),
            whole=True,
        ),
    ]


def _traffic() -> list[Panel]:
    return [
        lines(
            "What comes in",
            "Predictions, labels and refused records that monitoring counts.",
            RECORDS_PER_SECOND,
            Query(rate("monitoring_predictions_total"), "predictions"),
            Query(rate("monitoring_labels_total"), "labels"),
            Query(rate("monitoring_rejected_records_total"), "refused records"),
            whole=True,
        ),
        lines(
            "The window",
            "Rows that the newest check can see; below the case's minimum there is no verdict.",
            ROWS,
            Query(of_case("monitoring_window_rows"), "rows"),
            whole=True,
        ),
    ]


def _alerts_and_versions() -> list[Panel]:
    alerts = 'sum by (alertname, severity, alertstate, column) (ALERTS{case=~"$case|"})'
    running = either(
        *(
            of_case(metric)
            for metric in (
                "monitoring_build_info",
                "monitoring_reference_info",
                "monitoring_model_info",
                "prediction_model_info",
            )
        )
    )
    return [
        rows(
            "Alerts",
            "Alerts that fire or are about to; the runbook says what to do.",
            NUMBER,
            Query(alerts),
            hidden=["Time", "Value"],
            width=12,
        ),
        rows(
            "What runs",
            "Versions of code, reference and models, as each process says it.",
            NUMBER,
            Query(running),
            hidden=["Time", "Value", "case"],
            names={"__name__": "what"},
            width=12,
        ),
    ]


def _cases_and_processes() -> list[Panel]:
    holding = "sum by (case) (monitoring_condition or monitoring_column_condition)"
    return [
        rows(
            "Every case",
            "Conditions that hold, for each case that is watched; choose one above.",
            NUMBER,
            Query(f"sort_desc({holding})"),
            hidden=["Time"],
            names={"Value": "conditions"},
            width=12,
        ),
        rows(
            "Processes",
            "1: the process works. 0: it stands by and takes over when the other one is gone.",
            NUMBER,
            Query(of_case("monitoring_active")),
            hidden=["Time", "__name__", "case"],
            names={"Value": "works"},
            width=12,
        ),
    ]


def overview() -> Dashboard:
    sections = {
        "Now": [*_holding(), *_pace()],
        "Over time": [*_conditions_and_performance(), *_traffic()],
        "Details": [*_alerts_and_versions(), *_cases_and_processes()],
    }
    return make_dashboard("streamgauge-overview", "Overview", "Is everything well, and where to look?", sections)
