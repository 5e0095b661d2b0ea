"""The training flow: retrieve, split, fit and compare, evaluate, convert, register."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from event_backbone.bundle import CHAMPION_ALIAS, BrokenBundleError, BundleShelf, registered_name, write_bundle
from event_backbone.case import Case
from event_backbone.events import content_hash
from event_backbone.ports import ModelRegistry, RegisteredBundle
from training.artifacts import bundle_parts
from training.conversion import check_parity, onnx_scores, to_onnx
from training.evaluation import evaluate
from training.families.boosted import MOST_ROUNDS, PATIENCE
from training.fitting import (
    CANDIDATES,
    FOLDS,
    Candidate,
    FittedModel,
    fit,
    measure_name,
    parameters_of,
)
from training.pictures import draw_pictures
from training.raw import Source
from training.reading import Retrieved, read_raw
from training.retrieval import Fetch, Places, retrieve
from training.rows import Floats, LabelledRows
from training.splits_on_disk import fingerprint_of_splits, write_splits
from training.splitting import SplitIndices, split_log, split_rows
from training.tracking import RunRecord, RunTracker

PROVENANCE_FILE = "provenance.json"

Say = Callable[[str], None]


@dataclass(frozen=True)
class TrainingPlan:
    """What decides the model, beside the data and the case file. Threads change the time only."""

    seed: int
    threads: int = 2
    candidates: Sequence[Candidate] = CANDIDATES


@dataclass(frozen=True)
class Parts:
    """What training works with; bootstrap chooses the adapters."""

    registry: ModelRegistry
    tracker: RunTracker
    shelf: BundleShelf
    fetch: Fetch
    places: Places
    splits_dir: Path


@dataclass(frozen=True)
class Data:
    """The rows, by what they are for: fitting and choosing see ``fit`` alone, promotion is decided on ``gate``."""

    source: Source
    fit: LabelledRows
    reference: LabelledRows
    gate: LabelledRows
    stream: LabelledRows
    test: LabelledRows

    def sizes(self) -> dict[str, int]:
        return {name: len(getattr(self, name)) for name in ("fit", "reference", "gate", "stream", "test")}


@dataclass(frozen=True)
class Evaluated:
    """A fitted model as ONNX, and how it did on the test rows."""

    model: FittedModel
    onnx: bytes
    test_scores: Floats
    test_metrics: Mapping[str, float]
    parity: float


@dataclass(frozen=True)
class Outcome:
    """What a run of the flow ended with; ``evaluated`` is ``None`` when the present champion was good as it is."""

    source: Source
    champion: RegisteredBundle
    sizes: Mapping[str, int]
    evaluated: Evaluated | None
    seconds: float


def train(
    case: Case, plan: TrainingPlan, parts: Parts, say: Say, *, if_needed: bool = False, if_none: bool = False
) -> Outcome:
    """Train and register a champion, and put it and the stream split where the services look.

    With ``if_needed`` a champion that the same data, case file and settings made is left in place; with ``if_none`` any
    that fits the case file, and the stream split that is there.

    Raises:
        SettingsError: the data are not what the case file says.
        StopError: ONNX and the model disagree; nothing was registered.
        TryAgainLaterError: MLflow is away.
    """
    started_at = time.monotonic()
    retrieved = read_raw(case, retrieve(case, parts.places, parts.fetch))
    say(f"data: {retrieved.source.sentence}")
    data = divide(case, retrieved, plan.seed)
    fingerprint = fingerprint_of(case, plan, retrieved.source)
    champion = _champion_in_place(case, parts, None if if_none else fingerprint) if if_needed or if_none else None
    evaluated = None
    if champion is None:
        evaluated = fit_and_evaluate(case, plan, data, say)
        champion = _register(case, plan, data, evaluated, fingerprint, parts)
    streamed = fingerprint_of_splits(parts.splits_dir)
    if streamed != fingerprint and not (if_none and streamed is not None and evaluated is None):
        # After the champion: a stream must not hold rows that the model in use was fitted on.
        write_splits(parts.splits_dir, data.stream, _note_of(case, plan, data, fingerprint))
    parts.shelf.repoint(champion)
    return Outcome(retrieved.source, champion, data.sizes(), evaluated, time.monotonic() - started_at)


def divide(case: Case, retrieved: Retrieved, seed: int) -> Data:
    """Split the train rows; the test rows are the test files', or the share that was held out first.

    Of a log the newest rows are what the model and the decision about it come from.
    """
    rows, split = retrieved.train, case.data.split
    if retrieved.source.kind == "log":
        return _placed(retrieved.source, rows, split_log(_contents(rows), split, seed))
    data = _placed(retrieved.source, rows, split_rows(len(rows), split, seed))
    return data if split.test_share is not None else replace(data, test=retrieved.test)


def _placed(source: Source, rows: LabelledRows, places: SplitIndices) -> Data:
    parts = {part.name: rows.take(getattr(places, part.name)) for part in fields(places)}
    return Data(source, **parts)


def _contents(rows: LabelledRows) -> list[str]:
    return [content_hash(dict(record)) for record in rows.records]


def fingerprint_of(case: Case, plan: TrainingPlan, source: Source) -> str:
    """A digest of all that decides the model: the same fingerprint, the same model."""
    settings = {
        "seed": plan.seed,
        "folds": FOLDS,
        "most_rounds": MOST_ROUNDS,
        "patience": PATIENCE,
        "candidates": [
            [one.name, one.family, one.order, parameters_of(case, one, plan.seed)] for one in plan.candidates
        ],
    }
    return content_hash({"case": case.sha256, "data": source.digests, "settings": settings})


def fit_and_evaluate(case: Case, plan: TrainingPlan, data: Data, say: Say) -> Evaluated:
    """Fit on the fit rows, and look at the test rows once."""
    say(f"fitting: {len(plan.candidates)} candidates by {FOLDS}-fold cross-validation on {len(data.fit):,} rows")
    model = fit(case, data.fit, seed=plan.seed, threads=plan.threads, candidates=plan.candidates)
    onnx = to_onnx(model)
    features = model.encoder.encode_rows(data.test.records)
    scores = onnx_scores(onnx, features)
    parity = check_parity(case, scores, model.model.scores(features))
    metrics = evaluate(case, data.test.targets(case), scores, model.threshold)
    return Evaluated(model, onnx, scores, metrics, parity)


def _champion_in_place(case: Case, parts: Parts, made_by: str | None) -> RegisteredBundle | None:
    """The present champion, if it is of this case file and, where one is given, has this fingerprint.

    One that is broken counts as none.
    """
    try:
        champion = parts.registry.resolve(registered_name(case), CHAMPION_ALIAS)
        if champion is None:
            return None
        bundle = parts.shelf.install(champion, parts.registry)
        fingerprint = json.loads(bundle.read(PROVENANCE_FILE)).get("fingerprint")
    except BrokenBundleError:
        return None
    return champion if bundle.case.sha256 == case.sha256 and made_by in (None, fingerprint) else None


def _register(
    case: Case, plan: TrainingPlan, data: Data, evaluated: Evaluated, fingerprint: str, parts: Parts
) -> RegisteredBundle:
    """Log the run, register its bundle as the champion and place it on this machine's shelf."""
    note = _note_of(case, plan, data, fingerprint)
    reports = {"metrics.json": _metrics_report(case, evaluated), PROVENANCE_FILE: note}
    contents = bundle_parts(case, evaluated.model, evaluated.onnx, data.reference, reports)
    with tempfile.TemporaryDirectory() as workspace:
        bundle_dir = Path(workspace) / "bundle"
        sha256 = write_bundle(bundle_dir, case, contents)
        name = registered_name(case)
        run_id = parts.tracker.record(name, _run_record(case, plan, data, evaluated, fingerprint))
        model = parts.registry.register(bundle_dir, sha256, name=name, alias=CHAMPION_ALIAS, run_id=run_id)
    champion = RegisteredBundle(model, sha256)
    parts.shelf.install(champion, parts.registry)
    return champion


def _note_of(case: Case, plan: TrainingPlan, data: Data, fingerprint: str) -> dict[str, Any]:
    """What the rows were. It goes into the bundle, so it holds no path of this machine."""
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


def _metrics_report(case: Case, evaluated: Evaluated) -> dict[str, Any]:
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


def _run_record(case: Case, plan: TrainingPlan, data: Data, evaluated: Evaluated, fingerprint: str) -> RunRecord:
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
        parameters={"seed": plan.seed, **encoding, **chosen.parameters, **threshold, **sizes},
        metrics={**evaluated.test_metrics, **validation, "largest_onnx_difference": evaluated.parity},
        tags={
            "case": case.name,
            "case_sha256": case.sha256,
            "data_source": data.source.kind,
            "synthetic": str(data.source.is_synthetic).lower(),
            "fingerprint": fingerprint,
        },
        pictures=draw_pictures(case, data.test.targets(case), evaluated.test_scores, model.threshold),
    )
