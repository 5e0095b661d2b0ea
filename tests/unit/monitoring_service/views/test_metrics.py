"""What Prometheus gets."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from monitoring_bench import Bench
from monitoring_world import START, label, predictions
from prometheus_client.parser import text_string_to_metric_families

from event_backbone.events.schema import Event, FaultCount, Rejections
from monitoring_service.state.conditions import PRESENT_CONDITIONS

Series = dict[tuple[str, frozenset[str]], float]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    bench.close()


def scrape(bench: Bench) -> Series:
    """Values by name and labels, without the case, which every series has."""
    text = bench.client.get("/metrics").get_data(as_text=True)
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    assert {sample.labels.pop("case") for sample in samples} == {"shop"}
    return {(sample.name, frozenset(sample.labels.values())): sample.value for sample in samples}


def value(bench: Bench, name: str, *labels: str) -> float | None:
    return scrape(bench).get((name, frozenset(labels)))


def send(bench: Bench, *events: Event) -> None:
    from monitoring_world import body_of

    assert bench.client.post("/events", data=body_of(events)).status_code == 200


def test_before_the_first_record_there_is_no_value_that_would_be_a_false_zero(bench: Bench) -> None:
    names = {name for name, _ in scrape(bench)}
    unknown = (
        "score",
        "effect_ratio",
        "p_value_ratio",
        "missing_ratio",
        "performance",
        "timestamp_seconds",
        "drifted_columns_ratio",
        "column_condition",
    )
    known = "monitoring_column_minimum_effect_ratio"
    assert not [name for name in names if name != known and name.endswith(unknown)]
    assert {label for name, labels in scrape(bench) if name == "monitoring_condition" for label in labels} == set(
        PRESENT_CONDITIONS
    ), "what follows from checks is not known yet"


def test_series_whose_zero_is_true_are_there_from_the_start(bench: Bench) -> None:
    assert value(bench, "monitoring_predictions_total") == 0
    assert value(bench, "monitoring_detector_alarms_total", "score") == 0
    assert value(bench, "monitoring_drift_episodes_total", "column") == 0
    assert value(bench, "monitoring_condition", "stale") == 0
    assert value(bench, "monitoring_refused_events_total", "malformed") == 0
    assert value(bench, "monitoring_reports_total", "failed") == 0


def test_a_check_sets_the_values_of_every_column(bench: Bench) -> None:
    bench.measurer.drifting = True
    send(bench, *predictions(75), Rejections("x", "shop", START, START, 25, [FaultCount("price", "range", 25)]))
    bench.run_all()
    assert value(bench, "monitoring_column_drift_effect_ratio", "price") == 0.5
    assert value(bench, "monitoring_column_drift_p_value_ratio", "price") == pytest.approx(4e-9)
    assert value(bench, "monitoring_column_state", "price", "ok") == 1
    assert value(bench, "monitoring_column_rejected_ratio", "price") == 0.25
    assert value(bench, "monitoring_drifted_columns_ratio") == 1
    assert value(bench, "monitoring_window_rows") == 75
    assert value(bench, "monitoring_evaluation_seconds_count") == 3
    assert value(bench, "monitoring_model_info", "streamgauge-shop", "1") == 1
    assert value(bench, "monitoring_window_edge_timestamp_seconds", "oldest") == 1767225600


def test_an_unknown_value_has_no_series_rather_than_a_zero(bench: Bench) -> None:
    bench.evaluator.starting = True
    bench.receive(50)
    bench.run_all()
    assert value(bench, "monitoring_column_drift_score", "price") is None
    assert value(bench, "monitoring_performance", "auc", "1") is None


def test_nothing_falls_to_zero_over_a_restart(bench: Bench, tmp_path: Path) -> None:
    bench.measurer.drifting = True
    send(bench, *predictions(75), *predictions(3), label("r1"))
    bench.run_all()
    before = scrape(bench)
    bench.close()
    again = Bench(tmp_path)
    after = scrape(again)
    again.close()
    of_this_process = (
        "monitoring_evaluation_seconds",
        "monitoring_reports",
        "monitoring_evaluator_failures",
        "monitoring_drift_episodes",
        "monitoring_detector_alarms",
    )
    kept = {key: value for key, value in before.items() if not key[0].startswith(of_this_process)}
    assert {key: after.get(key) for key in kept} == kept
    assert after["monitoring_predictions_total", frozenset()] == 75
    assert after["monitoring_duplicate_events_total", frozenset()] == 3


def test_counters_only_rise_over_several_scrapes(bench: Bench) -> None:
    bench.receive(10)
    assert [value(bench, "monitoring_predictions_total") for _ in range(3)] == [10, 10, 10]
    bench.receive(5, first=10)
    assert value(bench, "monitoring_predictions_total") == 15


def test_every_name_has_the_prefix_of_the_service_and_every_counter_ends_in_total(bench: Bench) -> None:
    bench.receive(50)
    bench.run_all()
    text = bench.client.get("/metrics").get_data(as_text=True)
    for family in text_string_to_metric_families(text):
        assert family.name.startswith("monitoring_")
        assert family.documentation.endswith(".")
        if family.type == "counter":
            assert all(sample.name.endswith("_total") for sample in family.samples)


def test_a_replaced_evaluators_reports_are_added(bench: Bench) -> None:
    from monitoring_service.messages import ReportState

    for reports in (ReportState(made=3), ReportState(made=1)):
        bench.results.publish_reports(reports)
        scrape(bench)
    assert value(bench, "monitoring_reports_total", "made") == 4


def test_the_limits_of_the_case_are_shown(bench: Bench) -> None:
    limits = bench.case.monitoring
    assert value(bench, "monitoring_threshold_ratio", "significance") == limits.significance
    assert value(bench, "monitoring_threshold_ratio", "unseen") == limits.data.unseen
    assert value(bench, "monitoring_threshold_ratio", "gap") == limits.quality.gap
    assert value(bench, "monitoring_threshold_seconds", "label_delay") == limits.quality.label_delay_s
    assert value(bench, "monitoring_threshold_seconds", "stale") == 15
