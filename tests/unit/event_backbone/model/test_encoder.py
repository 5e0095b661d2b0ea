"""The frozen encoder."""

from __future__ import annotations

import math
import timeit
from typing import Any

import numpy as np
import pytest

from event_backbone.case.files import case_from_dict
from event_backbone.case.schema import Case
from event_backbone.model.bundle import BrokenBundleError
from event_backbone.model.encoder import Encoder

SHA = "0" * 64


@pytest.fixture
def case() -> Case:
    return case_from_dict(
        {
            "name": "fruit",
            "title": "Fruit",
            "description": "Is it ripe?",
            "task": "binary",
            "target": {"name": "ripe", "title": "Ripe", "positive": "yes", "negative": "no"},
            "columns": [
                {"name": "weight", "title": "Weight", "help": "Grams.", "kind": "integer", "nullable": True},
                {"name": "note", "title": "Note", "help": "Not used.", "kind": "integer", "feature": False},
                {
                    "name": "colour",
                    "title": "Colour",
                    "help": "Of the skin.",
                    "kind": "category",
                    "nullable": True,
                    "expected": {"categories": ["green", "red", "yellow"]},
                },
            ],
            "data": {
                "citation": "none",
                "files": [
                    {"name": "a", "role": "train", "url": "http://localhost/a", "sha256": SHA, "rows": 100},
                    {"name": "b", "role": "test", "url": "http://localhost/b", "sha256": SHA, "rows": 10},
                ],
                "format": {"header": True},
                "split": {"fit_and_validation": 60, "reference": 20},
            },
        },
        subject="test",
    )


def _rows(*colours: str | None) -> list[dict[str, Any]]:
    return [{"weight": 10 + index, "note": 0, "colour": colour} for index, colour in enumerate(colours)]


def test_codes_rise_with_the_mean_label(case: Case) -> None:
    encoder = Encoder.fit(case, _rows("red", "red", "green", "green", "yellow", "yellow"), [1, 1, 0, 0, 0, 1])
    assert [encoder.encode([1, colour])[1] for colour in ("green", "yellow", "red")] == [0, 1, 2]


def test_a_rare_category_does_not_go_to_the_end(case: Case) -> None:
    rows = _rows(*["red"] * 40, *["green"] * 40, "yellow")
    encoder = Encoder.fit(case, rows, [1.0] * 38 + [0.0] * 42 + [1.0])
    assert [encoder.encode([1, colour])[1] for colour in ("green", "yellow", "red")] == [0, 1, 2]


def test_codes_can_follow_the_frequency_instead(case: Case) -> None:
    encoder = Encoder.fit(case, _rows("red", "green", "green"), [0, 1, 1], order="frequency")
    assert [encoder.encode([1, colour])[1] for colour in ("green", "red")] == [0, 1]


def test_equal_means_are_ordered_by_name_so_that_a_fit_is_repeatable(case: Case) -> None:
    one = Encoder.fit(case, _rows("red", "green", "yellow"), [1, 1, 1])
    other = Encoder.fit(case, _rows("yellow", "red", "green"), [1, 1, 1])
    assert one.to_json() == other.to_json()


def test_a_missing_category_that_was_seen_has_a_code_of_its_own(case: Case) -> None:
    encoder = Encoder.fit(case, _rows("red", None), [1, 0])
    assert encoder.encode([1, None])[1] == 0


def test_a_missing_category_that_was_not_seen_is_nan(case: Case) -> None:
    encoder = Encoder.fit(case, _rows("red", "green"), [1, 0])
    assert math.isnan(encoder.encode([1, None])[1])


def test_an_unseen_category_is_nan(case: Case) -> None:
    encoder = Encoder.fit(case, _rows("red", None), [1, 0])
    assert math.isnan(encoder.encode([1, "blue"])[1])


def test_a_missing_number_is_nan(case: Case) -> None:
    encoder = Encoder.fit(case, _rows("red"), [1])
    assert math.isnan(encoder.encode([None, "red"])[0])


def test_a_column_that_is_no_feature_is_left_out(case: Case) -> None:
    encoder = Encoder.fit(case, _rows("red"), [1])
    assert encoder.feature_names == ("weight", "colour")


def test_many_rows_are_encoded_like_one(case: Case) -> None:
    rows = _rows("red", "green", None, "blue")
    encoder = Encoder.fit(case, rows[:3], [1, 0, 0])
    encoded = encoder.encode_rows(rows)
    assert encoded.dtype == np.float32
    one_by_one = [encoder.encode([row["weight"], row["colour"]]) for row in rows]
    np.testing.assert_array_equal(encoded, np.array(one_by_one, dtype=np.float32))


def test_no_rows_keep_the_number_of_features(case: Case) -> None:
    assert Encoder.fit(case, _rows("red"), [1]).encode_rows([]).shape == (0, 2)


def test_json_and_back_is_the_same_encoder(case: Case) -> None:
    encoder = Encoder.fit(case, _rows("red", "green", None), [1, 0, 1])
    again = Encoder.from_json(encoder.to_json())
    assert again.to_json() == encoder.to_json()
    assert again.encode([3, None]) == encoder.encode([3, None])


def test_too_few_values_are_an_error_not_a_shift(case: Case) -> None:
    encoder = Encoder.fit(case, _rows("red"), [1])
    with pytest.raises(ValueError, match="1 values for 2 features"):
        encoder.encode([1])


@pytest.mark.parametrize("content", [b"{}", b"no json", b'{"format":2,"columns":[]}'])
def test_what_is_no_encoder_is_refused(content: bytes) -> None:
    with pytest.raises(BrokenBundleError, match="encoder"):
        Encoder.from_json(content)


def test_one_record_takes_microseconds(case: Case) -> None:
    encoder = Encoder.fit(case, _rows("red", "green"), [1, 0])
    best_s = min(timeit.repeat(lambda: encoder.encode([1, "red"]), number=1000, repeat=20)) / 1000
    # 14 columns may take 5 µs; two columns far less, with room for a slow machine.
    assert best_s < 5e-6
