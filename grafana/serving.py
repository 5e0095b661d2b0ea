"""Whether records are answered, kept and passed on, and whether monitoring keeps up."""

from __future__ import annotations

from grafana_foundation_sdk.models.dashboard import Dashboard

from grafana.frame import make_dashboard
from grafana.panels import (
    BYTES,
    NUMBER,
    PER_SECOND,
    RECORDS_PER_SECOND,
    REQUESTS_PER_SECOND,
    ROWS,
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
    either,
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


def _answers() -> list[Panel]:
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


def _delivery() -> list[Panel]:
    waiting = either(
        of_case("prediction_sink_lag_rows"),
        of_case("prediction_worker_lag_records"),
        of_case("monitoring_lag_records"),
        of_case("monitoring_backlog_rows"),
    )
    ages = either(
        of_case("prediction_sink_lag_seconds"),
        of_case("prediction_worker_lag_seconds"),
        of_case("monitoring_lag_seconds"),
    )
    return [
        lines(
            "What waits",
            "Journal rows a sink does not have yet, messages in Kafka not taken yet, and rows whose check is due.",
            ROWS,
            Query(waiting, "{{job}} {{sink}}{{topic}}"),
            whole=True,
        ),
        lines(
            "Age of the oldest that waits",
            "The same as a time: how far a sink, the worker or monitoring is behind.",
            SECONDS,
            Query(ages, "{{job}} {{sink}}{{topic}}"),
            whole=True,
        ),
        lines(
            "Journal",
            "What the journal holds and where 503 begins. It is emptied as sinks take it.",
            BYTES,
            Query(of_case("prediction_journal_bytes"), "{{instance}}"),
            Query(of_case("prediction_journal_max_bytes"), "limit", is_limit=True),
            whole=True,
        ),
        lines(
            "Journal entries",
            "Entries written: predictions, labels and refused records.",
            PER_SECOND,
            Query(rate("prediction_journal_last_seq_total"), "entries"),
            whole=True,
        ),
        lines(
            "Parked rows",
            "Rows that a sink refused for good; `prediction-service` lists them, and they can be sent again.",
            ROWS,
            Query(of_case("prediction_sink_parked_rows"), "{{sink}}"),
            whole=True,
        ),
        states(
            "Model can't be had",
            "The registry's champion can't be fetched or loaded: an older one answers.",
            Query(of_case("prediction_model_reload_failed"), "{{step}}"),
            width=12,
        ),
    ]


def _kafka() -> list[Panel]:
    """Every query is 0 where there is no worker: then nothing was taken from Kafka."""
    worker = "prediction_worker"
    step_seconds = rate(f"{worker}_step_duration_seconds_sum", by="step")
    steps = rate(f"{worker}_step_duration_seconds_count", by="step")
    return [
        lines(
            "Messages taken by the worker",
            "By topic; 0 without a worker.",
            PER_SECOND,
            Query(or_zero(rate(f"{worker}_messages_total", by="topic")), "{{topic}}"),
            whole=True,
        ),
        lines(
            "Messages read by monitoring",
            "By kind of topic; 0 where monitoring is told over HTTP.",
            PER_SECOND,
            Query(or_zero(rate("monitoring_read_messages_total", by="topic")), "{{topic}}"),
            whole=True,
        ),
        lines(
            "Time of a batch",
            "Mean time that a batch spends with the sinks and with Kafka.",
            SECONDS,
            Query(or_zero(f"{step_seconds} / {steps}"), "{{step}}"),
            whole=True,
        ),
        lines(
            "Partitions and retries",
            "Partitions that are the worker's, changes of them, and steps that were tried again.",
            NUMBER,
            Query(or_zero(f"sum({of_case(f'{worker}_partitions')})"), "partitions"),
            Query(or_zero(increase(f"{worker}_rebalances_total", by="kind")), "{{kind}}"),
            Query(or_zero(increase(f"{worker}_retries_total", by="step")), "retries {{step}}"),
            Query(increase("monitoring_read_errors_total"), "monitoring: failed reads"),
            whole=True,
        ),
    ]


def _monitoring() -> list[Panel]:
    firing = of_case("monitoring_alerts", 'state="firing"')
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


def _doors() -> list[Panel]:
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
            "Upkeep of the journal and the model, by task, and bundles that were refused.",
            NUMBER,
            Query(background, "{{task}}"),
            Query(increase("prediction_model_load_failures_total"), "bundles refused"),
            whole=True,
        ),
    ]


def serving() -> Dashboard:
    sections = {
        "Answers": _answers(),
        "Journal and sinks": _delivery(),
        "Kafka": _kafka(),
        "Monitoring": _monitoring(),
        "Doors and background": _doors(),
    }
    text = "Whether records are answered, kept and passed on, and whether monitoring keeps up."
    return make_dashboard("streamgauge-serving", "Serving and sinks", text, sections)
