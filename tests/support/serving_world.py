"""A bundle of the made case that can be served: its model gives :func:`monitoring_world.made_score`."""

from __future__ import annotations

import io
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnx
import pyarrow as pa
from monitoring_world import MODEL, made_case, made_profile, made_record, made_reference, made_score, write_case
from onnx import TensorProto, helper
from pyarrow import parquet

from event_backbone.case.schema import Case
from event_backbone.events.schema import encode_json
from event_backbone.model.bundle import BundleStore, write_bundle
from event_backbone.model.encoder import Encoder
from event_backbone.model.reference_profile import PROFILE_FILE, encode_profile
from event_backbone.ports import RegisteredBundle

#: Between two scores that a price in cents can have, so that rounding to 32 bits decides nothing.
THRESHOLD = 0.50005


def made_model(features: int, scale: float = 1.0) -> bytes:
    """ONNX of "scale · price / 100, between 0.01 and 0.99" as two probabilities; the price is the first feature."""

    def constant(name: str, kind: int, values: list[float]) -> onnx.NodeProto:
        return helper.make_node("Constant", [], [name], value=helper.make_tensor(name, kind, [len(values)], values))

    nodes = [
        constant("first", TensorProto.INT64, [0]),
        constant("hundred", TensorProto.FLOAT, [100.0 / scale]),
        constant("one", TensorProto.FLOAT, [1.0]),
        helper.make_node("Constant", [], ["low"], value=helper.make_tensor("low", TensorProto.FLOAT, [], [0.01])),
        helper.make_node("Constant", [], ["high"], value=helper.make_tensor("high", TensorProto.FLOAT, [], [0.99])),
        helper.make_node("Gather", ["features", "first"], ["price"], axis=1),
        helper.make_node("Div", ["price", "hundred"], ["share"]),
        helper.make_node("Clip", ["share", "low", "high"], ["positive"]),
        helper.make_node("Sub", ["one", "positive"], ["negative"]),
        helper.make_node("Concat", ["negative", "positive"], ["probabilities"], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "made",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, [None, features])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [None, 2])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 9
    return model.SerializeToString()


def scaled_score(record: Mapping[str, Any], scale: float) -> float:
    return made_score({**record, "price": scale * float(record["price"])})


def servable_parts(case: Case, scale: float = 1.0) -> dict[str, bytes]:
    """The files of a bundle that serving and monitoring can use; another ``scale`` says something else."""
    rng = random.Random(3)
    golden = [made_record(rng) for _ in range(16)]
    scores = [scaled_score(record, scale) for record in golden]
    encoder = Encoder.fit(case, golden, scores)
    reference = io.BytesIO()
    parquet.write_table(pa.table(made_reference()), reference)
    return {
        "model.onnx": made_model(len(encoder.feature_names), scale),
        "encoder.json": encoder.to_json(),
        "decision.json": encode_json({"threshold": THRESHOLD}),
        "golden.json": encode_json({"records": golden, "scores": scores}),
        "reference.parquet": reference.getvalue(),
        PROFILE_FILE: encode_profile(made_profile(case)),
    }


def install_champion(state_dir: Path, cases_dir: Path, **monitoring: int) -> None:
    """Write the made case, its bundle, and the pointer that makes it the champion."""
    write_case(cases_dir, **monitoring)
    case = made_case(**monitoring)
    bundles_dir = state_dir / case.name / "bundles"
    bundles_dir.mkdir(parents=True)
    sha256 = write_bundle(bundles_dir / "new", case, servable_parts(case))
    (bundles_dir / "new").rename(bundles_dir / sha256)
    BundleStore(bundles_dir).repoint(RegisteredBundle(MODEL, sha256))
