"""Dashboards are what the code says they are, whole in every panel, and ask for metrics that there are."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import yaml
from dashboards import FOLDER, ROOT, all_panels, dashboards, panels, queries
from promql import declared_series, metric_names, recorded_names

EXPECTED = {
    "streamgauge-overview": "Overview",
    "streamgauge-data-drift": "Data drift",
    "streamgauge-prediction-drift": "Prediction and target drift",
    "streamgauge-classification": "Model performance (classification)",
    "streamgauge-regression": "Model performance (regression)",
    "streamgauge-data-quality": "Data quality",
    "streamgauge-serving": "Serving and sinks",
}
#: Prometheus' own.
BUILT_IN = {"ALERTS", "up"}
#: Grafana's names of units, and words of our own behind a number.
UNITS = re.compile(r"percentunit|s|bytes|short|cps|reqps|suffix: [a-z/]+")
KINDS = {"stat", "timeseries", "table", "heatmap", "state-timeline", "status-history", "bargauge"}
SOURCE = {"type": "prometheus", "uid": "prometheus"}

each_dashboard = pytest.mark.parametrize("dashboard", dashboards(), ids=lambda dashboard: dashboard["uid"])


def _unique(values: Iterable[Any]) -> bool:
    found = list(values)
    return len(set(found)) == len(found)


def test_the_code_writes_the_dashboards_that_are_committed(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "grafana.generate", "--to", str(tmp_path)], cwd=ROOT, check=True)
    written, committed = ({path.name: path.read_text() for path in folder.iterdir()} for folder in (tmp_path, FOLDER))
    assert written == committed, "run: make dashboards"


def test_every_dashboard_is_there_under_its_title() -> None:
    assert {one["uid"]: one["title"] for one in dashboards()} == EXPECTED


def test_every_dashboard_is_in_the_documentation() -> None:
    page = (ROOT / "docs" / "dashboards.md").read_text()
    assert re.findall(r"^\| ([A-Z][^|]+?) \|", page, re.MULTILINE) == list(EXPECTED.values())


def test_every_panel_says_what_it_shows_in_which_unit_and_where_from() -> None:
    for uid, panel in all_panels():
        where = f"{uid} / {panel['title']}"
        assert panel["type"] in KINDS, where
        assert panel["title"].strip(), where
        assert panel["description"].endswith("."), where
        assert UNITS.fullmatch(panel["fieldConfig"]["defaults"]["unit"]), where
        assert panel["datasource"] == SOURCE, where
        assert panel["targets"], where


def test_every_query_names_its_source_and_the_chosen_case() -> None:
    for uid, panel in all_panels():
        assert _unique(target["refId"] for target in panel["targets"]), panel["title"]
        for target in panel["targets"]:
            assert target["datasource"] == SOURCE, (uid, panel["title"])
            assert "$case" in target["expr"] or panel["title"] == "Every case", (uid, panel["title"])


@each_dashboard
def test_ids_and_titles_of_panels_are_each_panels_own(dashboard: dict[str, Any]) -> None:
    assert _unique(panel["id"] for panel in dashboard["panels"])
    assert _unique(panel["title"] for panel in panels(dashboard))


@each_dashboard
def test_panels_fit_on_the_grid_and_do_not_overlap(dashboard: dict[str, Any]) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in dashboard["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert at["x"] + at["w"] <= 24, panel["title"]
        assert not taken & cells, panel["title"]
        taken |= cells


@each_dashboard
def test_case_and_version_can_be_chosen(dashboard: dict[str, Any]) -> None:
    variables = {variable["name"]: variable for variable in dashboard["templating"]["list"]}
    case, version = variables["case"], variables["version"]
    assert case["datasource"] == version["datasource"] == SOURCE
    assert re.fullmatch(r"label_values\((\w+), case\)", case["query"])
    assert version["query"] == 'label_values(monitoring_model_info{case="$case"}, version)'
    assert (version["includeAll"], version["multi"], version["allValue"]) == (True, True, ".*")


@each_dashboard
def test_alerts_are_drawn_into_charts_by_severity(dashboard: dict[str, Any]) -> None:
    annotations = dashboard["annotations"]["list"]
    found = {re.findall(r'severity="(\w+)"', annotation["expr"])[0]: annotation for annotation in annotations}
    assert set(found) == {"page", "ticket"}
    for annotation in annotations:
        assert annotation["datasource"] == SOURCE
        assert annotation["enable"]
        assert 'ALERTS{alertstate="firing"' in annotation["expr"]


@each_dashboard
def test_a_dashboard_leads_to_the_others_and_to_the_live_page(dashboard: dict[str, Any]) -> None:
    by_type = {link["type"]: link for link in dashboard["links"]}
    assert set(by_type["dashboards"]["tags"]) & set(dashboard["tags"])
    assert by_type["dashboards"]["includeVars"]
    assert by_type["dashboards"]["keepTime"]
    page = next(variable for variable in dashboard["templating"]["list"] if variable["name"] == "live_page")
    assert (by_type["link"]["url"], page["query"]) == ("${live_page}/", "http://127.0.0.1:8085")


def test_no_dashboard_can_be_changed_in_the_browser() -> None:
    assert {one["editable"] for one in dashboards()} == {False}
    [path] = (ROOT / "grafana" / "provisioning" / "dashboards").iterdir()
    [provider] = yaml.safe_load(path.read_text())["providers"]
    assert provider["allowUiUpdates"] is False


def test_grafana_begins_with_the_overview() -> None:
    grafana = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]["grafana"]
    home = grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    [path] = (ROOT / "grafana" / "provisioning" / "dashboards").iterdir()
    [provider] = yaml.safe_load(path.read_text())["providers"]
    assert home == f"{provider['options']['path']}/streamgauge-overview.json"
    assert (FOLDER / "streamgauge-overview.json").is_file()


def test_panels_name_metrics_that_the_code_declares() -> None:
    known = declared_series() | recorded_names() | BUILT_IN
    variables = [variable for one in dashboards() for variable in one["templating"]["list"]]
    asked = {re.sub(r"label_values\((.*), \w+\)", r"\1", one["query"]) for one in variables if one["type"] == "query"}
    named = {name: str(query) for query in queries() for name in metric_names(query.expr)}
    named |= {name: "a variable" for expr in asked for name in metric_names(expr)}
    assert {name: where for name, where in named.items() if name not in known} == {}


def test_limits_come_from_metrics_and_are_dashed() -> None:
    limits = [
        (panel, target) for _, panel in all_panels() for target in panel["targets"] if target["legendFormat"] == "limit"
    ]
    assert len(limits) > 10
    for panel, target in limits:
        assert re.match(r"\w+_(threshold_\w+|max_bytes)\{", target["expr"]), panel["title"]
        matchers = [(one["matcher"]["id"], one["matcher"]["options"]) for one in panel["fieldConfig"]["overrides"]]
        assert ("byFrameRefID", target["refId"]) in matchers, panel["title"]
