"""Alerting rules are complete: parts, tests, runbook, and one mind with the alerts of the service itself."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from promql import names_in_rules, rules, template_queries

from monitoring_service.alerting.catalogue import CATALOGUE
from monitoring_service.settings import RUNBOOK

ROOT = Path(__file__).parents[2]
ALERTS = [rule for rule in rules() if "alert" in rule]
Key = tuple[str, str]


def key_of(alert: dict[str, Any]) -> Key:
    return alert["alert"], alert["labels"]["severity"]


@cache
def rule_tests() -> list[dict[str, Any]]:
    files = sorted((ROOT / "prometheus" / "tests").glob("*.yml"))
    return [test for path in files for test in yaml.safe_load(path.read_text())["tests"]]


def looks(test: dict[str, Any]) -> list[tuple[int, str, list[Key]]]:
    """When a test looks (in seconds), after which alert, and what must fire."""
    return [
        (
            seconds(look["eval_time"]),
            look["alertname"],
            [(look["alertname"], alert["exp_labels"]["severity"]) for alert in look["exp_alerts"]],
        )
        for look in test["alert_rule_test"]
    ]


def seconds(duration: str) -> int:
    units = {"s": 1, "m": 60, "h": 3600, "d": 86400}
    return sum(int(number) * units[unit] for number, unit in re.findall(r"(\d+)([smhd])", duration))


@cache
def headings() -> set[str]:
    page = (ROOT / RUNBOOK).read_text(encoding="utf-8")
    return {heading.lower().replace(" ", "-") for heading in re.findall(r"^## (.+)$", page, re.MULTILINE)}


each_alert = pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: "-".join(key_of(alert)))


@each_alert
def test_an_alert_says_who_must_act_what_it_is_about_and_what_to_do(alert: dict[str, Any]) -> None:
    annotations = alert["annotations"]
    assert alert["labels"]["severity"] in ("page", "ticket")
    assert seconds(alert["for"]) > 0
    assert set(annotations) == {"summary", "description", "runbook"}
    has_value = "$value" in annotations["description"] or template_queries(annotations["description"])
    assert has_value, "the description names no value"


@each_alert
def test_an_alert_has_its_entry_in_the_runbook(alert: dict[str, Any]) -> None:
    assert alert["annotations"]["runbook"] == f"{RUNBOOK}#{alert['alert'].lower()}"
    assert alert["alert"].lower() in headings()


def test_the_runbook_has_an_entry_for_alerts_only_and_every_entry_its_parts() -> None:
    page = (ROOT / RUNBOOK).read_text(encoding="utf-8")
    entries = dict(section.split("\n", 1) for section in page.split("\n## ")[1:])
    assert set(entries) == {alert["alert"] for alert in ALERTS}
    for name, entry in entries.items():
        assert re.findall(r"^- \*\*(\w+)\*\*", entry, re.MULTILINE) == ["Users", "Look", "Mend", "Silence"], name


@each_alert
def test_an_alert_is_silent_just_before_its_time_has_passed_and_fires_when_it_has(alert: dict[str, Any]) -> None:
    """One step of the evaluation before."""
    found = []
    for test in rule_tests():
        step, seen = seconds(test["interval"]), looks(test)
        fires = {at for at, _, firing in seen if key_of(alert) in firing}
        silent = {at for at, name, firing in seen if name == alert["alert"] and key_of(alert) not in firing}
        found += [at for at in fires if at - step in silent]
    assert found, "no test has it silent one step before it fires"


@each_alert
def test_an_alert_is_silent_where_all_is_well(alert: dict[str, Any]) -> None:
    healthy = [test for test in rule_tests() if test["name"] == "healthy"]
    silent = {name for test in healthy for _, name, firing in looks(test) if not firing}
    assert alert["alert"] in silent
    assert not [firing for test in healthy for _, _, firing in looks(test) if firing]


def test_the_service_itself_raises_the_same_alerts() -> None:
    ours = {kind.name: (kind.severity, kind.for_s, kind.runbook(RUNBOOK)) for kind in CATALOGUE}
    theirs = {
        alert["alert"]: (alert["labels"]["severity"], seconds(alert["for"]), alert["annotations"]["runbook"])
        for alert in ALERTS
        if alert["alert"] in ours
    }
    assert theirs == ours


@pytest.mark.parametrize("kind", CATALOGUE, ids=lambda kind: kind.name)
def test_a_rule_follows_the_conditions_that_the_service_follows(kind: Any) -> None:
    """0 or 1 by the case file's limits: no rule has a limit of its own."""
    (alert,) = [alert for alert in ALERTS if alert["alert"] == kind.name]
    named = re.search(r'condition=~?"([^"]+)"', alert["expr"])
    assert named is not None
    assert set(named[1].split("|")) == set(kind.conditions)
    assert alert["expr"].endswith("== 1")


def test_degradations_and_broken_data_page_and_drift_alone_is_a_ticket() -> None:
    severities = {alert["alert"]: alert["labels"]["severity"] for alert in ALERTS}
    assert {severities[name] for name in ("EstimatedLoss", "RealisedLoss", "ConceptDrift", "BrokenData")} == {"page"}
    assert {severities[name] for name in ("FeatureDrift", "PredictionDrift", "TargetDrift")} == {"ticket"}


def test_names_are_told_from_what_is_no_metric() -> None:
    from promql import metric_names

    expression = """sum by (le, case) (rate(a_bucket{b="c", d=~"$e"}[$__rate_interval])) / on (f) group_left (g)
        h:i:j{k='l'} offset 5m and (time() - m_seconds > bool 1e3) or n{o="p{q}"} unless absent(r) == Inf"""
    assert metric_names(expression) == {"a_bucket", "h:i:j", "m_seconds", "n", "r"}


def test_what_annotations_ask_is_seen() -> None:
    assert template_queries('{{ query "a == 1" }} {{ range query (printf "b{c=%q}" $labels.c) }}') == [
        "a == 1",
        "b{c=%q}",
    ]
    assert "monitoring_column_drift_effect_ratio" in names_in_rules()
