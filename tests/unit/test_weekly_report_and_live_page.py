"""The weekly report and the live page say the same of the same rows.

What is compared: the run before is the reference, this run one window, and the target's values stand for the scores, so
that both families have the same members. Then p-values, effects, what moved, adjusted p-values and "drifted" are equal,
before the live page's rule of several checks in a row.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from monitoring_world import case_content

from event_backbone.case.files import case_from_dict
from event_backbone.case.schema import Case
from event_backbone.model.reference_profile import Profile, answer_profile, column_profiles, number_profile
from monitoring_service.drift.univariate import DriftReference, measure_columns, measure_scores
from monitoring_service.drift.verdict import CheckTime, ColumnVerdict, Rule, judge
from monitoring_service.windows.columns import column_values
from training.data.raw import DataOrigin
from training.data.rows import LabelledRows
from training.weekly.analysis import Change, Changes, changes_between, profile_of

SOURCE = DataOrigin("folder", "made up", {})
NAMES = [f"kind{number}" for number in range(40)]
#: A column that is common, rare and very rare, in falling shares.
SHARES = np.array([0.5, 0.3, 0.15, *[0.05 / 37] * 37])

Columns = dict[str, list[Any]]
Decision = tuple[float | None, float | None, float | None, str | None, bool]


def made_case(**monitoring: Any) -> Case:
    """A regression of many columns; the ones that a world moves are ``price``, ``items`` and ``payment``."""
    content = case_content(**{"minimum_rows": 100, "significance": 0.0004, "minimum_effect": 0.005, **monitoring})
    numbers = [
        {"name": f"number{place}", "title": "Number", "help": "One of many.", "kind": "number"} for place in range(8)
    ]
    kind = {"name": "kind", "title": "Kind", "help": "Of many.", "kind": "category", "nullable": True}
    kind["expected"] = {"categories": NAMES[:3]}
    content.update(task="regression", target={"name": "value", "title": "Value"})
    content["columns"] = [*content["columns"], kind, *numbers]
    return case_from_dict(content, subject="made case")


@dataclass(frozen=True)
class World:
    """How rows are drawn; the defaults are those of the run before."""

    rows: int = 2000
    shift: float = 0.0
    missing_items: float = 0.05
    missing_kinds: float = 0.02
    payments: tuple[float, ...] = (0.5, 0.3, 0.19, 0.01)
    unseen_kinds: float = 0.0

    def draw(self, seed: int) -> Columns:
        chance = np.random.default_rng(seed)
        columns: Columns = {
            "price": chance.normal(50 + self.shift, 10, self.rows).round(2).tolist(),
            "items": with_gaps(chance.integers(1, 10, self.rows).tolist(), self.missing_items, chance),
            "payment": chance.choice(["card", "cash", "transfer", "cheque"], self.rows, p=self.payments).tolist(),
            "kind": with_gaps(self._kinds(chance), self.missing_kinds, chance),
            "value": chance.normal(self.shift, 1, self.rows).tolist(),
        }
        return columns | {f"number{place}": chance.normal(0, 1, self.rows).tolist() for place in range(8)}

    def _kinds(self, chance: np.random.Generator) -> list[str]:
        known = chance.choice(NAMES, self.rows, p=SHARES).tolist()
        return ["new" if chance.random() < self.unseen_kinds else name for name in known]


def with_gaps(values: Sequence[Any], share: float, chance: np.random.Generator) -> list[Any]:
    return [None if gone else value for value, gone in zip(values, chance.random(len(values)) < share, strict=True)]


def by_the_weekly_report(case: Case, before: Columns, now: Columns) -> Changes:
    return changes_between(
        case, profile_of(case, SOURCE, _rows(case, before)), profile_of(case, SOURCE, _rows(case, now))
    )


def _rows(case: Case, columns: Columns) -> LabelledRows:
    rows = len(columns["value"])
    records = [{name: columns[name][row] for name in case.column_names} for row in range(rows)]
    return LabelledRows(records, columns["value"])


def by_the_live_page(case: Case, before: Columns, now: Columns) -> dict[str, ColumnVerdict]:
    """One check of one window that holds all rows."""
    scores = number_profile(before["value"])
    profile = Profile(
        len(before["value"]), column_profiles(case, before), scores, answer_profile(case, before["value"])
    )
    reference = DriftReference(case, profile)
    window = {column.name: column_values(column, now[column.name]) for column in case.columns}
    columns = measure_columns(case, reference, window)
    score = measure_scores(case, reference, np.array(now["value"]))
    rule = Rule(case.monitoring.significance, case.monitoring.consecutive_checks, case.monitoring.window_rows)
    effects = {column.name: case.minimum_effect(column) for column in case.columns}
    check_time = CheckTime(len(now["value"]), "now")
    column_verdict = [
        *judge(columns, effects, {}, check_time, rule, beside=[score]),
        *judge([score], {"score": case.monitoring.minimum_effect}, {}, check_time, rule, beside=columns),
    ]
    return {"value" if one.measure is score else one.measure.name: one for one in column_verdict}


def said_by_the_weekly_report(changes: Changes) -> Mapping[str, Decision]:
    def said(change: Change) -> Decision:
        return change.p_value, change.effect, change.adjusted_p, change.moved, change.notable

    return {name: said(change) for name, change in {**changes.columns, "value": changes.target}.items()}


def said_by_the_live_page(column_verdict: Mapping[str, ColumnVerdict]) -> Mapping[str, Decision]:
    return {
        name: (one.measure.p_value, one.measure.effect, one.adjusted_p, one.measure.moved, bool(one.suspicious))
        for name, one in column_verdict.items()
    }


WORLDS = {
    "alike": World(rows=1000),
    "all moved": World(rows=1000, shift=3.0, missing_items=0.2, payments=(0.4, 0.3, 0.2, 0.1), unseen_kinds=0.1),
    "nearly moved": World(rows=1000, shift=0.9, missing_items=0.08, payments=(0.46, 0.34, 0.185, 0.015)),
    "few rows": World(rows=150, shift=2.0, missing_items=0.15, unseen_kinds=0.03),
    "few values": World(rows=120, missing_items=0.8, missing_kinds=0.85),
    "nothing but missing": World(rows=300, missing_items=1.0, missing_kinds=1.0),
    "a rare category is common": World(rows=400, payments=(0.5, 0.3, 0.0, 0.2)),
    "a new category": World(rows=400, unseen_kinds=0.02),
    "too few rows": World(rows=99, shift=5.0),
}
#: Columns that a world moved so far that both must say so; the others may be said by chance.
MOVED = {
    "all moved": {"price", "items", "payment", "kind", "value"},
    "few rows": {"value"},
    "few values": {"items", "kind"},
    "nothing but missing": {"items", "kind"},
    "a rare category is common": {"payment"},
}


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("world", WORLDS)
def test_the_weekly_report_says_of_every_column_what_the_live_page_says(world: str, seed: int) -> None:
    case, before, now = made_case(), World().draw(seed), WORLDS[world].draw(1000 + seed)
    weekly = said_by_the_weekly_report(by_the_weekly_report(case, before, now))
    assert weekly == said_by_the_live_page(by_the_live_page(case, before, now))
    drifted = {name for name, (*_, is_drifted) in weekly.items() if is_drifted}
    assert drifted >= MOVED.get(world, set())
    if world in ("alike", "too few rows"):
        assert drifted == set()


@pytest.mark.parametrize("seed", range(4))
def test_both_change_their_mind_at_the_same_significance(seed: int) -> None:
    """The adjusted p-value of a column as the level: it is no drift, and with the next larger number it is."""
    before, now = World().draw(seed), WORLDS["nearly moved"].draw(1000 + seed)
    found = said_by_the_weekly_report(by_the_weekly_report(made_case(), before, now))
    levels = {
        name: adjusted for name, (_, _, adjusted, _, _) in found.items() if adjusted is not None and 0 < adjusted < 1
    }
    assert levels
    for name, level in levels.items():
        for significance, is_drifted in ((level, False), (math.nextafter(level, 1), True)):
            case = made_case(significance=significance)
            weekly = said_by_the_weekly_report(by_the_weekly_report(case, before, now))
            assert weekly == said_by_the_live_page(by_the_live_page(case, before, now))
            assert weekly[name][-1] is is_drifted


def test_both_change_their_mind_at_the_same_effect() -> None:
    before, now = World().draw(1), WORLDS["all moved"].draw(1001)
    found = said_by_the_weekly_report(by_the_weekly_report(made_case(), before, now))
    effect = found["price"][1]
    assert effect is not None
    for minimum, is_drifted in ((effect, True), (math.nextafter(effect, 1), False)):
        case = made_case(minimum_effect=minimum)
        weekly = said_by_the_weekly_report(by_the_weekly_report(case, before, now))
        assert weekly == said_by_the_live_page(by_the_live_page(case, before, now))
        assert weekly["price"][-1] is is_drifted


def test_a_report_of_too_few_rows_says_that_and_nothing_else() -> None:
    changes = by_the_weekly_report(made_case(), World().draw(1), WORLDS["too few rows"].draw(2))
    assert not changes.judged
    assert changes.sentence.endswith("too few rows to tell")
