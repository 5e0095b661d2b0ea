"""The model families, by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from training.families.boosted import XGBoostFamily
from training.families.family import Family
from training.families.pipelines import PipelineFamily, boosting, forest, linear, missing_below_all, one_hot_and_scaled

FamilyName = Literal["linear", "forest", "boosting", "xgboost"]

FAMILIES: Mapping[FamilyName, Family] = {
    "linear": PipelineFamily(one_hot_and_scaled, linear),
    "forest": PipelineFamily(missing_below_all, forest),
    "boosting": PipelineFamily(lambda _: [], boosting),
    "xgboost": XGBoostFamily(),
}
