"""The training flow: retrieve, split, fit and compare, evaluate, convert, register, decide, promote."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from event_backbone.case.schema import Case
from event_backbone.errors import Fault, SettingsError
from event_backbone.events.schema import encode_json
from event_backbone.model.bundle import CHAMPION_ALIAS, BrokenBundleError, BundleStore, registered_name
from event_backbone.ports import ModelRegistry, RegisteredBundle
from training.data.parts import DataParts, divide, divide_newest
from training.data.raw import DataOrigin
from training.data.retrieval import DataLocations, Fetch, retrieve
from training.data.rows import LabelledRows
from training.data.splits_on_disk import fingerprint_of_splits, write_splits
from training.fitting.challenger import (
    PROVENANCE_FILE,
    Challenger,
    EvaluatedModel,
    Progress,
    Provenance,
    TrainingPlan,
    fingerprint_of,
    fit_and_evaluate,
    note_of,
    run_record,
)
from training.fitting.tracking import RunTracker
from training.promotion.card import CARD_FILE, model_card
from training.promotion.gate import GateDecision
from training.promotion.judging import judge
from training.promotion.registration import (
    DECISION_TAG,
    FINGERPRINT_TAG,
    promote,
    record_decision,
    register_challenger,
)
from training.quality.gate import Inspection, QualityGate, inspect_rows, read_or_explain

#: Who promotes when nobody in person does.
GATE = "gate"
FEWEST_RETRAINING_ROWS = 200


@dataclass(frozen=True)
class FlowParts:
    """Collaborators of the flow; bootstrap chooses the adapters."""

    registry: ModelRegistry
    tracker: RunTracker
    bundles: BundleStore
    fetch: Fetch
    places: DataLocations
    quality: QualityGate
    splits_dir: Path


@dataclass(frozen=True)
class FlowOutcome:
    """The outcome of the flow.

    ``champion`` is the one in use afterwards. ``challenger``, ``evaluated`` and ``decision`` are ``None`` when the
    present champion was good as it is.
    """

    source: DataOrigin
    champion: RegisteredBundle
    sizes: Mapping[str, int]
    seconds: float
    challenger: RegisteredBundle | None = None
    evaluated: EvaluatedModel | None = None
    decision: GateDecision | None = None

    @property
    def state(self) -> Literal["promoted", "refused", "unchanged"]:
        return "unchanged" if self.decision is None else self.decision.state


def train(
    case: Case,
    plan: TrainingPlan,
    parts: FlowParts,
    progress: Progress,
    *,
    if_needed: bool = False,
    if_none: bool = False,
) -> FlowOutcome:
    """Train a challenger, let the gate decide, and install champion and stream split for the services.

    With ``if_needed`` nothing is trained when the same data, case file and settings made the champion, or a challenger
    that the gate refused; with ``if_none`` any champion that fits the case file stays, and the stream split that is
    there.

    Raises:
        SettingsError: the data are not what the case file says.
        StopError: ONNX and the model disagree; nothing was registered.
        TryAgainLaterError: MLflow is away.
    """
    started_at = time.monotonic()
    raw = retrieve(case, parts.places, parts.fetch)
    progress(f"data: {raw.source.sentence}")
    retrieved = read_or_explain(case, raw, parts.quality)
    data = divide(case, retrieved, plan.seed)
    fingerprint = fingerprint_of(case, plan, retrieved.source)
    present = _usable_champion(case, parts) if if_needed or if_none else None
    if present and (if_none or fingerprint == present[1] or _was_refused(case, parts, fingerprint)):
        champion, made_by = present
        outcome = FlowOutcome(retrieved.source, champion, data.sizes(), time.monotonic() - started_at)
        is_ours = made_by == fingerprint and not if_none
    else:
        # Not before: the gate's library takes seconds to load, and a champion that stays needs none of it.
        inspection = inspect_rows(case, retrieved.train, retrieved.test, parts.quality)
        outcome = _challenge(case, plan, parts, data, inspection, fingerprint, progress, started_at)
        is_ours = outcome.state == "promoted"
    put_in_use(parts, outcome.champion, data.stream, note_of(case, plan, data, fingerprint), is_ours=is_ours)
    return outcome


def put_in_use(
    parts: FlowParts, champion: RegisteredBundle, stream: LabelledRows, note: Mapping[str, Any], *, is_ours: bool
) -> None:
    """Install champion and stream split for the services; ``is_ours``: the champion was made from these rows."""
    streamed = fingerprint_of_splits(parts.splits_dir)
    if streamed is None or (is_ours and streamed != note["fingerprint"]):
        # After the champion, and its own: a stream must not hold rows that the model in use was fitted on.
        write_splits(parts.splits_dir, stream, note)
    parts.bundles.repoint(champion)


def retrain(case: Case, plan: TrainingPlan, parts: FlowParts, rows: LabelledRows, progress: Progress) -> FlowOutcome:
    """Train a challenger on the newest of these labelled records, oldest first, and let the gate decide.

    Fit, reference and gate rows are disjoint parts of the newest records, so that a model of a new world is judged by
    that world, and monitored against it. The stream split stays as it is.

    Raises:
        SettingsError: there are too few records.
        StopError: ONNX and the model disagree; nothing was registered.
        TryAgainLaterError: MLflow is away.
    """
    started_at = time.monotonic()
    if len(rows) < FEWEST_RETRAINING_ROWS:
        message = f"there are {len(rows):,} labelled records; a retraining needs {FEWEST_RETRAINING_ROWS:,}"
        raise SettingsError("retraining", [Fault("rows", "too_few", message)])
    source = DataOrigin("log", f"{len(rows):,} labelled records", {"log": _digest_of(rows)})
    data = divide_newest(case, source, rows, plan.seed)
    inspection = inspect_rows(case, data.drawn(), LabelledRows([], []), parts.quality)
    outcome = _challenge(case, plan, parts, data, inspection, fingerprint_of(case, plan, source), progress, started_at)
    parts.bundles.repoint(outcome.champion)
    return outcome


def _challenge(
    case: Case,
    plan: TrainingPlan,
    parts: FlowParts,
    data: DataParts,
    inspection: Inspection,
    fingerprint: str,
    progress: Progress,
    started_at: float,
) -> FlowOutcome:
    """Fit a challenger and let it contest."""
    progress(f"quality: {inspection.sentence}")
    evaluated = fit_and_evaluate(case, plan, data, progress)
    return contest(Challenger(case, plan, data, inspection.folder, evaluated, fingerprint), parts, progress, started_at)


def contest(challenger: Challenger, parts: FlowParts, progress: Progress, started_at: float) -> FlowOutcome:
    """Let the gate decide about a challenger, register it, and promote it if the gate says so."""
    progress(f"gate: {len(challenger.data.gate):,} rows")
    champion, decision = judge(challenger, parts.registry, parts.bundles)
    progress(f"gate: {decision.state}: {'; '.join(decision.reasons)}")
    return settle(challenger, champion, decision, parts, started_at)


def settle(
    challenger: Challenger,
    champion: RegisteredBundle | None,
    decision: GateDecision,
    parts: FlowParts,
    started_at: float,
) -> FlowOutcome:
    """Register a challenger with what was decided about it, and promote it if that is the decision.

    ``champion`` is the one that it was compared with; ``started_at`` is of :func:`time.monotonic`.
    """
    case, data = challenger.case, challenger.data
    run_id = parts.tracker.record(
        registered_name(case), run_record(challenger, {CARD_FILE: model_card(challenger, decision, champion)})
    )
    registered = register_challenger(
        parts.registry, case, challenger.files(), run_id=run_id, fingerprint=challenger.fingerprint
    )
    record_decision(parts.registry, registered.model, decision)
    if champion is None or decision.promoted:
        parts.bundles.install(registered, parts.registry)
        promote(parts.registry, registered.model, by=GATE, reason=decision.reasons[0])
        champion = registered
    seconds = time.monotonic() - started_at
    return FlowOutcome(data.source, champion, data.sizes(), seconds, registered, challenger.evaluated, decision)


def _usable_champion(case: Case, parts: FlowParts) -> tuple[RegisteredBundle, str | None] | None:
    """The present champion, if it is of this case file, and its fingerprint; one that is broken counts as none."""
    try:
        champion = parts.registry.resolve(registered_name(case), CHAMPION_ALIAS)
        if champion is None:
            return None
        bundle = parts.bundles.install(champion, parts.registry)
        fingerprint = bundle.decode(PROVENANCE_FILE, Provenance).fingerprint
    except BrokenBundleError:
        return None
    return (champion, fingerprint) if bundle.case.sha256 == case.sha256 else None


def _was_refused(case: Case, parts: FlowParts, fingerprint: str) -> bool:
    """Whether the same challenger was refused before."""
    return any(
        one.tags.get(FINGERPRINT_TAG) == fingerprint and one.tags.get(DECISION_TAG) == "refused"
        for one in parts.registry.versions(registered_name(case))
    )


def _digest_of(rows: LabelledRows) -> str:
    digest = hashlib.sha256()
    for record, label in zip(rows.records, rows.labels, strict=True):
        digest.update(encode_json([record, label]))
    return digest.hexdigest()
