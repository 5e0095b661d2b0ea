"""The seeded split."""

from __future__ import annotations

import numpy as np
import pytest

from event_backbone.case.schema import Split
from event_backbone.errors import SettingsError
from training.data.splitting import SplitIndices, log_rows_needed, split_log, split_retraining, split_rows

WITH_TEST_FILE = Split(fit_and_validation=50, reference=20, gate_rows=5)
WITH_TEST_SHARE = Split(fit_and_validation=50, reference=20, gate_rows=5, test_share=0.2)


def _sizes(parts: SplitIndices) -> list[int]:
    return [len(part) for part in (parts.test, parts.fit, parts.reference, parts.gate, parts.stream)]


@pytest.mark.parametrize("split", [WITH_TEST_FILE, WITH_TEST_SHARE])
def test_the_parts_are_disjoint_and_together_all_rows(split: Split) -> None:
    parts = split_rows(100, split, seed=7)
    together = np.concatenate([parts.test, parts.fit, parts.reference, parts.gate, parts.stream])
    assert sorted(together.tolist()) == list(range(100))


def test_the_parts_have_the_sizes_of_the_case_file() -> None:
    assert _sizes(split_rows(100, WITH_TEST_SHARE, seed=7)) == [20, 50, 20, 5, 5]
    assert _sizes(split_rows(100, WITH_TEST_FILE, seed=7)) == [0, 50, 20, 5, 25]


def test_without_a_size_the_gate_gets_a_third_of_what_is_left() -> None:
    unsaid = Split(fit_and_validation=50, reference=20)
    assert _sizes(split_rows(100, unsaid, seed=7)) == [0, 50, 20, 10, 20]


def test_the_gate_comes_out_of_the_stream_and_moves_no_other_row() -> None:
    other = split_rows(100, Split(fit_and_validation=50, reference=20, gate_rows=9, test_share=0.2), 7)
    parts = split_rows(100, WITH_TEST_SHARE, 7)
    assert parts.fit.tolist() == other.fit.tolist()
    assert parts.reference.tolist() == other.reference.tolist()
    assert [*parts.gate, *parts.stream] == [*other.gate, *other.stream]


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
    with pytest.raises(SettingsError, match="needs more than 75 rows, there are 75"):
        split_rows(75, WITH_TEST_FILE, 7)


def test_of_a_log_the_newest_rows_are_drawn_and_the_older_ones_are_the_stream() -> None:
    # 50 + 20 + 5 rows are four fifths of what is drawn; 19 more are for testing.
    parts = split_log(range(200), WITH_TEST_FILE, seed=7)
    assert _sizes(parts) == [19, 50, 20, 5, 106]
    assert parts.stream.tolist() == list(range(106))
    together = np.concatenate([parts.test, parts.fit, parts.reference, parts.gate])
    assert sorted(together.tolist()) == list(range(106, 200))
    assert parts.fit.tolist() != sorted(parts.fit.tolist())


def test_a_log_with_too_few_rows_is_an_error() -> None:
    assert log_rows_needed(WITH_TEST_FILE) == 95
    with pytest.raises(SettingsError, match="needs 95 rows, there are 94"):
        split_log(range(94), WITH_TEST_FILE, seed=7)


@pytest.mark.parametrize("seed", range(5))
def test_records_that_are_the_same_fall_into_the_same_part(seed: int) -> None:
    contents = [number % 40 for number in range(200)]
    parts = split_log(contents, WITH_TEST_FILE, seed)
    drawn = [{contents[place] for place in part} for part in (parts.test, parts.fit, parts.reference, parts.gate)]
    assert sum(map(len, drawn)) == len(set().union(*drawn)) == 40


def test_a_log_of_one_content_is_an_error() -> None:
    with pytest.raises(SettingsError, match="different rows, there are 1"):
        split_log(["same"] * 200, WITH_TEST_FILE, seed=7)


def test_a_retraining_takes_the_newest_rows_up_to_the_sizes_of_the_case_file() -> None:
    parts = split_retraining(range(200), WITH_TEST_FILE, seed=7)
    assert _sizes(parts) == [0, 50, 20, 5, 125]
    assert min(np.concatenate([parts.fit, parts.reference, parts.gate])) == 125


def test_a_retraining_on_few_rows_gives_an_eighth_each_to_reference_and_gate() -> None:
    many = Split(fit_and_validation=5000, reference=2000, gate_rows=1000)
    assert _sizes(split_retraining(range(1000), many, seed=7)) == [0, 750, 125, 125, 0]
