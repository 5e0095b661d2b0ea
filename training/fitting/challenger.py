"""A challenger: a fitted model, evaluated once on test rows, and its files."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from msgspec import Struct

from event_backbone.case.schema import Case
from event_backbone.events.schema import content_hash
from training.data.parts import DataParts
from training.data.raw import DataOrigin
from training.data.rows import Floats, LabelledRows
from training.families.boosted import MOST_ROUNDS, PATIENCE
from training.fitting.artifacts import bundle_parts
from training.fitting.cross_validation import (
    CANDIDATES,
    FOLDS,
    Candidate,
    FittedModel,
    fit,
    measure_name,
    parameters_of,
)
from training.fitting.evaluation import evaluate
from training.fitting.onnx import check_parity, onnx_scores, to_onnx
from training.fitting.pictures import draw_pictures
from training.fitting.tracking import RunRecord

PROVENANCE_FILE = "provenance.json"

METRICS_FILE = "metrics.json"
QUALITY_FOLDER = "quality"

Progress = Callable[[str], None]


class Provenance(Struct, frozen=True):
    """What is read again of :func:`note_of`: a bundle of somebody else may have none."""

    fingerprint: str | None = None


@dataclass(frozen=True)
class TrainingPlan:
    """Everything that decides the model, beside the data and the case file. Threads change the time only."""

    seed: int
    threads: int = 2
    candidates: Sequence[Candidate] = CANDIDATES


@dataclass(frozen=True)
class Converted:
    """A fitted model as ONNX; ``parity`` is the largest difference between the two on rows that it did not fit."""

    model: FittedModel
    onnx: bytes
    parity: float


@dataclass(frozen=True)
class EvaluatedModel(Converted):
    """A converted model with its measures on the test rows."""

    test_scores: Floats
    test_metrics: Mapping[str, float]


@dataclass(frozen=True)
class Challenger:
    """A model with the rows it comes from; the same ``fingerprint``, the same model.

    ``quality`` is the folder of what the quality gate found in the rows.
    """

    case: Case
    plan: TrainingPlan
    data: DataParts
    quality: Path
    evaluated: EvaluatedModel
    fingerprint: str

    def files(self) -> dict[str, bytes]:
        """The bundle's files beside its case file."""
        model, onnx = self.evaluated.model, self.evaluated.onnx
        reports = {METRICS_FILE: _metrics_report(self.case, self.evaluated), PROVENANCE_FILE: self.note()}
        independent = self.data.independent_reference_rows()
        return bundle_parts(self.case, model, onnx, self.data.reference, reports, independent_rows=independent)

    def note(self) -> dict[str, Any]:
        return note_of(self.case, self.plan, self.data, self.fingerprint)

    def gate_scores(self) -> Floats:
        """Scores of the gate rows as serving would give them, shape (rows,)."""
        features = self.evaluated.model.encoder.encode_rows(self.data.gate.records)
        return onnx_scores(self.evaluated.onnx, features)


def fingerprint_of(case: Case, plan: TrainingPlan, source: DataOrigin) -> str:
    """A digest of all that decides the model: the same fingerprint, the same model."""
    settings = {
        "seed": plan.seed,
        "folds": FOLDS,
        "most_rounds": MOST_ROUNDS,
        "patience": PATIENCE,
        "candidates": [
            [one.name, one.family, one.balance, one.order, parameters_of(case, one, plan.seed)]
            for one in plan.candidates
        ],
    }
    return content_hash({"case": case.sha256, "data": source.digests, "settings": settings})


def fit_and_evaluate(case: Case, plan: TrainingPlan, data: DataParts, progress: Progress) -> EvaluatedModel:
    """Fit on the fit rows, and evaluate on the test rows once.

    Raises :class:`~event_backbone.errors.StopError` when ONNX and the model disagree.
    """
    return evaluate_converted(case, fit_and_convert(case, plan, data, progress), data.test)


def fit_and_convert(case: Case, plan: TrainingPlan, data: DataParts, progress: Progress) -> Converted:
    """Fit on the fit rows; the reference rows show whether ONNX scores as the model does."""
    progress(f"fitting: {len(plan.candidates)} candidates by {FOLDS}-fold cross-validation on {len(data.fit):,} rows")
    model = fit(case, data.fit, seed=plan.seed, threads=plan.threads, candidates=plan.candidates)
    onnx = to_onnx(model)
    features = model.encoder.encode_rows(data.reference.records)
    parity = check_parity(case, onnx_scores(onnx, features), model.model.scores(features))
    return Converted(model, onnx, parity)


def evaluate_converted(case: Case, converted: Converted, test: LabelledRows) -> EvaluatedModel:
    """Scores and measures of the test rows."""
    model, onnx = converted.model, converted.onnx
    scores = onnx_scores(onnx, model.encoder.encode_rows(test.records))
    metrics = evaluate(case, test.targets(case), scores, model.threshold)
    return EvaluatedModel(model, onnx, converted.parity, scores, metrics)


def note_of(case: Case, plan: TrainingPlan, data: DataParts, fingerprint: str) -> dict[str, Any]:
    """The provenance of the rows. It goes into the bundle, so it holds no path of this machine."""
    return {
        "fingerprint": fingerprint,
        "case": case.name,
        "case_sha256": case.sha256,
        "source": data.source.kind,
        "synthetic": data.source.is_synthetic,
        "digests": data.source.digests,
        "seed": plan.seed,
        "rows": data.sizes(),
    }


def _metrics_report(case: Case, evaluated: EvaluatedModel) -> dict[str, Any]:
    model = evaluated.model
    compared = [
        {"name": one.candidate.name, "rounds": one.rounds, measure_name(case): one.measure} for one in model.compared
    ]
    return {
        "test": dict(evaluated.test_metrics),
        "validation": dict(model.validation_metrics),
        "largest_onnx_difference": evaluated.parity,
        "chosen": model.chosen.candidate.name,
        "compared": compared,
    }


def run_record(challenger: Challenger, documents: Mapping[str, bytes]) -> RunRecord:
    """The run as its tracker keeps it, with further files by name."""
    case, data, evaluated = challenger.case, challenger.data, challenger.evaluated
    model = evaluated.model
    chosen = model.chosen.candidate
    threshold = {} if model.threshold is None else {"threshold": model.threshold}
    sizes = {f"{name}_rows": size for name, size in data.sizes().items()}
    encoding: dict[str, str | int] = {
        "candidate": chosen.name,
        "family": chosen.family,
        "category_order": chosen.order,
        "rounds": model.chosen.rounds,
    }
    validation = {f"validation_{name}": value for name, value in model.validation_metrics.items()}
    return RunRecord(
        parameters={"seed": challenger.plan.seed, **encoding, **chosen.parameters, **threshold, **sizes},
        metrics={**evaluated.test_metrics, **validation, "largest_onnx_difference": evaluated.parity},
        tags={
            "case": case.name,
            "case_sha256": case.sha256,
            "data_source": data.source.kind,
            "synthetic": str(data.source.is_synthetic).lower(),
            "fingerprint": challenger.fingerprint,
        },
        pictures=draw_pictures(case, data.test.targets(case), evaluated.test_scores, model.threshold),
        documents=documents,
        folders={QUALITY_FOLDER: challenger.quality},
    )
