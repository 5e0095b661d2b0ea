"""Pictures of a model's performance."""

from __future__ import annotations

import numpy as np
from training_world import made_case, regression_case

from training.fitting.pictures import draw_pictures

TARGETS = np.array([0.0, 1.0] * 20)
SCORES = np.linspace(0.05, 0.95, 40)
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def test_classes_are_pictured_by_roc_calibration_and_confusion() -> None:
    pictures = draw_pictures(made_case(), TARGETS, SCORES, 0.5)
    assert sorted(pictures) == ["calibration.png", "confusion.png", "roc.png"]
    assert all(picture.startswith(PNG_SIGNATURE) for picture in pictures.values())


def test_values_are_pictured_by_their_residuals() -> None:
    pictures = draw_pictures(regression_case(), TARGETS * 1000, SCORES * 1000, None)
    assert list(pictures) == ["residuals.png"]
    assert pictures["residuals.png"].startswith(PNG_SIGNATURE)


def test_a_name_that_is_no_formula_is_drawn_as_it_is() -> None:
    case = regression_case()
    target = case.target.model_copy(update={"unit": "$ (\\of $1)"})
    broken = case.model_copy(update={"title": "below $5 or $\\frac{", "target": target})
    pictures = draw_pictures(broken, TARGETS * 1000, SCORES * 1000, None)
    assert pictures["residuals.png"].startswith(PNG_SIGNATURE)
