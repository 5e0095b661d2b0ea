"""Building blocks of the metrics: one prefix, one registry, and no series that is out of date."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from event_backbone.formats.visible_text import visible

PREFIX = "monitoring_"
Labels = TypeVar("Labels", bound=tuple[str, ...])


class SeriesMaker:
    """Makes metrics on one registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    def counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"{PREFIX}{name}", text, labels, registry=self._registry)

    def gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"{PREFIX}{name}", text, labels, registry=self._registry)

    def histogram(self, name: str, text: str, buckets: Sequence[float]) -> Histogram:
        return Histogram(f"{PREFIX}{name}", text, buckets=buckets, registry=self._registry)

    def kept_histogram(self, name: str, text: str) -> KeptHistogram:
        histogram = KeptHistogram(f"{PREFIX}{name}", text)
        self._registry.register(histogram)
        return histogram

    def late_gauge(self, name: str, text: str) -> LateGauge:
        gauge = LateGauge(f"{PREFIX}{name}", text)
        self._registry.register(gauge)
        return gauge


class LateGauge(Collector):
    """A gauge without labels that has no series until its value is known."""

    def __init__(self, name: str, text: str) -> None:
        self._name = name
        self._text = text
        self.value: float | None = None

    def collect(self) -> list[GaugeMetricFamily]:
        return [GaugeMetricFamily(self._name, self._text, self.value)]


class KeptHistogram(Collector):
    """A histogram whose counts are kept elsewhere."""

    def __init__(self, name: str, text: str) -> None:
        self._name = name
        self._text = text
        self._buckets: list[tuple[str, float]] | None = None
        self._sum: float | None = None

    def show(self, cumulative: Sequence[tuple[float, int]], count: int, total: float) -> None:
        """``cumulative`` says for each upper bound how many there are up to it."""
        bounds = [(str(float(bound)), float(below)) for bound, below in cumulative]
        self._buckets, self._sum = [*bounds, ("+Inf", float(count))], total

    def collect(self) -> list[HistogramMetricFamily]:
        return [HistogramMetricFamily(self._name, self._text, self._buckets, self._sum)]


class KeptTotals:
    """Counters whose totals are kept elsewhere, such as in the inbox: they go on after a restart where they were.

    Totals of a process that was replaced begin again, and are added.
    """

    def __init__(self) -> None:
        self._seen: dict[Counter, int] = {}

    def raise_to(self, counter: Counter, total: int) -> None:
        seen = self._seen.get(counter, 0)
        counter.inc(total - seen if total >= seen else total)
        self._seen[counter] = total


def show(gauge: Gauge, value: float | None, *labels: str) -> None:
    """Set one labelled series, or take it away: a gap is not a zero."""
    if value is not None:
        gauge.labels(*labels).set(value)
    else:
        gauge.remove(*labels)


def show_only(gauge: Gauge, values: Mapping[Labels, float | None]) -> None:
    """These series and no others, by their labels' values; what is ``None`` has none.

    Values of records and names of models are among the labels: each is one line of a legend or a message.
    """
    gauge.clear()
    for labels, value in values.items():
        if value is not None:
            gauge.labels(*map(visible, labels)).set(value)
