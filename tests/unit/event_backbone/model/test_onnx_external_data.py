"""Models whose weights are in files beside them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.external_data_helper import set_external_data

from event_backbone.model.onnx_external_data import external_files
from event_backbone.model.onnx_session import open_session


def weights(name: str, *, at: str | None) -> TensorProto:
    tensor = numpy_helper.from_array(np.full((2, 1), 2, np.float32), name)
    if at is not None:
        set_external_data(tensor, at, length=8)
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
    return tensor


def scaled(tensor: TensorProto, name: str = "scaled") -> onnx.GraphProto:
    return helper.make_graph(
        [helper.make_node("MatMul", ["x", tensor.name], ["y"])],
        name,
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 1])],
        [tensor],
    )


def model_of(graph: onnx.GraphProto, **parts: object) -> bytes:
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9, **parts)
    return model.SerializeToString()


def with_constant(tensor: TensorProto) -> onnx.GraphProto:
    """The tensor is an attribute's."""
    graph = scaled(weights("w", at=None))
    graph.node.append(helper.make_node("Constant", [], ["c"], value=tensor))
    return graph


def with_branches(tensor: TensorProto) -> onnx.GraphProto:
    """The tensor is one of a graph in a graph."""
    graph = scaled(weights("w", at=None))
    branch = helper.make_graph([], "branch", [], [helper.make_empty_tensor_value_info("b")], [tensor])
    graph.node.append(helper.make_node("If", ["c"], ["z"], then_branch=branch, else_branch=branch))
    return graph


@pytest.mark.parametrize("around", [scaled, with_constant, with_branches])
def test_every_file_outside_is_named(around: object) -> None:
    model = model_of(around(weights("other", at="weights.bin")))  # type: ignore[operator]
    assert external_files(model) == ["weights.bin"]


def test_a_model_that_holds_its_weights_names_none_whatever_its_words_are() -> None:
    model = helper.make_model(scaled(weights("location", at=None), "location"), ir_version=9)
    helper.set_model_props(model, {"location": "the moon"})
    assert external_files(model.SerializeToString()) == []


def test_a_function_is_looked_into() -> None:
    inside = helper.make_node("Constant", [], ["c"], value=weights("w", at="in-a-function.bin"))
    function = helper.make_function("own", "made", [], ["c"], [inside], [helper.make_opsetid("", 17)])
    assert external_files(model_of(scaled(weights("w", at=None)), functions=[function])) == ["in-a-function.bin"]


@pytest.mark.parametrize("content", [b"location", b"\x0a\x7flocation", b"location\xff" * 3])
def test_what_is_no_model_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match="is no ONNX model"):
        external_files(content)


def test_a_session_is_not_opened_with_weights_from_the_folder_that_a_process_runs_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "weights.bin").write_bytes(np.full((2, 1), 2, np.float32).tobytes())
    with pytest.raises(ValueError, match=r"in other files, weights\.bin"):
        open_session(model_of(scaled(weights("w", at="weights.bin"))))
    run = open_session(model_of(scaled(weights("w", at=None))))
    assert run({"x": np.ones((1, 2), np.float32)}).tolist() == [[4.0]]
