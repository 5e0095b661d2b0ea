"""A model that never changes between benchmark runs: 300 trees of depth 6, fitted with a fixed seed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from event_backbone.case.schema import Case
from event_backbone.events.schema import ModelRef, encode_json
from event_backbone.model.bundle import BundleStore, write_bundle
from event_backbone.model.encoder import Encoder
from event_backbone.ports import RegisteredBundle

TREES, DEPTH, SEED = 300, 6, 20

Rows = Sequence[Mapping[str, Any]]


def read_census(path: Path, case: Case, limit: int) -> tuple[list[dict[str, Any]], list[float]]:
    """Records and 0/1 labels of a stream split (``{"record": …, "label": …}`` a line)."""
    lines = [json.loads(line) for line in path.read_text().splitlines()[:limit]]
    return [line["record"] for line in lines], [float(line["label"] == case.target.positive) for line in lines]


def install_pinned_model(
    bundles_dir: Path, case: Case, rows: Rows, labels: Sequence[float], *, pointer: str = "current"
) -> None:
    """Fit, export and make it the bundle that ``pointer`` of ``bundles_dir`` points to."""
    from onnxmltools import convert_xgboost
    from onnxmltools.convert.common.data_types import FloatTensorType
    from xgboost import XGBClassifier

    encoder = Encoder.fit(case, rows, labels)
    features = encoder.encode_rows(rows)
    model = XGBClassifier(n_estimators=TREES, max_depth=DEPTH, learning_rate=0.05, random_state=SEED, n_jobs=2)
    model.fit(features, np.array(labels))
    onnx = convert_xgboost(model, initial_types=[("features", FloatTensorType([None, features.shape[1]]))])
    golden = [float(score) for score in model.predict_proba(features[:32])[:, 1]]
    parts = {
        "model.onnx": onnx.SerializeToString(),
        "encoder.json": encoder.to_json(),
        "decision.json": encode_json({"threshold": 0.5}),
        "golden.json": encode_json({"records": list(rows[:32]), "scores": golden}),
    }
    _install(bundles_dir, case, parts, pointer)


def _install(bundles_dir: Path, case: Case, parts: Mapping[str, bytes], pointer: str) -> None:
    made = bundles_dir / "making"
    shutil.rmtree(made, ignore_errors=True)
    sha256 = write_bundle(made, case, parts)
    shutil.rmtree(bundles_dir / sha256, ignore_errors=True)
    made.rename(bundles_dir / sha256)
    BundleStore(bundles_dir, pointer).repoint(RegisteredBundle(ModelRef("pinned", pointer), sha256))
