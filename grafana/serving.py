"""The dashboard of serving: requests, journal, sinks, Kafka and monitoring."""

from __future__ import annotations

from grafana_foundation_sdk.models.dashboard import Dashboard

from grafana import delivery
from grafana.frame import make_dashboard
from grafana.panels import (
    NUMBER,
    RECORDS_PER_SECOND,
    REQUESTS_PER_SECOND,
    SECONDS,
    SHARE,
    Panel,
    lines,
    number,
    spread,
    states,
)
from grafana.queries import (
    Query,
    increase,
    limit_in_seconds,
    of_case,
    or_zero,
    quantile,
    rate,
    seconds_since,
)

REQUEST_SECONDS = "prediction_request_duration_seconds"
RECORDED = "case:prediction_request"


def _requests() -> list[Panel]:
    requests = "prediction_requests_total"
    return [
        lines(
            "Requests",
            "Requests that were answered, by endpoint and status.",
            REQUESTS_PER_SECOND,
            Query(rate(requests, by="endpoint, status"), "{{endpoint}} {{status}}"),
            whole=True,
        ),
        lines(
            "Failures",
            "Share of requests of five minutes that failed, or were refused because there were too many.",
            SHARE,
            Query(f"{of_case(f'{RECORDED}_failures:rate5m')} / {of_case(f'{RECORDED}s:rate5m')}", "failed"),
            whole=True,
        ),
    ]


def _latency() -> list[Panel]:
    return [
        lines(
            "Time to an answer, by share",
            "Half, 95 and 99 of 100 requests for a prediction are answered within this time.",
            SECONDS,
            *(
                Query(quantile(share, REQUEST_SECONDS, 'endpoint=~"predict.*"'), legend)
                for share, legend in ((0.5, "half"), (0.95, "95 of 100"), (0.99, "99 of 100"))
            ),
        ),
        spread(
            "Times to an answer",
            "How many requests for a prediction took how long.",
            SECONDS,
            Query(increase(f"{REQUEST_SECONDS}_bucket", 'endpoint=~"predict.*"', by="le")),
        ),
    ]


def _records() -> list[Panel]:
    return [
        lines(
            "Records predicted",
            "Over HTTP and through Kafka, and labels accepted.",
            RECORDS_PER_SECOND,
            Query(rate("prediction_answered_total", by="job"), "{{job}}: predictions"),
            Query(rate("prediction_labels_total", by="job"), "{{job}}: labels"),
            whole=True,
        ),
        lines(
            "Requests in flight",
            "Requests being worked on, and those refused because there were too many.",
            NUMBER,
            Query(of_case("prediction_requests_in_flight"), "in flight"),
            Query(increase("prediction_requests_shed_total"), "refused"),
            whole=True,
        ),
    ]


def _model() -> list[Panel]:
    return [
        states(
            "Model can't be had",
            "The registry's champion can't be fetched or loaded: an older one answers.",
            Query(of_case("prediction_model_reload_failed"), "{{step}}"),
            width=12,
        ),
    ]


def _checks() -> list[Panel]:
    answered = of_case("monitoring_last_check_timestamp_seconds", 'outcome="answered"')
    return [
        lines(
            "Time of a check",
            "From a window that is due to its measures: half and 95 of 100.",
            SECONDS,
            Query(quantile(0.5, "monitoring_evaluation_seconds"), "half"),
            Query(quantile(0.95, "monitoring_evaluation_seconds"), "95 of 100"),
            whole=True,
        ),
        lines(
            "Since the last check, against the limit",
            "Time since a window was last measured; while records come and none is, monitoring is stale.",
            SECONDS,
            Query(seconds_since(answered), "since the last check"),
            limit_in_seconds("stale"),
            whole=True,
        ),
        lines(
            "Failures of checks",
            "Checks without an answer, and times the evaluator died, refused or took too long.",
            NUMBER,
            Query(increase("monitoring_failed_checks_total"), "checks"),
            Query(increase("monitoring_evaluator_failures_total"), "evaluator"),
            whole=True,
        ),
    ]


def _reports() -> list[Panel]:
    return [
        lines(
            "Reports",
            "Evidently reports that were made or failed.",
            NUMBER,
            Query(increase("monitoring_reports_total", by="outcome"), "{{outcome}}"),
            whole=True,
        ),
        number(
            "Since the last report",
            "Time since an Evidently report was last made.",
            SECONDS,
            Query(seconds_since(of_case("monitoring_last_report_timestamp_seconds"))),
            width=6,
        ),
    ]


def _own_alerts() -> list[Panel]:
    firing = of_case("monitoring_alerts", 'state="firing"')
    return [
        number(
            "Alerts by the monitor itself",
            "Alerts that fire in monitoring's own notifier, which needs no Prometheus.",
            NUMBER,
            Query(f"sum({firing})"),
            red_from=1,
            width=6,
        ),
        lines(
            "Notifications by the monitor itself",
            "Webhook calls that were taken or failed.",
            NUMBER,
            Query(increase("monitoring_notifications_total", by="outcome"), "{{outcome}}"),
            whole=True,
        ),
    ]


def _access() -> list[Panel]:
    background = or_zero(increase("prediction_background_failures_total", by="task"))
    return [
        lines(
            "Without a good key",
            "Requests that were refused because they showed no good API key.",
            NUMBER,
            Query(increase("prediction_unauthorized_total"), "prediction service"),
            Query(increase("monitoring_unauthorized_total"), "monitoring"),
            whole=True,
        ),
        lines(
            "Background work that failed",
            "Maintenance of the journal and the model, by task, and bundles that were refused.",
            NUMBER,
            Query(background, "{{task}}"),
            Query(increase("prediction_model_load_failures_total"), "bundles refused"),
            whole=True,
        ),
    ]


def serving() -> Dashboard:
    sections = {
        "Answers": [*_requests(), *_latency(), *_records()],
        "Journal and sinks": [*delivery.waiting_rows(), *delivery.journal(), *_model()],
        "Kafka": [*delivery.messages(), *delivery.work()],
        "Monitoring": [*_checks(), *_reports(), *_own_alerts()],
        "Access and background tasks": _access(),
    }
    text = "Whether records are answered, kept and passed on, and whether monitoring keeps up."
    return make_dashboard("streamgauge-serving", "Serving and sinks", text, sections)
