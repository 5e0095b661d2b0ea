"""Conversion of fitted models to ONNX."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from xgboost import Booster


INPUT_NAME = "features"


#: Without one the libraries make up another for each conversion: the same model shall be the same bytes.
_GRAPH_NAME = "scorer"


def booster_to_onnx(booster: Booster, features: int) -> bytes:
    """One float32 input ``features`` of shape (rows, features); the last output is (rows, 2) or (rows, 1)."""
    from onnxmltools import convert_xgboost
    from onnxmltools.convert.common.data_types import FloatTensorType

    input_type = [(INPUT_NAME, FloatTensorType([None, features]))]
    converted = convert_xgboost(booster, name=_GRAPH_NAME, initial_types=input_type)
    serialized: bytes = converted.SerializeToString()
    return serialized


def pipeline_to_onnx(pipeline: Any, features: int, *, is_binary: bool) -> bytes:
    """The same of a scikit-learn pipeline."""
    from skl2onnx import convert_sklearn
    from skl2onnx.common.data_types import FloatTensorType
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    converted = convert_sklearn(
        pipeline,
        name=_GRAPH_NAME,
        initial_types=[(INPUT_NAME, FloatTensorType([None, features]))],
        # Probabilities as a matrix, not as a list of dictionaries.
        options={id(pipeline): {"zipmap": False}} if is_binary else None,
        custom_conversion_functions={
            HistGradientBoostingClassifier: _convert_boosting,
            HistGradientBoostingRegressor: _convert_boosting,
        },
    )
    serialized: bytes = converted.SerializeToString()
    return serialized


def _convert_boosting(scope: Any, operator: Any, container: Any) -> None:
    from skl2onnx.common._registration import get_converter

    get_converter(operator.type)(scope, operator, _WholeNumbers(container))


class _WholeNumbers:
    """A converter's container; skl2onnx 1.20 hands it booleans where onnx 1.23 takes whole numbers alone."""

    _FLAGS = "nodes_missing_value_tracks_true"

    def __init__(self, container: Any) -> None:
        self._container = container

    def __getattr__(self, name: str) -> Any:
        return getattr(self._container, name)

    def add_node(self, *places: Any, **attributes: Any) -> None:
        if self._FLAGS in attributes:
            attributes[self._FLAGS] = [int(flag) for flag in attributes[self._FLAGS]]
        self._container.add_node(*places, **attributes)
