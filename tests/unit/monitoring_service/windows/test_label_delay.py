"""The histogram of label delays."""

from __future__ import annotations

from collections import Counter

import pytest

from monitoring_service.windows.label_delay import BUCKETS_S, LabelDelays, count_delay, delays_in

PREDICTED = "2026-01-01T00:00:00.000000Z"


def delays(*labelled_at: str) -> LabelDelays:
    totals: Counter[str] = Counter(predictions=3)
    for one in labelled_at:
        count_delay(totals, PREDICTED, one)
    return delays_in(totals)


def test_delays_are_counted_by_bucket_and_summed() -> None:
    found = delays(
        "2026-01-01T00:00:01Z", "2026-01-01T00:00:30.500000Z", "2026-01-01T10:00:30+09:00", "2027-01-01T00:00:00Z"
    )
    cumulative = dict(found.cumulative())
    assert (found.count, cumulative[1], cumulative[60], cumulative[3600], cumulative[10_800]) == (4, 1, 2, 2, 3)
    assert cumulative[BUCKETS_S[-1]] == 3, "a year is above every bound"
    assert found.sum_s == 1 + 30.5 + 3630 + 365 * 86_400


def test_a_label_from_before_its_prediction_came_at_once() -> None:
    found = delays("2025-12-31T00:00:00Z")
    assert (found.cumulative()[0], found.sum_s) == ((1, 1), 0.0)


def test_quantiles_are_interpolated_in_their_bucket() -> None:
    found = LabelDelays((0, 0, 10, 10, *[0] * (len(BUCKETS_S) - 3)))
    # Half of the labels came within 60 s, and 90 % within four fifths of the way from 60 to 300 s.
    assert (found.quantile_s(0.5), found.quantile_s(0.25)) == (60, 35)
    assert found.quantile_s(0.9) == pytest.approx(60 + 0.8 * 240)


def test_before_the_first_label_there_is_no_quantile() -> None:
    assert LabelDelays().quantile_s(0.5) is None


def test_a_quantile_above_the_last_bound_is_that_bound() -> None:
    assert LabelDelays((*[0] * len(BUCKETS_S), 5)).quantile_s(0.5) == BUCKETS_S[-1]
