"""Which metrics a PromQL expression names, for the tests of rules and dashboards."""

from __future__ import annotations

import re
import runpy
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
RULES_DIR = ROOT / "prometheus" / "rules"

_STRING = re.compile(r'"(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])*\'|`[^`]*`')
_COMMENT = re.compile(r"#[^\n]*")
_MATCHERS = re.compile(r"\{[^{}]*\}")
_DURATIONS = re.compile(r"\[[^\]]*\]|\boffset\s+-?\w+|@\s*[\w.]+(\(\))?")
_VARIABLE = re.compile(r"\$\{[^}]*\}|\$\w+")
_LABEL_LIST = re.compile(r"\b(by|without|on|ignoring|group_left|group_right)\s*\([^()]*\)", re.IGNORECASE)
_NAME = re.compile(r"(?<![\w:.])[a-zA-Z_:][\w:]*(?!\s*\(|[\w:])")
_WORDS = {"and", "or", "unless", "atan2", "bool", "offset", "inf", "nan"}
#: ``query "…"`` and ``query (printf "…" …)`` in the text of an annotation.
_TEMPLATE_QUERY = re.compile(r'query\s+(?:\(printf\s+)?"((?:\\.|[^"\\])*)"')
_VERB = re.compile(r"%[a-z]")


def metric_names(expression: str) -> set[str]:
    """Names of metrics and recorded series; Grafana's variables are none."""
    # Variables first: one may stand where a duration does, ``[$__rate_interval]``.
    text = _VARIABLE.sub("1", _STRING.sub("", _COMMENT.sub("", _VERB.sub('"x"', expression))))
    for pattern in (_MATCHERS, _DURATIONS, _LABEL_LIST):
        text = pattern.sub(" ", text)
    return {name for name in _NAME.findall(text) if name.lower() not in _WORDS}


def template_queries(text: str) -> list[str]:
    """The expressions that an annotation asks for while it is written."""
    return [query.replace('\\"', '"') for query in _TEMPLATE_QUERY.findall(text)]


def rules() -> list[dict[str, Any]]:
    """Every rule of every file, in order."""
    files = [yaml.safe_load(path.read_text()) for path in sorted(RULES_DIR.glob("*.yml"))]
    return [rule for file in files for group in file["groups"] for rule in group["rules"]]


def names_in_rules() -> set[str]:
    """What rules and their annotations name, without what other rules record."""
    expressions = [rule["expr"] for rule in rules()]
    texts = [text for rule in rules() for text in rule.get("annotations", {}).values()]
    named = {
        name
        for text in [*expressions, *(q for text in texts for q in template_queries(text))]
        for name in metric_names(text)
    }
    return named - recorded_names()


def recorded_names() -> set[str]:
    return {rule["record"] for rule in rules() if "record" in rule}


@cache
def declared_metrics() -> Mapping[str, str]:
    """Every metric of every service → its type, by the name that stands in docs/metrics.md."""
    generate = runpy.run_path(str(ROOT / "docs" / "generate.py"))
    rows = [
        row
        for registry in ("serving_registry", "worker_registry", "monitoring_registry", "training_registry")
        for row in generate["metric_rows"](generate[registry]())
    ]
    return {name.strip("`"): kind for name, kind, *_ in rows}


def declared_series() -> set[str]:
    """The names that series have: a histogram has three."""
    series: set[str] = set()
    for name, kind in declared_metrics().items():
        series |= {f"{name}_{part}" for part in ("bucket", "sum", "count")} if kind == "histogram" else {name}
    return series


def metric_of(series: str) -> str:
    """The declared metric that a series belongs to."""
    base = re.sub(r"_(bucket|sum|count)$", "", series)
    return base if declared_metrics().get(base) == "histogram" else series
