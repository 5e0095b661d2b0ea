"""The seeded split."""

from __future__ import annotations

import numpy as np
import pytest

from event_backbone.case import Split
from event_backbone.errors import SettingsError
from training.splitting import split_rows

WITH_TEST_FILE = Split(fit_and_validation=50, reference=20)
WITH_TEST_SHARE = Split(fit_and_validation=50, reference=20, test_share=0.2)


@pytest.mark.parametrize("split", [WITH_TEST_FILE, WITH_TEST_SHARE])
def test_the_parts_are_disjoint_and_together_all_rows(split: Split) -> None:
    parts = split_rows(100, split, seed=7)
    together = np.concatenate([parts.test, parts.fit, parts.reference, parts.stream])
    assert sorted(together.tolist()) == list(range(100))


def test_the_parts_have_the_sizes_of_the_case_file() -> None:
    parts = split_rows(100, WITH_TEST_SHARE, seed=7)
    assert [len(part) for part in (parts.test, parts.fit, parts.reference, parts.stream)] == [20, 50, 20, 10]
    assert len(split_rows(100, WITH_TEST_FILE, seed=7).test) == 0


def test_the_same_seed_draws_the_same_and_another_seed_another_split() -> None:
    assert split_rows(100, WITH_TEST_FILE, 7).fit.tolist() == split_rows(100, WITH_TEST_FILE, 7).fit.tolist()
    assert split_rows(100, WITH_TEST_FILE, 7).fit.tolist() != split_rows(100, WITH_TEST_FILE, 8).fit.tolist()


def test_the_test_rows_are_held_out_first_whatever_the_rest_is_cut_into() -> None:
    other = Split(fit_and_validation=30, reference=40, test_share=0.2)
    assert split_rows(100, WITH_TEST_SHARE, 7).test.tolist() == split_rows(100, other, 7).test.tolist()


def test_rows_are_drawn_not_taken_in_order() -> None:
    fit = split_rows(100, WITH_TEST_FILE, 7).fit
    assert fit.tolist() != sorted(fit.tolist())


def test_too_few_rows_for_a_stream_are_an_error() -> None:
    with pytest.raises(SettingsError, match="needs more than 70 rows, there are 70"):
        split_rows(70, WITH_TEST_FILE, 7)
