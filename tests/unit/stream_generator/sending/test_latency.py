"""Quantiles from a bounded histogram."""

from __future__ import annotations

import pytest

from stream_generator.sending.latency import LatencyHistogram


def _with(latencies: list[float]) -> LatencyHistogram:
    histogram = LatencyHistogram()
    for latency in latencies:
        histogram.add(latency)
    return histogram


def test_quantiles_are_exact_to_a_hundredth() -> None:
    histogram = _with([number / 1000 for number in range(1, 1001)])
    assert histogram.quantile(0.5) == pytest.approx(0.5, rel=0.01)
    assert histogram.quantile(0.99) == pytest.approx(0.99, rel=0.01)


def test_one_slow_answer_in_a_hundred_shows_beyond_the_99th_percentile_only() -> None:
    histogram = _with([0.001] * 99 + [5.0])
    assert histogram.quantile(0.99) == pytest.approx(0.001, rel=0.01)
    assert histogram.quantile(1.0) == pytest.approx(5.0, rel=0.01)


def test_there_is_no_quantile_of_nothing() -> None:
    assert LatencyHistogram().quantile(0.5) is None


def test_a_clock_that_stood_still_is_counted_as_the_smallest_latency() -> None:
    assert _with([0.0]).quantile(0.5) == pytest.approx(1e-5, rel=0.01)
