"""The stages of the pipeline: each reads the folder of the one before it.

They are the flow's own parts (:mod:`.training_flow`): the same data, settings and seed give the same model.
"""

from __future__ import annotations

import json
import time

from event_backbone.case.schema import Case
from training.data.parts import divide
from training.data.raw import load_raw, write_raw
from training.data.retrieval import DataLocations, Fetch, retrieve
from training.fitting.challenger import (
    Challenger,
    Progress,
    TrainingPlan,
    evaluate_converted,
    fingerprint_of,
    fit_and_convert,
)
from training.fitting.pictures import draw_pictures
from training.flow.training_flow import FlowOutcome, FlowParts, contest, put_in_use
from training.pipeline.curves import curves_of
from training.pipeline.folders import (
    PipelineFolders,
    fresh,
    load_data,
    load_retrieved,
    write_data,
    write_retrieved,
)
from training.pipeline.model_on_disk import load_model, write_model
from training.quality.gate import Inspection, QualityGate, validate


def retrieve_data(
    case: Case, folders: PipelineFolders, places: DataLocations, fetch: Fetch, progress: Progress
) -> None:
    """Write the raw data."""
    raw = retrieve(case, places, fetch)
    write_raw(fresh(folders.raw), raw)
    progress(f"data: {raw.source.sentence}")


def validate_data(case: Case, folders: PipelineFolders, gate: QualityGate, progress: Progress) -> Inspection:
    """Write the rows if nothing is wrong with them, and the results of every expectation in any case.

    Raises:
        SettingsError: with every fault by file and line, and every expectation that failed by its name.
    """
    rows = fresh(folders.rows)
    retrieved, inspection = validate(case, load_raw(folders.raw), gate)
    write_retrieved(rows, retrieved)
    progress(f"quality: {inspection.sentence}; results in {inspection.folder}")
    return inspection


def transform_data(case: Case, folders: PipelineFolders, seed: int, progress: Progress) -> None:
    """Write the splits: fit, test, reference, gate and stream rows."""
    data = divide(case, load_retrieved(folders.rows), seed)
    write_data(fresh(folders.splits), data)
    progress("rows: " + ", ".join(f"{name} {size:,}" for name, size in data.sizes().items()))


def train_model(case: Case, folders: PipelineFolders, plan: TrainingPlan, progress: Progress) -> None:
    """Write the model that cross-validation chose; no test row is read.

    Raises:
        StopError: ONNX and the model disagree.
    """
    converted = fit_and_convert(case, plan, load_data(folders.splits), progress)
    write_model(fresh(folders.model), plan, converted)
    progress(f"model: {converted.model.chosen.candidate.name}")


def evaluate_model(case: Case, folders: PipelineFolders, progress: Progress) -> None:
    """Leave measures, curves and pictures of the model on the test rows."""
    test, (_, converted) = load_data(folders.splits).test, load_model(folders.model)
    evaluated = evaluate_converted(case, converted, test)
    metrics = {
        "test": evaluated.test_metrics,
        "validation": converted.model.validation_metrics,
        "largest_onnx_difference": converted.parity,
    }
    folders.metrics.write_text(json.dumps(metrics, indent=1) + "\n")
    drawn = (case, test.targets(case), evaluated.test_scores, converted.model.threshold)
    plots = fresh(folders.plots)
    for name, content in {**curves_of(*drawn), **draw_pictures(*drawn)}.items():
        (plots / name).write_bytes(content)
    progress("test: " + ", ".join(f"{name} {value:,.5g}" for name, value in evaluated.test_metrics.items()))


def register_model(case: Case, folders: PipelineFolders, parts: FlowParts, progress: Progress) -> FlowOutcome:
    """Register the model as a challenger; it becomes champion if the gate says so.

    Raises:
        TryAgainLaterError: MLflow is away.
    """
    started_at = time.monotonic()
    data, (plan, converted) = load_data(folders.splits), load_model(folders.model)
    challenger = Challenger(
        case,
        plan,
        data,
        folders.quality,
        evaluate_converted(case, converted, data.test),
        fingerprint_of(case, plan, data.source),
    )
    outcome = contest(challenger, parts, progress, started_at)
    is_ours = outcome.state == "promoted"
    put_in_use(parts, outcome.champion, data.stream, challenger.note(), is_ours=is_ours)
    return outcome
