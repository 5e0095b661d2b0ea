"""Every place where a value, name, note or id is shown, each with harmless markers: text stays text everywhere.

The list is :data:`PLACES`: whatever file writes for a reader stands in it beside the test that sends markers through
it, and a file that looks as if it did and does not stand there fails.
"""

from __future__ import annotations

import ast
import contextlib
import csv
import io
import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

import msgspec
import pytest
from flask import Flask
from live_page_stage import Stage, staged_retraining
from markdown_it import MarkdownIt
from markers import ALL, MARKERS, SHORT, UNSEEN, MarkedPage, marked, marked_case
from monitoring_world import made_reference
from playwright.sync_api import Browser, expect
from werkzeug.serving import make_server

from event_backbone.guards.access import Access, GuardedApplication, Guards

ROOT = Path(__file__).parents[2]
PRODUCT = (
    "event_backbone", "prediction_service", "monitoring_service", "stream_generator", "training", "local_stack",
    "grafana", "prometheus", "containers",
)  # fmt: skip


@pytest.fixture
def opened(browser: Browser) -> Iterator[MarkedPage]:
    opened = MarkedPage(browser)
    yield opened
    opened.close()


@contextlib.contextmanager
def served(app: Flask) -> Iterator[str]:
    server = make_server("127.0.0.1", 0, GuardedApplication(app, Guards(Access(), lambda: None)), threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        thread.join()


# What a browser shows -------------------------------------------------------------------------------------------------


def test_the_check_finds_a_marker_that_is_not_text(browser: Browser) -> None:
    page = MarkedPage(browser)
    page.page.set_content(f"<p>{ALL}</p><table><td>marker</td></table>")
    found = page.found()
    assert found["ran"] == "script"
    assert len(found["elements"]) == 6
    page.close()


STATE_TEXTS = {
    "acknowledged_by", "by", "description", "detail", "fault", "note", "reason", "reasons", "runbook", "stage",
    "summary", "title", "value", "version",
}  # fmt: skip


def marked_stage(task: str) -> Stage:
    """The live page with a marker in every text that the service has from somebody else."""
    stage = Stage(marked_case(task=task))
    stage.state = marked(stage.state, STATE_TEXTS - {"reason"}) | {"model": {"name": ALL, "version": ALL}}
    stage.state["reference"] |= {"kind": "accepted", "at": stage.state["at"], "by": ALL, "note": ALL}
    running = staged_retraining(running="a person's note", fault="away")
    stage.state["retraining"] = marked(running, STATE_TEXTS)
    stage.checks = [{**check, "version": f"{check['version']} {ALL}"} for check in stage.checks]
    stage.performance_windows = marked(stage.performance_windows, {"version"})
    stage.shadow = marked(stage.shadow, {"name", "version"})
    stage.shadow["comparisons"][0]["flipped"] = {f"{ALL} → no": 3}
    return stage


@pytest.mark.parametrize("task", ["binary", "regression"])
def test_live_page(opened: MarkedPage, task: str) -> None:
    stage = marked_stage(task)
    try:
        page = opened.open(f"{stage.url}/")
        expect(page.locator("#verdict-title")).to_contain_text("drift")
        expect(page.locator("#reference-text")).to_contain_text("data-marker")
        expect(page.locator("#segments")).to_contain_text("data-marker")
        expect(page.locator("#retrainings")).to_contain_text("data-marker")
        expect(page.locator("#alert-list")).to_contain_text("data-marker")
        expect(page.locator("#versions")).to_contain_text("data-marker")
        for opener in page.locator("[data-open]").all():
            opener.click()
        expect(page.locator("[data-detail] .legend")).to_have_count(len(stage.case.columns))
        for chart in page.locator(".chart .u-over").all():
            chart.hover()
        page.get_by_role("slider").first.focus()
        page.keyboard.press("ArrowRight")
        for details in page.locator("details").all():
            details.evaluate("element => { element.open = true; }")
        page.locator("#alert-list button").first.click()
        expect(page.get_by_role("dialog")).to_be_visible()
        opened.holds_text_only()
    finally:
        stage.stop()


def test_standby_page(opened: MarkedPage) -> None:
    from monitoring_service.lifecycle.standby import build_standby

    with served(build_standby(marked_case())) as url:
        page = opened.open(url)
        expect(page.get_by_role("heading", name="stands by")).to_be_visible()
        assert page.evaluate("getComputedStyle(document.querySelector('.brand')).fontWeight") != "", "has its style"
        opened.holds_text_only()


class Answering:
    """Predicts what it is told, with markers in everything that a model or a fault may say."""

    reply: tuple[int, dict[str, Any]]

    def predict_payload(self, _payload: object) -> tuple[int, bytes]:
        status, document = self.reply
        return status, msgspec.json.encode(document)


def form_app(answering: Answering) -> Flask:
    from prometheus_client import CollectorRegistry

    from prediction_service.serving.app import build_api

    parts: Any = answering
    nothing: Any = None
    return build_api(marked_case(), parts, nothing, nothing, nothing, CollectorRegistry(), max_body_bytes=100_000)


ANSWERED = {"record_id": ALL, "prediction": ALL, "score": 0.5, "model": {"name": ALL, "version": ALL}}
REFUSED = {"detail": ALL, "faults": [{"field": "payment", "reason": "length", "message": ALL}]}


@pytest.mark.parametrize("reply", [(200, ANSWERED), (422, REFUSED)], ids=["answered", "refused"])
def test_prediction_form(opened: MarkedPage, reply: tuple[int, dict[str, Any]]) -> None:
    answering = Answering()
    answering.reply = reply
    with served(form_app(answering)) as url:
        page = opened.open(url)
        opened.holds_text_only()
        page.locator("#payment").fill(ALL)
        page.get_by_role("button").click()
        expect(page.locator("#answer")).to_contain_text("data-marker")
        assert page.locator("#payment").input_value() == ALL
        opened.holds_text_only()


def test_api_document_viewer(opened: MarkedPage) -> None:
    with served(form_app(Answering())) as url:
        errors: list[str] = []
        opened.page.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
        page = opened.open(f"{url}docs/")
        expect(page.locator(".opblock").first).to_be_visible()
        page.locator(".opblock-summary").first.click()
        expect(page.locator(".opblock-body").first).to_be_visible()
        record = page.locator(".models article", has_text="CaseRecord").first
        record.get_by_role("button", name="Expand all").first.click()
        expect(page.locator(".models")).to_contain_text("payment")
        expect(page.locator(".info")).to_contain_text("data-marker")
        opened.holds_text_only()
        assert errors == []


@pytest.mark.parametrize("path", ["predictions/{}", "{}", "static/{}", "docs/{}"])
def test_problem_documents(opened: MarkedPage, path: str) -> None:
    """A fault tells what was asked for, and is shown as JSON whatever that is."""
    with served(form_app(Answering())) as url:
        page = opened.open(url + path.format(quote(MARKERS[0] + MARKERS[2])))
        assert opened.found() == {"elements": [], "ran": None}
        assert opened.left == []
        assert '"status"' in page.locator("body").inner_text()


def report_page() -> str:
    from monitoring_service.messages import Labelled
    from monitoring_service.reports.evidently_page import render_report

    positive = MARKERS[0]
    case, known = marked_case(positive=positive), made_reference()
    known["payment"] = [["card", *MARKERS][index % 9] for index, _ in enumerate(known["payment"])]
    window = {name: values[:200] for name, values in known.items() if name in case.column_names}
    window["payment"] = [["card", UNSEEN, ALL, *MARKERS][index % 15] for index, _ in enumerate(window["payment"])]
    for name in ("prediction", "returned"):
        known[name] = [positive if value == "yes" else "no" for value in known[name]]
    labelled = Labelled(*(known[name][:100] for name in ("score", "prediction", "returned")))
    return render_report(case, known, known, window, labelled, f"heading {SHORT}")


@pytest.fixture(scope="module")
def report_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A report with markers in its values, at its own URL."""
    from monitoring_service.reports.folder import ReportFolder
    from monitoring_service.web.report_routes import add_report_routes

    folder = ReportFolder(tmp_path_factory.mktemp("reports"), kept=5, kept_s=3600)
    folder.add(10, "demand", report_page())
    app, nobody = Flask("monitoring_service.web"), SimpleNamespace(demand=lambda: 0)
    add_report_routes(app, folder, nobody, None, lambda: None)  # type: ignore[arg-type]  # no report is ordered here
    with served(app) as url:
        yield f"{url}reports/latest"


@pytest.mark.long
def test_evidently_report(opened: MarkedPage, report_url: str) -> None:
    errors: list[str] = []
    opened.page.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
    opened.page.on("pageerror", lambda error: errors.append(str(error)))
    page = opened.open(report_url)
    expect(page.locator("svg.main-svg").first).to_be_visible()
    for button in page.locator("tbody button").all():
        button.click()
    # A label of a chart is what a value would have become a link in.
    expect(page.locator("svg text", has_text="\u2039b data-marker").first).to_be_attached()
    expect(page.locator("body")).to_contain_text("Confusion Matrix")
    opened.holds_text_only()
    assert errors == []


def test_evidently_report_lets_no_script_of_a_value_in_nor_itself_out(opened: MarkedPage, report_url: str) -> None:
    """What would happen if a value did become an element: the policy holds it."""
    page = opened.open(report_url)
    page.evaluate("""() => {
      const script = Object.assign(document.createElement("script"), { textContent: 'window.markerRan = "added"' });
      document.body.append(script);
      document.body.insertAdjacentHTML("beforeend", `<img src="x" onerror="window.markerRan = 'event'">
        <iframe src="https://elsewhere.invalid/frame"></iframe><img src="https://elsewhere.invalid/picture">
        <form id="own" action="https://elsewhere.invalid/form"><button>send</button></form>
        <a id="window" target="_blank" href="https://elsewhere.invalid/window">open</a>
        <base href="https://elsewhere.invalid/">`);
    }""")
    page.locator("#own button").click()
    page.locator("#window").click()
    page.wait_for_timeout(300)
    assert page.evaluate("window.markerRan ?? null") is None
    assert page.evaluate("window.origin") == "null", "has no origin of ours"
    assert page.evaluate("document.baseURI") == report_url
    assert (opened.left, page.url) == ([], report_url)


def weekly_page() -> str:
    from training.weekly.analysis import changes_between, profile_of
    from training.weekly.analysis_page import render_page

    case, rows = marked_case(), weekly_rows(MARKERS[:6])
    source: Any = SimpleNamespace(sentence=ALL, is_synthetic=True, digests={})
    now, before = profile_of(case, source, rows), profile_of(case, source, weekly_rows(MARKERS[6:]))
    return render_page(case, now, before, changes_between(case, before, now))


def weekly_rows(values: tuple[str, ...]) -> Any:
    from training.data.rows import LabelledRows

    known = made_reference()
    payments = [values[index % len(values)] for index, _ in enumerate(known["payment"])]
    records = [
        {"price": price, "items": items, "payment": payment}
        for price, items, payment in zip(known["price"], known["items"], payments, strict=True)
    ]
    return LabelledRows(records, [MARKERS[0] if label == "yes" else "no" for label in known["returned"]])


def test_weekly_report(opened: MarkedPage, tmp_path: Path) -> None:
    path = tmp_path / "analysis.html"
    path.write_text(weekly_page(), encoding="utf-8")
    page = opened.open(path.as_uri())
    opened.holds_text_only()
    page.evaluate("document.body.insertAdjacentHTML('beforeend', `<img src=x onerror=\"window.markerRan = 'event'\">`)")
    page.wait_for_timeout(100)
    assert opened.found()["ran"] is None, "the file brings a policy along"


@pytest.mark.long
def test_quality_pages(browser: Browser, tmp_path: Path) -> None:
    """Great Expectations' own pages, of our rows; they ask for styles elsewhere, which only they decide."""
    from training.quality.great_expectations_gate import GreatExpectationsGate

    gate = GreatExpectationsGate(tmp_path / "none.yaml", tmp_path / "quality")
    inspection = gate.inspect(marked_case(), {"train": weekly_rows(MARKERS)})
    pages = list(inspection.folder.rglob("*.html"))
    assert len(pages) == 3
    for path in pages:
        opened = MarkedPage(browser)
        opened.open(path.as_uri())
        assert opened.found() == {"elements": [], "ran": None}
        assert not any("elsewhere.invalid" in url for url in opened.left)
        opened.close()


# Markdown, as a reader that lets HTML through shows it ----------------------------------------------------------------


def shown_as_markdown(opened: MarkedPage, source: str) -> None:
    reader = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    opened.page.set_content(reader.render(source))
    opened.holds_text_only()


def made_card() -> str:
    from training.promotion.card import model_card
    from training.promotion.gate import GateDecision, SegmentGrowth

    candidate = SimpleNamespace(name=ALL, family="linear")
    model = SimpleNamespace(chosen=SimpleNamespace(candidate=candidate), compared=[1], threshold=0.5)
    challenger: Any = SimpleNamespace(
        case=marked_case(),
        evaluated=SimpleNamespace(model=model, test_metrics={"auc": 0.9}),
        plan=SimpleNamespace(seed=1),
        fingerprint="f",
        data=SimpleNamespace(
            source=SimpleNamespace(kind=ALL, is_synthetic=False, digests={ALL: "d"}), sizes=lambda: {"fit": 3}
        ),
    )
    segments = [SegmentGrowth("payment", value, 3, 0.1, 0.5) for value in (*MARKERS, ALL)]
    decision = GateDecision(False, [*MARKERS, ALL], {"challenger_auc": 0.9}, segments)
    return model_card(challenger, decision, None).decode()


def test_model_card(opened: MarkedPage) -> None:
    shown_as_markdown(opened, made_card())
    assert opened.page.locator("li").count() == len(MARKERS) + 1
    assert opened.page.locator("h1").count() == 1


def test_comparison_tables(opened: MarkedPage) -> None:
    from training.comparison.tables import as_markdown

    shown_as_markdown(opened, as_markdown([["segment", "rows"], *([marker, ALL] for marker in MARKERS)]))
    assert opened.page.locator("tbody td").count() == 2 * len(MARKERS)


def test_api_document_of_monitoring(opened: MarkedPage) -> None:
    """Whoever has a viewer for it; descriptions are Markdown (OpenAPI 3.1, 4.8.2.1)."""
    from monitoring_service.web.openapi import openapi_document

    document = openapi_document(marked_case(), max_body_bytes=1, with_keys=True, with_retraining=True)
    shown_as_markdown(opened, document["info"]["description"])


@pytest.mark.long
def test_artifacts_on_prefects_pages(opened: MarkedPage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import prefect.artifacts

    from training.weekly.prefect_flow import _show

    written: dict[str, str] = {}
    monkeypatch.setattr(
        prefect.artifacts, "create_markdown_artifact", lambda text, key, description: written.update({key: text})
    )
    (tmp_path / "model_card.md").write_text(made_card())
    outcome: Any = SimpleNamespace(
        folder=tmp_path / MARKERS[1].replace("/", ""),
        changes=SimpleNamespace(sentence=ALL),
        predicted=SimpleNamespace(sentence=ALL),
    )
    outcome.folder.mkdir()
    (outcome.folder / "model_card.md").write_text(made_card())
    _show(outcome)
    assert sorted(written) == ["data", "model-card"]
    for source in written.values():
        shown_as_markdown(opened, source)


def test_notebook(opened: MarkedPage) -> None:
    """Tables are pandas' own, which writes text as text, and nothing is shown as HTML or Markdown."""
    import pandas as pd

    cells = json.loads((ROOT / "training/notebooks/eda.ipynb").read_text())["cells"]
    code = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    assert re.findall(r"\b(?:HTML|Markdown|SVG|Javascript|to_html|to_markdown|Styler|style)\b", code) == []
    opened.page.set_content(pd.DataFrame({ALL: [ALL]}, index=[ALL])._repr_html_())
    opened.holds_text_only()


# Lines: terminals, logs, metrics --------------------------------------------------------------------------------------


def is_one_plain_line(line: str) -> bool:
    return line.isprintable() and "one\ufffdtwo\ufffd\ufffd[31mred" in line


def test_dead_letters_as_a_table_and_as_lines(capsys: pytest.CaptureFixture[str]) -> None:
    from prediction_service.operations.dead_letters_command import _cells

    letter = SimpleNamespace(id=UNSEEN, reason=f"[bold]{UNSEEN}[/bold]", first_seen="now")
    one: Any = SimpleNamespace(letter=letter, origin=UNSEEN, attempts=1)
    cells = _cells(one)
    assert [is_one_plain_line(cell) for cell in cells] == [True, True, True, False, False]
    assert cells[1].startswith("[bold]one")


def test_versions_as_a_table() -> None:
    from rich.console import Console

    from event_backbone.events.schema import ModelRef
    from event_backbone.ports import RegisteredVersion
    from training.versions.listing import print_versions

    said = {"promotion_reason": UNSEEN, "promoted_by": f"[link={MARKERS[6]}]", "decision": UNSEEN}
    version = RegisteredVersion(ModelRef("m", "1"), "2026-01-01T00:00:00Z", frozenset(), said)
    shown = io.StringIO()
    print_versions(marked_case(), [version], Console(file=shown, width=5000, markup=False))
    assert all(line.isprintable() for line in shown.getvalue().splitlines()), shown.getvalue()
    assert "[link=" in shown.getvalue()


def test_segments_of_tables_tags_and_reasons() -> None:
    from training.promotion.segments import segments_of

    found = [value for _, value, _ in segments_of(marked_case(), weekly_rows((UNSEEN, *MARKERS[:3])))]
    assert len(found) == 4
    assert [value for value in found if "two" in value and is_one_plain_line(value)]


def test_a_command_that_fails(capsys: pytest.CaptureFixture[str]) -> None:
    from event_backbone.errors import Fault, SettingsError
    from event_backbone.process.commands import run_command

    def fails() -> None:
        raise SettingsError("a file", [Fault("x", "value", UNSEEN.replace("\n", "\v"))])

    with pytest.raises(SystemExit):
        run_command("train-model", fails)
    lines = capsys.readouterr().err.split("\n")
    assert all(line.isprintable() for line in lines)
    assert "\x1b" not in "".join(lines)


LOGGING = """
import logging, structlog, sys
from event_backbone.process.logs import set_up_logging
set_up_logging("tests", "INFO")
value = sys.argv[1]
structlog.get_logger().info(value, value=value, **{value: value})
logging.getLogger("a.library").warning("%s", value)
try:
    raise ValueError(value)
except ValueError:
    structlog.get_logger().exception("failed")
"""


def test_log_lines() -> None:
    """A line for each event, and JSON without a character that a terminal obeys."""
    text = f"{UNSEEN} {ALL}"
    said = subprocess.run([sys.executable, "-c", LOGGING, text], capture_output=True, check=True, cwd=ROOT).stdout
    lines = said.decode().removesuffix("\n").split("\n")
    assert len(lines) == 3
    assert all(line.isascii() and line.isprintable() for line in lines)
    assert [json.loads(line)["event"] for line in lines] == [text, text, "failed"]


def test_metrics() -> None:
    """Values of segments and versions of models are the only labels from outside: one line each."""
    from prometheus_client import CollectorRegistry
    from prometheus_client.parser import text_string_to_metric_families

    from event_backbone.web.exposition import exposition
    from monitoring_service.messages import MetricValue, Performance, SegmentPerformance
    from monitoring_service.views.performance_metrics import PerformanceMetrics
    from monitoring_service.views.series import SeriesMaker

    registry = CollectorRegistry()
    metrics = PerformanceMetrics(marked_case(), SeriesMaker(registry))
    known = {"accuracy": MetricValue(0.5, 0.4, 0.6), "auc": MetricValue(0.5, 0.4, 0.6)}
    segments = [SegmentPerformance("payment", value, 7, known) for value in (UNSEEN, *MARKERS)]
    metrics.show(f"1 {UNSEEN}", Performance(labelled_rows=7, segments=segments))
    text = exposition(registry, "shop").decode()
    samples = [line for line in text.splitlines() if line.startswith("monitoring_segment_labelled_rows{")]
    assert len(samples) == 1 + len(MARKERS)
    assert all(line.isprintable() and line.endswith(" 7.0") for line in samples)
    (family,) = (one for one in text_string_to_metric_families(text) if one.name == "monitoring_segment_labelled_rows")
    assert {sample.labels["value"] for sample in family.samples} >= set(MARKERS)


# Grafana, Prometheus and Alertmanager ---------------------------------------------------------------------------------

#: Labels whose values our own code or configuration chooses, or whoever trains the model.
CHOSEN = {
    "case", "column", "condition", "figure", "instance", "job", "reason", "sink", "step", "topic", "version",
}  # fmt: skip


def test_dashboards() -> None:
    """No panel that shows Markdown or HTML, no cell that makes a link or a picture of what it shows."""
    for path in (ROOT / "grafana/dashboards").glob("*.json"):
        text = path.read_text()
        kinds = {panel["type"] for panel in json.loads(text)["panels"]}
        assert kinds <= {
            "row",
            "stat",
            "timeseries",
            "table",
            "bargauge",
            "heatmap",
            "state-timeline",
            "status-history",
        }
        assert (
            re.findall(r'"(?:links|dataLinks|cellOptions|mode)": *(?:\[ *\{|"(?:html|markdown)"|\{[^}]*image)', text)
            == []
        )


def test_texts_of_rules() -> None:
    """An annotation names labels that no record fills."""
    rules = "".join(path.read_text() for path in (ROOT / "prometheus/rules").glob("*.yml"))
    assert set(re.findall(r"[lL]abels\.(\w+)", rules)) <= CHOSEN


def test_webhook_messages() -> None:
    """What people or records say is in no message; names are identifiers."""
    from monitoring_service.alerting.catalogue import CATALOGUE
    from monitoring_service.alerting.lifecycle import Acknowledgement, Alert, Notification
    from monitoring_service.alerting.views import AlertLinks, webhook_body
    from monitoring_service.state.conditions import Condition

    case = marked_case()
    for kind in CATALOGUE:
        known = Acknowledgement(by=ALL, note=f"{ALL} {UNSEEN}", at=1.0)
        conditions = [Condition(name, "payment", "2026-01-01T00:00:00Z", 0.5, 0.1) for name in kind.conditions]
        alerts = [Alert("1", one, "firing", 1.0, 1.0, acknowledged=known) for one in conditions]
        body = msgspec.json.encode(
            webhook_body(case.name, Notification(kind.name, tuple(alerts)), AlertLinks())
        ).decode()
        assert "marker" not in body
        assert "[31m" not in body
        assert body.isprintable()


# Files ----------------------------------------------------------------------------------------------------------------


def test_csv_files(tmp_path: Path) -> None:
    """None is made for a spreadsheet: curves are numbers and the case's classes, a sample is read back as it was."""
    import numpy as np

    from training.commands.synthetic_sample import write_drawn
    from training.pipeline.curves import curves_of

    targets, scores = np.array([0.0, 1.0] * 30), np.linspace(0.01, 0.99, 60)
    for name, content in curves_of(marked_case(), targets, scores, 0.5).items():
        _, *rows = csv.reader(io.StringIO(content.decode()))
        cells = {cell for row in rows for cell in row}
        assert cells <= {"no", MARKERS[0]} if name == "classes.csv" else all(map(float, cells - {"0.0"})), name
    drawn = weekly_rows((UNSEEN, *MARKERS))
    write_drawn(marked_case(), drawn, tmp_path / "sample.csv")
    with (tmp_path / "sample.csv").open(newline="") as file:
        _, *written = csv.reader(file)
    assert [row[2] for row in written] == [record["payment"] for record in drawn.records]


def test_pictures() -> None:
    """Letters in a picture, whatever they are; elsewhere they would be formulas, some of them wrong."""
    from matplotlib.figure import Figure

    from training.fitting.pictures import as_png

    figure = Figure()
    figure.add_subplot().set(title=ALL, xlabel=UNSEEN, xticks=[0], xticklabels=[MARKERS[9]])
    assert as_png(figure).startswith(b"\x89PNG")


# The list -------------------------------------------------------------------------------------------------------------

#: A test, and the files that write what it looks at.
PLACES: dict[Any, tuple[str, ...]] = {
    test_live_page: (
        "monitoring_service/web/app.py",
        "monitoring_service/web/page.py",
        "monitoring_service/web/templates/live.html",
        "monitoring_service/web/templates/live_columns.html",
        "monitoring_service/web/templates/live_operations.html",
        "monitoring_service/web/templates/live_performance.html",
        "monitoring_service/web/templates/live_shadow.html",
    ),
    test_standby_page: ("monitoring_service/lifecycle/standby.py", "monitoring_service/web/templates/standby.html"),
    test_prediction_form: ("prediction_service/serving/app.py", "prediction_service/serving/templates/form.html"),
    test_api_document_of_monitoring: ("monitoring_service/web/openapi.py",),
    test_api_document_viewer: (
        "event_backbone/openapi/parts.py",
        "prediction_service/serving/openapi.py",
        "prediction_service/serving/static/docs.js",
        "prediction_service/serving/templates/index.template.html",
    ),
    test_problem_documents: ("event_backbone/web/problems.py", "event_backbone/web/responses.py"),
    test_evidently_report: (
        "monitoring_service/reports/evidently_page.py",
        "monitoring_service/reports/folder.py",
        "monitoring_service/reports/script_policy.py",
        "monitoring_service/web/report_routes.py",
    ),
    test_weekly_report: ("training/weekly/analysis_page.py", "training/weekly/templates/analysis.html"),
    test_quality_pages: ("training/quality/gate.py", "training/quality/great_expectations_gate.py"),
    test_model_card: ("training/promotion/card.py", "training/weekly/run_folders.py"),
    test_comparison_tables: ("training/comparison/study.py", "training/comparison/tables.py"),
    test_artifacts_on_prefects_pages: ("training/weekly/prefect_flow.py",),
    test_notebook: ("training/notebooks/eda.ipynb",),
    test_dead_letters_as_a_table_and_as_lines: ("prediction_service/operations/dead_letters_command.py",),
    test_versions_as_a_table: ("training/versions/listing.py", "training/commands/console.py"),
    test_segments_of_tables_tags_and_reasons: (
        "training/commands/outcome_table.py",
        "training/comparison/commands_run.py",
    ),
    test_a_command_that_fails: ("event_backbone/process/commands.py",),
    test_log_lines: ("event_backbone/process/logs.py",),
    test_metrics: ("event_backbone/web/exposition.py",),
    test_dashboards: ("grafana/panels.py",),
    test_texts_of_rules: ("prometheus/rules",),
    test_webhook_messages: (
        "monitoring_service/alerting/retraining.py",
        "monitoring_service/alerting/service.py",
        "monitoring_service/alerting/views.py",
        "monitoring_service/alerting/webhook.py",
    ),
    test_csv_files: ("training/commands/synthetic_sample.py", "training/pipeline/curves.py"),
    test_pictures: ("training/comparison/plots.py", "training/fitting/pictures.py"),
}
#: Files that look like writers and show nothing of a record, a person or a case.
SHOW_NOTHING = {
    "event_backbone/formats/__init__.py": "names Markdown",
    "event_backbone/formats/markdown.py": "is what the others write with",
    "local_stack/drive.py": "a table of our own counts",
    "monitoring_service/settings.py": "the runbook's name",
    "stream_generator/commands/progress.py": "a bar of our own counts",
}
WRITES = re.compile(
    r"render_template|jinja2|text/html|\.html\b|get_html_str|build_data_docs|[mM]arkdown|\.md\"|csv\.writer|to_csv|DictWriter"
    r"|rich\.(?:table|console|progress)|matplotlib|JSONRenderer|generate_latest|legend_format|webhook_body"
)
#: What makes elements of a text in a script of a page.
MAKES_ELEMENTS = re.compile(
    r"\b(?:innerHTML|outerHTML|insertAdjacentHTML|setHTMLUnsafe|parseFromString|createContextualFragment|srcdoc|eval|Function)\b"
    r"|document\.write|setAttribute\(\s*[\"']on"
)


def writers() -> Iterator[str]:
    for folder in PRODUCT:
        for path in sorted((ROOT / folder).rglob("*")):
            name = str(path.relative_to(ROOT))
            is_template = path.parent.name == "templates" and path.is_file()
            if is_template or path.suffix == ".ipynb" or (path.suffix == ".py" and WRITES.search(code_of(path))):
                yield name


def code_of(path: Path) -> str:
    """A module without its docstrings and comments, which may name what they do not write."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            node.value.value = None
    return ast.unparse(tree)


def test_the_list_names_every_file_that_writes_for_a_reader() -> None:
    listed = {name for files in PLACES.values() for name in files}
    assert [name for name in sorted(listed | SHOW_NOTHING.keys()) if not (ROOT / name).exists()] == []
    assert sorted(set(writers()) - listed - SHOW_NOTHING.keys()) == [], "send markers through it, and list it in PLACES"


def test_no_script_of_a_page_makes_elements_of_a_text() -> None:
    scripts = [
        path for folder in PRODUCT for path in (ROOT / folder).rglob("static/*.js") if path.name != "uplot.min.js"
    ]
    assert len(scripts) > 20
    assert {path.name: found for path in scripts if (found := MAKES_ELEMENTS.findall(path.read_text()))} == {}


def test_no_template_takes_a_value_for_markup() -> None:
    templates = [path for folder in PRODUCT for path in (ROOT / folder).rglob("templates/*")]
    assert len(templates) > 8
    loose = re.compile(
        r"\|\s*safe\b|autoescape\s+false|Markup|<script(?![^>]*\bsrc=)(?![^>]*application/json)|\son\w+="
    )
    assert {path.name: found for path in templates if (found := loose.findall(path.read_text()))} == {}
