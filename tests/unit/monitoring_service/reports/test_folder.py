"""Evidently's reports: what is drawn, when one is made, which are kept and who may read them."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from monitoring_bench import Bench
from monitoring_world import START, case_content, enveloped, made_case, made_class, made_reference
from msgspec.structs import replace

from event_backbone.case.files import case_from_dict
from event_backbone.events.schema import Erasure
from monitoring_service.checks.report_schedule import PAUSE_S
from monitoring_service.messages import Labelled, MakeReport, Window
from monitoring_service.reports.evidently_page import NothingToReportError, heading_of, render_report
from monitoring_service.reports.folder import ReportFolder
from monitoring_service.state.conditions import Condition

CASE = made_case()
KNOWN = made_reference()
WINDOW = {name: values for name, values in made_reference(200, seed=9).items() if name in CASE.column_names}


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    bench.close()


def made_labelled(rows: int, label: str | None = None) -> Labelled:
    rng = random.Random(5)
    scores = [rng.random() for _ in range(rows)]
    labels = [label or made_class(score + rng.gauss(0, 0.1)) for score in scores]
    return Labelled(scores, [made_class(score) for score in scores], list(labels))


# The page -------------------------------------------------------------------------------------------------------------


def test_a_report_is_one_page_about_the_columns_and_the_performance_where_labels_are() -> None:
    html = render_report(CASE, KNOWN, KNOWN, WINDOW, made_labelled(100), "200 rows until row 1,000")
    assert f"<title>{CASE.title} · Evidently report</title>" in html
    assert "overflow-x: auto" in html.partition("</head>")[0]
    assert "<html" in html
    assert "payment" in html
    assert "200 rows until row 1,000" in html
    assert "Confusion Matrix" in html
    assert "Left out" not in html
    assert "left out" not in html


@pytest.mark.parametrize(
    ("labelled", "why"),
    [
        (made_labelled(0), None),
        (made_labelled(29), "fewer than 30 rows have a label"),
        (made_labelled(100, "no"), "all labels are of one class"),
        (made_labelled(100, "yes"), "all labels are of one class"),
    ],
)
def test_performance_that_can_not_be_drawn_is_left_out_with_a_word_why(labelled: Labelled, why: str | None) -> None:
    html = render_report(CASE, KNOWN, KNOWN, WINDOW, labelled)
    assert "payment" in html
    assert "Confusion Matrix" not in html
    assert why is None or why in html


BAD: dict[str, dict[str, list[Any]]] = {
    "no value": {"price": [None] * 200},
    "a value Evidently can't bin": {"price": [1e300] * 200},
    "both": {"price": [1e300] * 200, "items": [None] * 200},
}


@pytest.mark.parametrize("columns", BAD.values(), ids=BAD.keys())
def test_a_column_that_can_not_be_drawn_is_named_and_the_others_are_there(columns: dict[str, list[Any]]) -> None:
    html = render_report(CASE, KNOWN, KNOWN, {**WINDOW, **columns}, Labelled())
    assert "Left out are columns" in html
    assert "payment" in html
    for name in columns:
        assert name in html


def test_where_nothing_can_be_drawn_there_is_no_report() -> None:
    with pytest.raises(NothingToReportError):
        render_report(CASE, KNOWN, KNOWN, {name: [None] * 200 for name in WINDOW}, Labelled())


@pytest.mark.parametrize(("labels", "drawn"), [(None, True), ([0.0] * 100, False)])
def test_a_regression_has_its_own_performance(labels: list[float] | None, drawn: bool) -> None:
    content = {**case_content(), "task": "regression", "target": {"name": "returned", "title": "Value"}}
    case = case_from_dict(content, subject="regression")
    rng = random.Random(2)
    known: dict[str, list[Any]] = {**KNOWN, "prediction": KNOWN["score"]}
    known["returned"] = [score + rng.gauss(0, 0.1) for score in KNOWN["score"]]
    scores = [rng.random() for _ in range(100)]
    labelled = Labelled(scores, list(scores), list(labels or [score + rng.gauss(0, 0.1) for score in scores]))
    html = render_report(case, known, known, WINDOW, labelled)
    assert ("Performance is left out" not in html) == drawn
    assert ("Regression Model Performance" in html or "Error (Predicted - Actual)" in html) == drawn


def test_the_heading_says_what_is_compared_with_what_and_why() -> None:
    window = Window(5000, 1000, "b" * 64, {}, b"", b"")
    assert heading_of(MakeReport(window, Labelled(), "demand")) == (
        "1,000 rows until row 5,000 against the reference of bundle bbbbbbbbbbbb; made because somebody asked"
    )
    accepted = replace(window, accepted_sha256="a" * 64)
    assert "the accepted reference aaaaaaaaaaaa; made on schedule" in heading_of(MakeReport(accepted, Labelled()))


# The folder -----------------------------------------------------------------------------------------------------------


def names(folder: ReportFolder) -> list[tuple[int, str]]:
    return [(report.row, report.kind) for report in folder.all()]


def test_reports_are_replaced_whole_and_the_last_few_of_each_kind_are_kept(tmp_path: Path) -> None:
    folder = ReportFolder(tmp_path, kept=2, kept_s=60)
    assert folder.latest() is None
    folder.add(10, "alert", "the alert's")
    for row in (50, 1000, 150):
        folder.add(row, "schedule", f"report {row}")
    latest = folder.latest()
    assert latest is not None
    assert (latest.row, latest.path.read_text(), latest.size) == (1000, "report 1000", 11)
    assert names(folder) == [(10, "alert"), (150, "schedule"), (1000, "schedule")]
    assert len(list(tmp_path.iterdir())) == 3


def test_reports_over_their_age_are_removed(tmp_path: Path) -> None:
    folder = ReportFolder(tmp_path, kept=5, kept_s=60)
    folder.add(10, "alert", "a")
    made_at = folder.all()[0].made_at
    ReportFolder(tmp_path, kept=5, kept_s=60, clock=lambda: made_at + 59).remove_old()
    assert names(folder) == [(10, "alert")]
    ReportFolder(tmp_path, kept=5, kept_s=60, clock=lambda: made_at + 61).remove_old()
    assert names(folder) == []


@pytest.mark.parametrize(
    "name", ["../inbox.sqlite", "void-until-row", "report-000000000010-alert.html/..", "x.html", ""]
)
def test_a_name_that_is_no_report_finds_nothing(tmp_path: Path, name: str) -> None:
    folder = ReportFolder(tmp_path / "reports", kept=5, kept_s=60)
    folder.add(10, "alert", "a")
    (tmp_path / "inbox.sqlite").write_text("secret")
    assert folder.find(name) is None


# When one is made -----------------------------------------------------------------------------------------------------


def checked(bench: Bench, until: int = 50) -> None:
    """A window is checked, its report on schedule is made, and the pause after it is over."""
    bench.receive(until)
    bench.run_all()
    bench.clock.now += PAUSE_S


def test_a_demanded_report_is_made_at_the_next_step(bench: Bench) -> None:
    checked(bench)
    reply = bench.client.post("/api/reports")
    assert (reply.status_code, reply.get_json()) == (202, {"row": 50, "kind": "demand"})
    assert bench.report_scheduler.waiting
    bench.step()
    assert bench.evaluator.report_kinds == ["schedule", "demand"]
    assert not bench.report_scheduler.waiting


def test_without_a_checked_window_none_can_be_demanded(bench: Bench) -> None:
    reply = bench.client.post("/api/reports")
    assert (reply.status_code, reply.content_type) == (409, "application/problem+json")


def test_one_is_made_at_a_time(bench: Bench) -> None:
    checked(bench)
    bench.client.post("/api/reports")
    reply = bench.client.post("/api/reports")
    assert reply.status_code == 409
    assert "is being made" in reply.get_json()["detail"]


def test_demands_are_held_apart(bench: Bench) -> None:
    bench.receive(50)
    bench.run_all()
    reply = bench.client.post("/api/reports")
    assert (reply.status_code, reply.headers["Retry-After"]) == (429, "10")
    bench.clock.now += PAUSE_S
    assert bench.client.post("/api/reports").status_code == 202


def test_a_demand_for_a_window_with_an_erased_record_is_dropped_and_the_next_window_can_be_had(bench: Bench) -> None:
    checked(bench)
    bench.client.post("/api/reports")
    bench.inbox.store(enveloped([Erasure("r0", "shop", START)], source="erasures"))
    bench.step()
    assert bench.evaluator.report_kinds == ["schedule"]
    assert bench.client.post("/api/reports").status_code == 409
    checked_row = 60
    bench.receive(10, first=50)
    bench.run_all()
    assert bench.client.post("/api/reports").get_json()["row"] == checked_row


def hold(bench: Bench, *conditions: Condition) -> None:
    state = replace(bench.results.state, conditions=list(conditions))
    bench.results.publish(state, None, [])


def test_a_condition_that_begins_to_hold_makes_a_report_and_one_that_goes_on_makes_none(bench: Bench) -> None:
    checked(bench)
    hold(bench, Condition("drift", "price", since=START))
    bench.step()
    assert bench.evaluator.report_kinds == ["schedule", "alert"]
    bench.clock.now += PAUSE_S
    bench.step()
    assert bench.evaluator.report_kinds == ["schedule", "alert"]
    hold(bench, Condition("drift", "price", since=START), Condition("drift", "items", since=START))
    bench.step()
    assert bench.evaluator.report_kinds == ["schedule", "alert", "alert"]


def test_an_alert_within_the_pause_waits_for_its_end(bench: Bench) -> None:
    bench.receive(50)
    bench.run_all()
    hold(bench, Condition("concept_drift", since=START))
    bench.step()
    assert bench.evaluator.report_kinds == ["schedule"]
    bench.clock.now += PAUSE_S
    bench.step()
    assert bench.evaluator.report_kinds == ["schedule", "alert"]


def test_a_condition_about_the_service_itself_makes_no_report(bench: Bench) -> None:
    checked(bench)
    hold(bench, Condition("evaluator_failed", since=START))
    bench.step()
    assert bench.evaluator.report_kinds == ["schedule"]


# Over HTTP ------------------------------------------------------------------------------------------------------------


def test_reports_are_listed_newest_first_and_each_is_served_in_a_sandbox(bench: Bench) -> None:
    assert bench.client.get("/api/reports").get_json() == []
    bench.reports.add(50, "schedule", "<p>old</p>")
    bench.reports.add(60, "demand", "<p>newest</p>")
    first, second = bench.client.get("/api/reports").get_json()
    assert (first["row"], first["kind"], first["size"]) == (60, "demand", len("<p>newest</p>"))
    assert first["at"].endswith("Z")
    reply = bench.client.get(second["url"])
    assert reply.get_data(as_text=True) == "<p>old</p>"
    policy = reply.headers["Content-Security-Policy"]
    assert policy.startswith("sandbox allow-scripts")
    assert "default-src 'none'" in policy
    assert "allow-same-origin" not in policy


@pytest.mark.parametrize("name", ["report-000000000070-demand.html", "void-until-row", "..%2finbox.sqlite", "latest"])
def test_a_report_that_is_not_there_is_a_problem_document(bench: Bench, name: str) -> None:
    reply = bench.client.get(f"/reports/{name}")
    assert (reply.status_code, reply.content_type) == (404, "application/problem+json")
