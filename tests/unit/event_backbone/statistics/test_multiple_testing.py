"""Holm's adjustment against published values and its bounds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from event_backbone.statistics.multiple_testing import holm


def test_holm_gives_the_adjusted_values_of_the_textbook() -> None:
    # What R's p.adjust says to these four with the method holm. At 0.05 the first and the last are rejected, as the
    # example of https://en.wikipedia.org/wiki/Holm-Bonferroni_method works out.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_holm_never_exceeds_one_and_takes_an_empty_family() -> None:
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_holm_lies_between_the_raw_value_and_bonferroni_and_keeps_the_order(p_values: list[float]) -> None:
    adjusted = holm(p_values)
    for raw, value in zip(p_values, adjusted, strict=True):
        assert raw <= value <= min(1.0, raw * len(p_values)) or value == pytest.approx(min(1.0, raw * len(p_values)))
    in_order = [value for _, value in sorted(zip(p_values, adjusted, strict=True))]
    assert in_order == sorted(in_order)
