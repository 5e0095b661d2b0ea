"""The rows of one run: what the champion never saw, as they are and as a scenario has them."""

from __future__ import annotations

import json
from dataclasses import dataclass

import msgspec
import numpy as np

from event_backbone.case.schema import Case
from event_backbone.errors import StopError
from stream_generator.scenario.injection import Injector
from stream_generator.scenario.records import StreamRow
from stream_generator.scenario.scenarios import Timing, find_scenario
from training.bootstrap import build_parts
from training.data.parts import divide
from training.data.reading import read_raw
from training.data.retrieval import retrieve
from training.data.rows import Floats, LabelledRows
from training.fitting.challenger import TrainingPlan
from training.fitting.cross_validation import fit
from training.fitting.evaluation import evaluate
from training.settings import TrainingSettings


@dataclass(frozen=True)
class World:
    """A case with a champion, and a scenario that changes labels.

    ``fitted`` are the rows that the champion was fitted to, ``unseen`` those that it never saw, in an order drawn by
    ``seed``.
    """

    case: Case
    settings: TrainingSettings
    scenario: str
    seed: int
    fitted: LabelledRows
    unseen: LabelledRows

    def changed(self, rows: LabelledRows, seed: int) -> LabelledRows:
        """The rows as the scenario has them at full strength; what it draws, it draws by ``seed``."""
        scenario = find_scenario(self.scenario, self.case, self.settings.cases_dir)
        injector = Injector(scenario, self.case, Timing(0), seed)
        pairs = zip(rows.records, rows.labels, strict=True)
        return _rows(
            [injector.apply(place, StreamRow(dict(record), label)) for place, (record, label) in enumerate(pairs)]
        )

    def offline_auc(self, rows: LabelledRows) -> float:
        """Of a model that training fits to all of ``fitted`` as the scenario has them."""
        plan = TrainingPlan(self.settings.training_seed, self.settings.training_threads)
        fitted = self.changed(self.fitted, self.seed + 1)
        made = fit(self.case, fitted, seed=plan.seed, threads=plan.threads, candidates=plan.candidates)
        return self.auc(rows, made.model.scores(made.encoder.encode_rows(rows.records)))

    def auc(self, rows: LabelledRows, scores: Floats) -> float:
        return evaluate(self.case, rows.targets(self.case), scores, threshold=0.5)["auc"]


def world_of(settings: TrainingSettings, scenario: str, seed: int) -> World:
    """The world of the champion that ``train-model`` left: nobody fitted its stream split and the test files."""
    case = settings.load_case()
    if not case.is_binary:
        raise StopError("this measures AUC, so it is for a case with two classes")
    parts, note = build_parts(settings), json.loads((settings.stream_path.parent / "source.json").read_bytes())
    data = divide(case, read_raw(case, retrieve(case, parts.places, parts.fetch)), note["seed"])
    streamed = _rows([msgspec.json.decode(line, type=StreamRow) for line in settings.stream_path.open("rb")])
    unseen = LabelledRows([*streamed.records, *data.test.records], [*streamed.labels, *data.test.labels])
    order = np.random.default_rng([seed, 1]).permutation(len(unseen))
    return World(case, settings, scenario, seed, data.fit, unseen.take(order))


def _rows(rows: list[StreamRow]) -> LabelledRows:
    return LabelledRows([row.record for row in rows], [row.label for row in rows if row.label is not None])
