"""The body of ``/metrics``: each series carries the label ``case``, so that one Prometheus can watch many."""

from __future__ import annotations

from collections.abc import Iterator

import prometheus_client
from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

TEXT_FORMAT = prometheus_client.CONTENT_TYPE_LATEST


class OfCase(Collector):
    """A registry's metrics with the label ``case``, added at each scrape."""

    def __init__(self, registry: CollectorRegistry, case_name: str) -> None:
        self._registry = registry
        self._case_name = case_name

    def collect(self) -> Iterator[Metric]:
        for metric in self._registry.collect():
            labelled = Metric(metric.name, metric.documentation, metric.type, metric.unit)
            labelled.samples = [
                self._with_case(sample) for sample in metric.samples if sample.name != f"{metric.name}_created"
            ]
            yield labelled

    def _with_case(self, sample: Sample) -> Sample:
        return sample._replace(labels={"case": self._case_name, **sample.labels})


def exposition(registry: CollectorRegistry, case_name: str) -> bytes:
    """Prometheus' text format, without ``_created`` series: Prometheus sees resets itself."""
    return prometheus_client.generate_latest(OfCase(registry, case_name))
