"""Panels of delivery: journal, sinks, Kafka."""

from __future__ import annotations

from grafana.panels import BYTES, NUMBER, PER_SECOND, ROWS, SECONDS, Panel, lines
from grafana.queries import Query, either, increase, of_case, or_zero, rate


def waiting_rows() -> list[Panel]:
    """Lag of sinks, worker and monitoring."""
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
    ]


def journal() -> list[Panel]:
    """The journal, and rows that no sink would take."""
    return [
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
    ]


def messages() -> list[Panel]:
    """Without a worker, or where monitoring is told over HTTP, nothing was taken from Kafka: a true zero."""
    worker = "prediction_worker"
    standstill = either(of_case(f"{worker}_standstill_seconds"), of_case("monitoring_standstill_seconds"))
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
            "Standstill",
            "How long a partition has not moved on though messages wait, or nobody could look; an alert above 10 s.",
            SECONDS,
            Query(or_zero(standstill), "{{job}} {{topic}}"),
            whole=True,
        ),
    ]


def work() -> list[Panel]:
    """Metrics of the worker; 0 where there is none."""
    worker = "prediction_worker"
    step_seconds = rate(f"{worker}_step_duration_seconds_sum", by="step")
    steps = rate(f"{worker}_step_duration_seconds_count", by="step")
    return [
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
