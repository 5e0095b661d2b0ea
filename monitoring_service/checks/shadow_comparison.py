"""Comparison of shadow and champion: agreement, flipped decisions, shift of the score, performance of both.

Pairs are joined by ``record_id`` and content when they are read, so it does not matter which side of a pair, or its
label, came first; an erased record is in no pair.
"""

from __future__ import annotations

import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from msgspec import Struct, field

from event_backbone.case.schema import Case
from event_backbone.events.schema import ModelRef
from monitoring_service.evaluation.measuring import MeasurerPort
from monitoring_service.inbox.store import Inbox
from monitoring_service.messages import Labelled, MetricValue

#: The newest pairs that are compared: their join takes a fifth of a second, in which nothing is stored.
MOST_PAIRS = 50_000
COMPARED_EVERY_S = 2.0
#: Of the time, at most this share goes into comparing.
COMPARING_SHARE = 0.02
_QUANTILES = (0.05, 0.5, 0.95)

_NEWEST = "SELECT m.name, m.version FROM shadows s JOIN models m ON m.id = s.model ORDER BY s.id DESC LIMIT 1"
# CROSS JOIN: from the newest shadow downwards, each finding its prediction.
_PAIRS = """
SELECT a.name, a.version, p.number, p.predicted_at, p.score, p.prediction, s.score, s.prediction, p.label
FROM shadows s CROSS JOIN predictions p ON p.record_id = s.record_id AND p.content_hash = s.content_hash
CROSS JOIN models a ON a.id = p.model
WHERE s.model IN (SELECT id FROM models WHERE name = ? AND version = ?) ORDER BY s.id DESC LIMIT ?
"""
_ANSWERED = """
SELECT count(*) FROM predictions WHERE number BETWEEN ? AND ? AND content_hash IS NOT NULL
AND model IN (SELECT id FROM models WHERE name = ? AND version = ?)
"""


class ScoreShift(Struct, frozen=True):
    """The shadow's score minus the champion's, over all pairs."""

    mean: float
    mean_absolute: float
    largest_absolute: float
    p05: float
    p50: float
    p95: float


class ShadowComparison(Struct, frozen=True):
    """One answering version and its shadow, over the pairs between two records.

    ``answered`` counts what the version answered from the first pair to the last: so many pairs there would be if none
    were missing. ``agreement`` is the share of pairs with the same decision and ``flipped`` counts the others as
    ``answered → shadow``; a regression decides nothing and has neither. Metrics are of the pairs with a label.
    """

    champion: ModelRef
    challenger: ModelRef
    pairs: int
    answered: int
    first_predicted_at: str
    last_predicted_at: str
    agreement: MetricValue | None
    flipped: dict[str, int]
    shift: ScoreShift
    labelled: int
    champion_metrics: dict[str, MetricValue] = field(name="champion_figures")
    challenger_metrics: dict[str, MetricValue] = field(name="challenger_figures")


@dataclass(frozen=True, slots=True)
class Pairs:
    """Pairs of one answering version, newest first; lists of one length."""

    champion: ModelRef
    challenger: ModelRef
    answered: int
    predicted_at: Sequence[str]
    champion_scores: list[float]
    champion_predictions: list[str | float]
    challenger_scores: list[float]
    challenger_predictions: list[str | float]
    labels: Sequence[str | float | None]

    def champion_labelled(self) -> Labelled:
        return _labelled(self.champion_scores, self.champion_predictions, self.labels)

    def challenger_labelled(self) -> Labelled:
        return _labelled(self.challenger_scores, self.challenger_predictions, self.labels)

    def challenger_against_champion(self) -> Labelled:
        """As if the answers were the truth: accuracy is agreement then."""
        return Labelled(self.challenger_scores, self.challenger_predictions, self.champion_predictions)


class ShadowComparisons:
    """Compares anew when predictions or labels came. :meth:`step` is for one thread, :meth:`newest` for any."""

    def __init__(
        self, case: Case, inbox: Inbox, measurer: MeasurerPort, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._case = case
        self._inbox = inbox
        self._measurer = measurer
        self._clock = clock
        self._due_at = clock()
        self._compared: tuple[int, ...] | None = None
        self._newest: list[ShadowComparison] = []

    def newest(self) -> list[ShadowComparison]:
        """By answering version, the one of the newest pair first; empty while there is no shadow."""
        return self._newest

    def step(self) -> None:
        """Compare if it is time and anything changed; call it as often as you like.

        Raises :class:`.NotMeasuredError` and :class:`.InboxUnavailableError`; the comparison before stays.
        """
        started = self._clock()
        if started < self._due_at:
            return
        self._due_at = started + COMPARED_EVERY_S
        totals = self._inbox.totals
        state = (totals.shadows, totals.predictions, totals.labels, totals.erasures)
        if totals.shadows and state != self._compared:
            self._newest = [self._compare(pairs) for pairs in self._pairs()]
            self._compared = state
            self._due_at = max(self._due_at, started + (self._clock() - started) / COMPARING_SHARE)

    def _pairs(self) -> list[Pairs]:
        with self._inbox.exclusive() as db:
            found = db.execute(_NEWEST).fetchone()
            if found is None:
                return []
            challenger = ModelRef(*found)
            rows = db.execute(_PAIRS, (challenger.name, challenger.version, MOST_PAIRS)).fetchall()
            champions = dict.fromkeys(ModelRef(row[0], row[1]) for row in rows)
            return [_pairs_of(db, champion, challenger, rows) for champion in champions]

    def _compare(self, pairs: Pairs) -> ShadowComparison:
        asked = [pairs.challenger_against_champion(), pairs.champion_labelled(), pairs.challenger_labelled()]
        beside, champion, challenger = self._measurer.metric_values(asked)
        return ShadowComparison(
            champion=pairs.champion,
            challenger=pairs.challenger,
            pairs=len(pairs.labels),
            answered=pairs.answered,
            first_predicted_at=pairs.predicted_at[-1],
            last_predicted_at=pairs.predicted_at[0],
            agreement=self._agreement(pairs, beside),
            flipped=self._flipped(pairs),
            shift=shift_between(pairs.champion_scores, pairs.challenger_scores),
            labelled=len(asked[1].labels),
            champion_metrics=champion,
            challenger_metrics=challenger,
        )

    def _agreement(self, pairs: Pairs, beside: dict[str, MetricValue]) -> MetricValue | None:
        if not self._case.is_binary:
            return None
        same = len(pairs.labels) - sum(self._flipped(pairs).values())
        return beside.get("accuracy", MetricValue(same / len(pairs.labels)))

    def _flipped(self, pairs: Pairs) -> dict[str, int]:
        if not self._case.is_binary:
            return {}
        both = Counter(zip(pairs.champion_predictions, pairs.challenger_predictions, strict=True))
        decisions = (str(self._case.target.negative), str(self._case.target.positive))
        return {f"{one} → {other}": both[one, other] for one in decisions for other in decisions if one != other}


def shift_between(champion: Sequence[float], challenger: Sequence[float]) -> ScoreShift:
    """Of at least one pair of scores."""
    shift = np.array(challenger, dtype=np.float64) - np.array(champion, dtype=np.float64)
    p05, p50, p95 = (float(value) for value in np.quantile(shift, _QUANTILES))
    size = np.abs(shift)
    return ScoreShift(float(shift.mean()), float(size.mean()), float(size.max()), p05, p50, p95)


def _pairs_of(
    db: sqlite3.Connection, champion: ModelRef, challenger: ModelRef, rows: Sequence[Sequence[object]]
) -> Pairs:
    mine = [row for row in rows if (row[0], row[1]) == (champion.name, champion.version)]
    columns = [list(column) for column in zip(*mine, strict=True)]
    numbers = columns[2]
    (answered,) = db.execute(_ANSWERED, (min(numbers), max(numbers), champion.name, champion.version)).fetchone()
    return Pairs(champion, challenger, int(answered), *columns[3:])


def _labelled(
    scores: Sequence[float], predictions: Sequence[str | float], labels: Sequence[str | float | None]
) -> Labelled:
    known = [row for row in zip(scores, predictions, labels, strict=True) if row[2] is not None]
    found = [label for _, _, label in known if label is not None]
    return Labelled([score for score, _, _ in known], [prediction for _, prediction, _ in known], found)
