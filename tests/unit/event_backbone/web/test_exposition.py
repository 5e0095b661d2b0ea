"""What every service answers to Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.parser import text_string_to_metric_families

from event_backbone.web.exposition import exposition


def registry() -> CollectorRegistry:
    made = CollectorRegistry()
    Counter("pot_filled", "Times a pot was filled.", ["size"], registry=made).labels("small").inc(2)
    Histogram("pot_fill_seconds", "Time to fill one.", buckets=(1, 2), registry=made).observe(1.5)
    return made


def test_every_series_carries_the_case() -> None:
    families = list(text_string_to_metric_families(exposition(registry(), "garden").decode()))
    assert {sample.labels["case"] for family in families for sample in family.samples} == {"garden"}
    assert {family.name: family.type for family in families} == {
        "pot_filled": "counter",
        "pot_fill_seconds": "histogram",
    }


def test_labels_and_values_stay_as_they_were() -> None:
    lines = exposition(registry(), "garden").decode().splitlines()
    assert 'pot_filled_total{case="garden",size="small"} 2.0' in lines
    assert 'pot_fill_seconds_bucket{case="garden",le="2.0"} 1.0' in lines
    assert "# HELP pot_filled_total Times a pot was filled." in lines


def test_when_a_counter_was_made_is_not_said() -> None:
    assert b"_created" not in exposition(registry(), "garden")


def test_what_counts_does_not_change() -> None:
    made = registry()
    exposition(made, "garden")
    assert made.get_sample_value("pot_filled_total", {"size": "small"}) == 2
