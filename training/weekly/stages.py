"""The stages of the weekly flow, in order; a runner (Prefect, a test) runs each one by its name."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeVar

import msgspec

from event_backbone.case.schema import Case
from event_backbone.ports import RegisteredBundle
from event_backbone.process.files import replace_file
from training.data.parts import divide
from training.data.raw import Raw
from training.data.reading import Retrieved
from training.data.retrieval import retrieve
from training.fitting.challenger import Challenger, Progress, TrainingPlan, fingerprint_of, fit_and_evaluate
from training.flow.training_flow import FlowOutcome, FlowParts, put_in_use, settle
from training.promotion.card import model_card
from training.promotion.gate import GateDecision
from training.promotion.judging import judge
from training.quality.gate import Inspection, validate
from training.weekly.analysis import Changes, changes_between, load_profile, profile_of
from training.weekly.analysis_page import render_page
from training.weekly.new_records import NewRecords
from training.weekly.offline_prediction import Predicted, PredictionsOutput, open_champion, predict
from training.weekly.run_folders import CARD_FILE, PROFILE_FILE, REPORT_FILE

T = TypeVar("T")


class StageRunner(Protocol):
    """Runs a stage under its name, retries where what it needs was away, and returns its result."""

    def __call__(self, name: str, stage: Callable[[], T]) -> T: ...


@dataclass(frozen=True)
class NewData:
    """Source and output of the predictions at the end; opened when it is their turn."""

    records: Callable[[], NewRecords]
    place: Callable[[], PredictionsOutput]


@dataclass(frozen=True)
class Verdict:
    """A challenger, the champion that it was compared with, and the decision."""

    challenger: Challenger
    champion: RegisteredBundle | None
    decision: GateDecision


@dataclass(frozen=True)
class Week:
    """Collaborators of a run; it leaves its report, the model card and the gate's results in ``folder``.

    ``last_profile`` is what the run before left of its data.
    """

    case: Case
    plan: TrainingPlan
    parts: FlowParts
    new_data: NewData
    folder: Path
    last_profile: Path | None
    progress: Progress
    started_at: float = field(default_factory=time.monotonic)

    def retrieve(self) -> Raw:
        raw = retrieve(self.case, self.parts.places, self.parts.fetch)
        self.progress(f"data: {raw.source.sentence}")
        return raw

    def validate(self, raw: Raw) -> tuple[Retrieved, Inspection]:
        retrieved, inspection = validate(self.case, raw, self.parts.quality)
        self.progress(f"quality: {inspection.sentence}")
        return retrieved, inspection

    def analyse(self, retrieved: Retrieved) -> Changes | None:
        before = None if self.last_profile is None else load_profile(self.last_profile)
        now = profile_of(self.case, retrieved.source, retrieved.train)
        changes = None if before is None else changes_between(self.case, before, now)
        (self.folder / REPORT_FILE).write_text(render_page(self.case, now, before, changes), encoding="utf-8")
        replace_file(self.folder / PROFILE_FILE, msgspec.json.encode(now), durable=True)  # the next week reads it
        self.progress(f"analysis: {'no earlier run' if changes is None else changes.sentence}")
        return changes

    def train(self, retrieved: Retrieved, inspection: Inspection) -> Challenger:
        data = divide(self.case, retrieved, self.plan.seed)
        fingerprint = fingerprint_of(self.case, self.plan, retrieved.source)
        evaluated = fit_and_evaluate(self.case, self.plan, data, self.progress)
        return Challenger(self.case, self.plan, data, inspection.folder, evaluated, fingerprint)

    def evaluate(self, challenger: Challenger) -> Verdict:
        champion, decision = judge(challenger, self.parts.registry, self.parts.bundles)
        self.progress(f"gate: {decision.state}: {'; '.join(decision.reasons)}")
        (self.folder / CARD_FILE).write_bytes(model_card(challenger, decision, champion))
        return Verdict(challenger, champion, decision)

    def promote(self, judged: Verdict) -> FlowOutcome:
        challenger = judged.challenger
        outcome = settle(challenger, judged.champion, judged.decision, self.parts, self.started_at)
        is_ours = outcome.state == "promoted"
        put_in_use(self.parts, outcome.champion, challenger.data.stream, challenger.note(), is_ours=is_ours)
        self.progress(f"champion: {outcome.champion.model.name} version {outcome.champion.model.version}")
        return outcome

    def predict(self) -> Predicted:
        scorer = open_champion(self.case, self.parts.bundles, self.parts.registry)
        predicted = predict(self.case, scorer, self.new_data.records(), self.new_data.place())
        self.progress(predicted.sentence)
        return predicted


@dataclass(frozen=True)
class WeekOutcome:
    """The outcome of a run."""

    training: FlowOutcome
    changes: Changes | None
    predicted: Predicted
    folder: Path


def run_week(week: Week, stage: StageRunner) -> WeekOutcome:
    """Retrieve, validate, analyse, train, evaluate, promote, predict new data.

    Raises what a stage raises; the stages before it have left their files.
    """
    raw = stage("retrieve", week.retrieve)
    retrieved, inspection = stage("validate", lambda: week.validate(raw))
    changes = stage("analyse", lambda: week.analyse(retrieved))
    challenger = stage("train", lambda: week.train(retrieved, inspection))
    judged = stage("evaluate", lambda: week.evaluate(challenger))
    training = stage("promote", lambda: week.promote(judged))
    predicted = stage("predict new data", week.predict)
    return WeekOutcome(training, changes, predicted, week.folder)
