"""What ``/api/state`` says of columns, performance, delays, alerts, reference and reports."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from monitoring_bench import Bench
from monitoring_world import START, body_of, install_bundle, predictions

from event_backbone.events.schema import Event, FaultCount, Rejections
from monitoring_service.messages import ColumnMeasure, MetricValue, Performance
from monitoring_service.state.monitor_state import with_performance
from monitoring_service.views.performance_document import label_delay_state, performance_document
from monitoring_service.windows.label_delay import BUCKETS_S, LabelDelays

CALM = ColumnMeasure("labels", "ok", effect=0.01, p_value=0.4)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    bench.close()


def post(bench: Bench, *events: Event) -> None:
    assert bench.client.post("/events", data=body_of(events)).status_code == 200


def state(bench: Bench) -> Any:
    return bench.client.get("/api/state").get_json()


def checked(bench: Bench, *, drifting: bool = False) -> Any:
    bench.measurer.drifting = drifting
    post(bench, *predictions(70))
    bench.run_all()
    return state(bench)


def test_a_column_names_what_holds_for_it_and_what_made_its_verdict(bench: Bench) -> None:
    price = checked(bench, drifting=True)["columns"][0]
    assert price["conditions"] == ["drift"]
    assert (price["drifted"], price["cause"], price["alarm"]) == (True, "window", False)
    assert {"out_of_range_share", "reference_missing_share"} <= set(price)


def test_a_condition_comes_with_its_value_and_limit(bench: Bench) -> None:
    found = checked(bench, drifting=True)["conditions"]
    drift = next(one for one in found if (one["name"], one["column"]) == ("drift", "price"))
    assert (drift["active"], drift["value"], drift["threshold"]) == (True, 0.5, 0.005)
    calm = next(one for one in found if one["name"] == "concept_drift")
    assert (calm["active"], calm["since"], calm["column"]) == (False, None, None)


def test_an_episode_tells_its_cause(bench: Bench) -> None:
    assert {one["cause"] for one in checked(bench, drifting=True)["episodes"]} == {"window"}


def test_refused_records_are_told_by_column(bench: Bench) -> None:
    post(bench, *predictions(30), Rejections("x", "shop", START, START, 10, [FaultCount("price", "range", 10)]))
    by_name = {one["name"]: one["rejected_share"] for one in state(bench)["columns"]}
    assert by_name == {"price": 0.25, "items": 0.0, "payment": 0.0}


def test_performance_is_told_with_intervals_estimates_and_the_gap(bench: Bench) -> None:
    checked(bench)
    metric_value = MetricValue(0.8, 0.75, 0.85)
    performance = Performance(100, 40, 0.4, {"accuracy": metric_value}, {"accuracy": MetricValue(0.84)}, target=CALM)
    told = performance_document(with_performance(bench.results.read().state, performance).check_result)
    assert told is not None
    assert told["figures"] == {"accuracy": {"value": 0.8, "low": 0.75, "high": 0.85}}
    assert told["estimated"] == {"accuracy": {"value": 0.84, "low": None, "high": None}}
    assert (told["rows"], told["labelled_rows"], told["labelled_share"]) == (100, 40, 0.4)
    assert (told["gap"], told["segments"], told["model"]["version"]) == ({}, [], "1")
    assert told["target"]["effect"] == 0.01
    assert "type" not in told


def test_label_delays_are_cumulative_and_the_last_bucket_is_open() -> None:
    counts = [0] * (len(BUCKETS_S) + 1)
    counts[1], counts[2], counts[-1] = 50, 40, 10
    told = label_delay_state(LabelDelays(tuple(counts)))
    assert told["count"] == 100
    assert told["buckets"][:3] == [(1, 0), (10, 50), (60, 90)]
    assert told["buckets"][-1] == (None, 100)
    assert (told["p50_s"], told["p90_s"]) == (10, 60)


def test_before_the_first_label_no_delay_is_known(bench: Bench) -> None:
    told = state(bench)["label_delay"]
    assert (told["count"], told["p50_s"], told["p90_s"]) == (0, None, None)


def test_the_arrival_delay_is_from_the_prediction_to_here_and_never_below_zero(bench: Bench) -> None:
    assert state(bench)["arrival_delay"] is None
    made = predictions(20)
    started = 1_767_225_600.0  # START
    bench.clock.now = started + 2.5
    post(bench, *made)
    assert state(bench)["arrival_delay"] == {"rows": 20, "p50_s": 2.5, "p95_s": 2.5}
    bench.clock.now = started - 60
    post(bench, *predictions(300, first=20))
    assert state(bench)["arrival_delay"] == {"rows": 100, "p50_s": 0.0, "p95_s": 0.0}


def test_reports_are_listed_newest_first(bench: Bench) -> None:
    bench.reports.add(100, "schedule", "<p>old</p>")
    bench.reports.add(200, "demand", "<p>new</p>")
    assert [(one["row"], one["kind"]) for one in state(bench)["reports"]] == [(200, "demand"), (100, "schedule")]


def test_the_reference_in_force_is_told(bench: Bench, tmp_path: Path) -> None:
    assert state(bench)["reference"] is None
    bundle_sha256 = install_bundle(tmp_path / "bundles", bench.case)
    post(bench, *predictions(60, bundle_sha256=bundle_sha256))
    found = state(bench)["reference"]
    assert (found["kind"], found["rows"], found["can_revert"]) == ("bundle", 1000, False)
    bench.client.post("/api/reference/accept", json={"by": "Ada", "note": "a new law"})
    found = state(bench)["reference"]
    assert (found["kind"], found["rows"], found["by"], found["can_revert"]) == ("accepted", 60, "Ada", True)


def test_a_distribution_has_the_reference_in_force_beside_the_window(bench: Bench, tmp_path: Path) -> None:
    path = "/api/columns/payment/distribution"
    assert bench.client.get(path).get_json() == {"kind": "categories", "bins": []}
    bundle_sha256 = install_bundle(tmp_path / "bundles", bench.case)
    post(bench, *predictions(60, bundle_sha256=bundle_sha256))
    before = bench.client.get(path).get_json()
    assert sum(one["window"] for one in before["bins"]) == pytest.approx(1)
    assert sum(one["reference"] for one in before["bins"]) == pytest.approx(1)
    bench.client.post("/api/reference/accept", json={"by": "Ada"})
    after = bench.client.get(path).get_json()
    assert all(one["reference"] == one["window"] for one in after["bins"])


def test_a_column_that_the_case_has_not_has_no_distribution(bench: Bench) -> None:
    reply = bench.client.get("/api/columns/wealth/distribution")
    assert reply.status_code == 404
    assert reply.content_type == "application/problem+json"
