"""Scores of both contenders on the gate rows: the challenger as served, the champion through its own bundle."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from event_backbone.case.records import RecordDecoder
from event_backbone.case.schema import Case
from event_backbone.model.bundle import CHAMPION_ALIAS, BrokenBundleError, BundleStore, registered_name
from event_backbone.model.scoring import DecisionThreshold, Scorer
from event_backbone.ports import ModelRegistry, RegisteredBundle
from training.data.rows import LabelledRows
from training.fitting.challenger import Challenger
from training.promotion.gate import Contender, GateDecision, decide

_ROWS_AT_ONCE = 4096


def judge(
    challenger: Challenger, registry: ModelRegistry, bundles: BundleStore
) -> tuple[RegisteredBundle | None, GateDecision]:
    """The champion that a challenger was compared with, and the decision; one that can't score the gate rows is none.

    Raises :class:`~event_backbone.errors.TryAgainLaterError` when the registry is away.
    """
    case, gate = challenger.case, challenger.data.gate
    contender = Contender(challenger.gate_scores(), challenger.evaluated.model.threshold)
    try:
        champion = registry.resolve(registered_name(case), CHAMPION_ALIAS)
        present = None if champion is None else score_by_bundle(case, gate, champion, registry, bundles)
    except BrokenBundleError as error:
        decision = decide(case, contender, None, gate, seed=challenger.plan.seed)
        return None, replace(decision, reasons=[f"the champion can't be compared with it: {error}"])
    return champion, decide(case, contender, present, gate, seed=challenger.plan.seed)


def score_by_bundle(
    case: Case, rows: LabelledRows, registered: RegisteredBundle, registry: ModelRegistry, bundles: BundleStore
) -> Contender:
    """Score rows with a registered bundle, in the way of serving.

    Raises:
        BrokenBundleError: the bundle is not what its digests say, or was made for another case file.
        TryAgainLaterError: the registry is away.
    """
    bundle = bundles.install(registered, registry)
    scorer, decoder = Scorer(bundle, registered.model, case), RecordDecoder(case)
    records = [decoder.convert(record) for record in rows.records]
    scores = [
        score
        for start in range(0, len(records), _ROWS_AT_ONCE)
        for score in scorer.score(records[start : start + _ROWS_AT_ONCE])
    ]
    threshold = bundle.decode("decision.json", DecisionThreshold).threshold
    return Contender(np.array(scores, dtype=np.float64), threshold)
