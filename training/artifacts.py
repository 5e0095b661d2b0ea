"""The files of a model bundle, as bytes."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from event_backbone.case import Case, Column
from training.conversion import onnx_scores
from training.fitting import FittedModel
from training.rows import Floats, LabelledRows

GOLDEN_ROWS = 60
UNSEEN_CATEGORY = "(unseen)"
_QUANTILES = np.linspace(0, 1, 21)


def bundle_parts(
    case: Case, model: FittedModel, onnx: bytes, reference: LabelledRows, reports: Mapping[str, Any]
) -> dict[str, bytes]:
    """Everything a bundle holds beside its case file; ``reports`` are further JSON files by name."""
    scores = onnx_scores(onnx, model.encoder.encode_rows(reference.records))
    predictions = decide(case, scores, model.threshold)
    return {
        "model.onnx": onnx,
        "model.ubj": bytes(model.booster.save_raw("ubj")),
        "encoder.json": model.encoder.to_json(),
        "decision.json": _json({} if model.threshold is None else {"threshold": model.threshold}),
        "reference.parquet": _parquet(case, reference, scores, predictions),
        "reference_profile.json": _json(profile(case, reference, scores)),
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


def profile(case: Case, rows: LabelledRows, scores: Floats) -> dict[str, Any]:
    """What the reference looks like, in a few numbers a column: shares of categories, quantiles of numbers."""
    columns = {column.name: _column_profile(column, [r[column.name] for r in rows.records]) for column in case.columns}
    target = (
        {"positive_share": float(rows.targets(case).mean())}
        if case.is_binary
        else {"quantiles": _quantiles(rows.targets(case))}
    )
    return {"rows": len(rows), "columns": columns, "target": target, "score": {"quantiles": _quantiles(scores)}}


def _column_profile(column: Column, values: Sequence[Any]) -> dict[str, Any]:
    present = [value for value in values if value is not None]
    missing_share = 1 - len(present) / len(values)
    if not column.is_category:
        return {"missing_share": missing_share, "quantiles": _quantiles(np.array(present, dtype=np.float64))}
    names, counts = np.unique(np.array(present, dtype=object).astype(str), return_counts=True)
    shares = sorted(zip((counts / len(values)).tolist(), names.tolist(), strict=True), reverse=True)
    return {"missing_share": missing_share, "shares": {name: share for share, name in shares}}


def _quantiles(values: Floats) -> list[float]:
    """21 quantiles, from the smallest value to the largest."""
    return [float(value) for value in np.quantile(values, _QUANTILES)] if len(values) else []


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
