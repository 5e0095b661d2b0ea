"""Writes docs/settings.md, docs/metrics.md and .env.example from the settings classes and the metrics classes.

Run it as ``.venv/bin/python docs/generate.py`` after changing one of them.
"""

from __future__ import annotations

import re
import runpy
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import yaml
from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric
from prometheus_client.registry import Collector
from pydantic import BaseModel

from event_backbone.case.files import find_case
from event_backbone.case.schema import MonitoringSettings, TrainingLimits
from event_backbone.settings import ClientSettings, ConnectionSettings, ListeningSettings, Settings
from local_stack.settings import StackSettings
from monitoring_service.settings import MonitoringServiceSettings
from monitoring_service.views.metrics import MonitoringMetrics
from prediction_service.serving.metrics import ReplicaCollector, ServingMetrics
from prediction_service.serving.status import ReplicaStatus
from prediction_service.settings import ReplicaSettings, ServingSettings, SidecarSettings, WorkerSettings
from prediction_service.worker.metrics import WorkerMetrics
from stream_generator.settings import GeneratorSettings
from training.server.metrics import TrainingMetrics
from training.server.settings import TrainingServerSettings
from training.settings import TrainingSettings

ROOT = Path(__file__).parents[1]
MADE_BY = "made by docs/generate.py; change the code, not this"

#: No package that is installed.
ALERTING = runpy.run_path(str(ROOT / "prometheus" / "routing.py"))

#: Who reads what a class adds to the class it extends.
READERS: Mapping[str, type[Settings]] = {
    "Everything": Settings,
    "Services that listen": ListeningSettings,
    "Connections to Kafka, MongoDB and monitoring": ConnectionSettings,
    "Those who ask a prediction service": ClientSettings,
    "`prediction-service` and its sidecar": ReplicaSettings,
    "`prediction-service`": ServingSettings,
    "`prediction-service worker`": WorkerSettings,
    "`prediction-service sidecar`": SidecarSettings,
    "`monitoring-service`": MonitoringServiceSettings,
    "`stream-generator`": GeneratorSettings,
    "`train-model`": TrainingSettings,
    "`train-model serve`": TrainingServerSettings,
    "`make run`": StackSettings,
    "Alertmanager's receivers (`python -m prometheus.render`)": ALERTING["AlertingSettings"],
}

SETTINGS_INTRO = """\
Settings are environment variables. A file `.env` in the working directory is read as well; the environment comes first.
A wrong value ends the command at its start with every fault, by name. What belongs to a case (columns, windows, what
counts as drift) stands in [the case file](#the-case-file) instead.
""".splitlines()

CASE_INTRO = """\
A case file says under `monitoring:` and `training:` only what differs from these defaults. Those of the drift verdict
were chosen by measurement ([ADR 0017](adr/0017-defaults-by-measurement.md)).
""".splitlines()

METRICS_INTRO = """\
Every service answers `GET /metrics` in Prometheus' text format. Every series carries the label `case`, beside those
below. Labels come from closed sets: columns of the case, reasons, statuses, names in the settings. A value that is not
known has no series, never a false zero. What alerts follow from them stands in the [runbook](runbook.md).
""".splitlines()


@dataclass(frozen=True, slots=True)
class Variable:
    """One environment variable, in words."""

    name: str
    default: str
    allowed: str
    text: str

    @classmethod
    def of(cls, field: str, schema: Mapping[str, Any]) -> Variable:
        return cls(field.upper(), _default(schema.get("default")), _allowed(schema), schema["description"])


def _default(value: Any) -> str:
    if isinstance(value, list):
        return ",".join(value)
    return "" if value is None or value == {} else str(value).lower() if isinstance(value, bool) else f"{value}"


def _allowed(schema: Mapping[str, Any]) -> str:
    """What a JSON schema says about one field."""
    if "anyOf" in schema:
        return " or ".join(_allowed(option) for option in schema["anyOf"] if option.get("type") != "null")
    if "enum" in schema:
        return " or ".join(f"`{choice}`" for choice in schema["enum"])
    if "pattern" in schema:
        return " or ".join(f"`{choice}`" for choice in schema["pattern"].strip("^$()").split("|"))
    kinds = {
        "integer": "whole number",
        "number": "number",
        "boolean": "`true` or `false`",
        "array": "list",
        "object": "mapping",
    }
    limits = {"minimum": "from", "exclusiveMinimum": "above", "maximum": "to", "exclusiveMaximum": "below"}
    said = [f"{word} {schema[key]:,}" for key, word in limits.items() if key in schema]
    return " ".join([kinds.get(schema.get("type", ""), schema.get("format") or "text"), *said])


def variables_of(settings: type[Settings]) -> list[Variable]:
    """What this class adds."""
    inherited = {name for parent in settings.__mro__[1:] for name in getattr(parent, "model_fields", {})}
    fields = settings.model_json_schema()["properties"]
    return [Variable.of(name, schema) for name, schema in fields.items() if name not in inherited]


def limits_of(part: type[BaseModel], place: str) -> Iterator[Variable]:
    """What a part of the case file may hold, with the names of the parts that it is in."""
    schemas = part.model_json_schema()["properties"]
    for name, field in part.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from limits_of(field.annotation, f"{place}.{name}")
        else:
            found = Variable.of(name, schemas[name])
            yield replace(found, name=f"{place}.{name}")


def compose_variables() -> list[Variable]:
    """Those of docker-compose.yml alone: it says what each means, and the default where it uses them."""
    text = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    defaults = dict(re.findall(r"\$\{([A-Z_]+):-([^}]*)\}", text))
    return [
        Variable(name, defaults[name], "whole number" if defaults[name].isdecimal() else "text", meaning)
        for name, meaning in yaml.safe_load(text)["x-variables"].items()
    ]


def sections() -> Iterator[tuple[str, list[Variable]]]:
    """Who reads which variables."""
    for reader, settings in READERS.items():
        yield reader, variables_of(settings)
    yield "`docker-compose.yml`", compose_variables()


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> Iterator[str]:
    """A Markdown table's lines."""
    names = list(head)
    for cells in (names, ["---"] * len(names), *rows):
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _row(variable: Variable) -> tuple[str, str, str, str]:
    default = f"`{variable.default}`" if variable.default else ""
    return f"`{variable.name}`", default, variable.allowed, variable.text


def settings_page() -> str:
    lines = [f"<!-- {MADE_BY} -->", "# Settings", "", *SETTINGS_INTRO]
    for reader, variables in sections():
        rows = map(_row, variables)
        lines += ["", f"## {reader}", "", *table(("variable", "default", "allowed", "meaning"), rows)]
    limits = (*limits_of(MonitoringSettings, "monitoring"), *limits_of(TrainingLimits, "training"))
    lines += [
        "",
        "## The case file",
        "",
        *CASE_INTRO,
        "",
        *table(("key", "default", "allowed", "meaning"), map(_row, limits)),
    ]
    return "\n".join(lines) + "\n"


def env_example() -> str:
    lines = [f"# {MADE_BY}", "# Copy it to .env and uncomment what you change; these are the defaults."]
    seen: set[str] = set()
    for reader, variables in sections():
        new = [variable for variable in variables if variable.name not in seen]
        seen |= {variable.name for variable in new}
        lines += ["", f"## {reader.replace('`', '')}"]
        # A comment behind a value would become part of an empty one.
        lines += [line for v in new for line in (f"# {v.text}", f"#{v.name}={v.default}")]
    return "\n".join(lines) + "\n"


class ListingRegistry(CollectorRegistry):
    """Remembers its collectors in the order in which they were made."""

    def __init__(self) -> None:
        super().__init__()
        self.collectors: list[Collector] = []

    def register(self, collector: Collector) -> None:
        super().register(collector)
        self.collectors.append(collector)


def serving_registry() -> ListingRegistry:
    registry = ListingRegistry()
    ServingMetrics(registry, find_case("census", ROOT / "cases"))
    journal = dict.fromkeys(("bytes", "max_bytes", "last_seq"), 0)
    replica = SimpleNamespace(journal=lambda: journal, sinks=dict)
    registry.register(ReplicaCollector(cast(ReplicaStatus, replica)))
    return registry


def worker_registry() -> ListingRegistry:
    registry = ListingRegistry()
    WorkerMetrics(registry, find_case("census", ROOT / "cases"))
    return registry


def monitoring_registry() -> ListingRegistry:
    registry = ListingRegistry()
    MonitoringMetrics(find_case("census", ROOT / "cases"), registry, stale_after_s=15)
    return registry


def training_registry() -> ListingRegistry:
    registry = ListingRegistry()
    TrainingMetrics(registry)
    return registry


def families(registry: ListingRegistry) -> Iterator[tuple[Metric, tuple[str, ...]]]:
    """Every metric with its labels' names, for which prometheus_client has no public name."""
    for collector in registry.collectors:
        for family in collector.describe() if hasattr(collector, "describe") else collector.collect():
            labelled: Any = collector if hasattr(collector, "_labelnames") else family
            yield family, tuple(labelled._labelnames)


def metric_rows(registry: ListingRegistry) -> Iterator[tuple[str, str, str, str]]:
    for family, labels in families(registry):
        name = f"{family.name}_total" if family.type == "counter" else family.name
        yield f"`{name}`", family.type, ", ".join(f"`{label}`" for label in labels), family.documentation


def metrics_page() -> str:
    lines = [f"<!-- {MADE_BY} -->", "# Metrics", "", *METRICS_INTRO]
    for service, registry in (
        ("prediction-service", serving_registry()),
        ("prediction-service worker", worker_registry()),
        ("monitoring-service", monitoring_registry()),
        ("train-model serve", training_registry()),
    ):
        rows = metric_rows(registry)
        lines += ["", f"## {service}", "", *table(("metric", "type", "labels", "meaning"), rows)]
    return "\n".join(lines) + "\n"


def pages() -> dict[Path, str]:
    """Every generated file and what it must hold."""
    return {
        ROOT / "docs" / "settings.md": settings_page(),
        ROOT / "docs" / "metrics.md": metrics_page(),
        ROOT / ".env.example": env_example(),
    }


def main() -> None:
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
