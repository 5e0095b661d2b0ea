"""Every metric is looked at by a rule or a dashboard, or says why by none; no rule asks for one that is not there."""

from __future__ import annotations

import re
from pathlib import Path

import yaml
from dashboards import dashboards, queries
from promql import declared_metrics, declared_series, metric_names, metric_of, names_in_rules, recorded_names

ROOT = Path(__file__).parents[2]
UNUSED: dict[str, str] = yaml.safe_load((ROOT / "prometheus" / "unused.yml").read_text())
#: Made by Prometheus itself.
BUILT_IN = {"up", "ALERTS"}


def names_in_dashboards() -> set[str]:
    shown = {name for query in queries() for name in metric_names(query.expr)}
    variables = [variable for one in dashboards() for variable in one["templating"]["list"]]
    return shown | {name for one in variables for name in re.findall(r"label_values\((\w+)", str(one.get("query")))}


def used_metrics() -> set[str]:
    return {metric_of(name) for name in (names_in_rules() | names_in_dashboards()) - recorded_names() - BUILT_IN}


def test_no_rule_names_a_metric_that_no_service_declares() -> None:
    assert names_in_rules() - BUILT_IN <= declared_series()


def test_every_metric_is_used_or_says_why_not() -> None:
    assert set(declared_metrics()) - used_metrics() == set(UNUSED)


def test_a_metric_that_is_not_used_says_why_in_a_sentence() -> None:
    assert {name: why for name, why in UNUSED.items() if not re.fullmatch(r"[A-Z].+\.", why)} == {}


def test_what_is_recorded_is_used() -> None:
    from promql import rules

    asked = {name for rule in rules() for name in metric_names(rule["expr"])} | names_in_dashboards()
    texts = " ".join(text for rule in rules() for text in rule.get("annotations", {}).values())
    assert {name for name in recorded_names() if name not in asked and name not in texts} == set()
