"""The files of a model bundle, as bytes."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from event_backbone.case.schema import Case
from event_backbone.model.calibration import fit_expectation
from event_backbone.model.reference_profile import (
    PROFILE_FILE,
    Calibration,
    Profile,
    answer_profile,
    column_profiles,
    downsampled,
    encode_profile,
    number_profile,
)
from training.data.rows import Floats, LabelledRows
from training.fitting.cross_validation import FittedModel
from training.fitting.evaluation import evaluate
from training.fitting.onnx import onnx_scores

GOLDEN_ROWS = 60
UNSEEN_CATEGORY = "(unseen)"
#: What monitoring measures too, by the same names.
METRICS = {"accuracy", "precision", "recall", "f1", "auc", "log_loss", "calibration_error", "mae", "rmse", "r2"}


def bundle_parts(
    case: Case,
    model: FittedModel,
    onnx: bytes,
    reference: LabelledRows,
    reports: Mapping[str, Any],
    *,
    independent_rows: int | None = None,
) -> dict[str, bytes]:
    """Everything a bundle holds beside its case file; ``reports`` are further JSON files by name.

    ``independent_rows`` is how many rows the reference is worth, all of them if it is not given.
    """
    scores = onnx_scores(onnx, model.encoder.encode_rows(reference.records))
    predictions = decide(case, scores, model.threshold)
    measured = evaluate(case, reference.targets(case), scores, model.threshold)
    profile = reference_profile(case, model, reference, scores, measured)
    return {
        "model.onnx": onnx,
        **model.model.native_files(),
        "encoder.json": model.encoder.to_json(),
        "decision.json": _json({} if model.threshold is None else {"threshold": model.threshold}),
        "reference.parquet": _parquet(case, reference, scores, predictions),
        PROFILE_FILE: encode_profile(downsampled(profile, independent_rows or profile.rows)),
        "golden.json": _json(_golden(case, model, onnx, reference, scores)),
        **{name: _json(report) for name, report in reports.items()},
    }


def decide(case: Case, scores: Floats, threshold: float | None) -> list[str | float]:
    """The class each score stands for, or the scores themselves."""
    if threshold is None:
        return [float(score) for score in scores]
    target = case.target
    return [str(target.positive if score >= threshold else target.negative) for score in scores]


def _json(content: Any) -> bytes:
    return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False).encode()


def _parquet(case: Case, rows: LabelledRows, scores: Floats, predictions: Sequence[str | float]) -> bytes:
    """The reference rows as they came, with ``score``, ``prediction`` and the target."""
    import pyarrow as pa
    from pyarrow.parquet import write_table

    types = {"integer": pa.int64(), "number": pa.float64(), "category": pa.string()}
    answer = pa.string() if case.is_binary else pa.float64()
    columns = {
        column.name: pa.array([record[column.name] for record in rows.records], types[column.kind])
        for column in case.columns
    }
    columns |= {"score": pa.array(scores, pa.float64()), "prediction": pa.array(predictions, answer)}
    columns[case.target.name] = pa.array(rows.labels, answer)
    written = io.BytesIO()
    write_table(pa.table(columns), written, compression="zstd")
    return written.getvalue()


def reference_profile(
    case: Case, model: FittedModel, rows: LabelledRows, scores: Floats, performance: Mapping[str, float]
) -> Profile:
    """What monitoring compares windows with; nothing in it joins two values of one record."""
    return Profile(
        rows=len(rows),
        columns=column_profiles(case, {name: [record[name] for record in rows.records] for name in case.column_names}),
        scores=number_profile(scores.tolist()),
        predictions=answer_profile(case, decide(case, scores, model.threshold)),
        labels=answer_profile(case, rows.labels),
        performance={name: value for name, value in performance.items() if name in METRICS},
        expectation=expectation(case, model, rows, scores),
    )


def expectation(case: Case, model: FittedModel, reference: LabelledRows, scores: Floats) -> Calibration:
    """What scores led to, on the reference and on the folds' held-out rows: no model scored a row that it had seen.

    The reference alone is too small: how its sample happened to fall would be an error of every estimate. The folds'
    models are a little worse than the one they stand for, which costs less.
    """
    targets = np.concatenate([reference.targets(case), model.targets])
    return fit_expectation(case, np.concatenate([scores, model.chosen.scores]), targets)


def _golden(case: Case, model: FittedModel, onnx: bytes, rows: LabelledRows, scores: Floats) -> dict[str, Any]:
    """Records spread over the range of scores, and some of unseen and missing values, with the scores they must get."""
    spread = np.argsort(scores)[np.linspace(0, len(scores) - 1, min(GOLDEN_ROWS, len(scores))).astype(int)]
    records = [dict(rows.records[place]) for place in spread]
    records += [_with_unknowns(case, record) for record in records[:: max(1, len(records) // 4)]]
    return {"records": records, "scores": onnx_scores(onnx, model.encoder.encode_rows(records)).tolist()}


def _with_unknowns(case: Case, record: Mapping[str, Any]) -> dict[str, Any]:
    unknown = {column.name: UNSEEN_CATEGORY for column in case.columns if column.is_category}
    missing = {column.name: None for column in case.columns if column.nullable and not column.is_category}
    return {**record, **unknown, **missing}
