"""The comparison as a table: on a terminal, as Markdown and as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from rich.table import Table

from event_backbone.case.schema import Case
from training.comparison.cross_validation import CandidateComparison, CandidateMeasures, loss_name
from training.comparison.held_out import HeldOutMeasures
from training.comparison.importance import Importance
from training.promotion.segments import Segment

_CLASSES = {
    "auc": "AUC",
    "average_precision": "average precision",
    "log_loss": "log loss",
    "calibration_error": "calibration error",
    "brier": "Brier",
    "mean_score": "mean score",
    "accuracy": "accuracy at 0.5",
    "f1": "F1 at 0.5",
    "best_f1": "best F1",
}
_VALUES = {"mae": "MAE", "mse": "MSE", "rmse": "RMSE", "r2": "R²"}
_SEGMENT_TITLES = {
    "auc": "AUC",
    "log_loss": "log loss",
    "accuracy": "accuracy at the threshold",
    "score_excess": "mean score - share of positives",
    "mae": "MAE",
    "r2": "R²",
}
_SMALL = 10.0

Lines = Sequence[Sequence[str]]


def comparison_lines(case: Case, comparison: CandidateComparison) -> Lines:
    """Head and rows, the best first."""
    shown = _CLASSES if case.is_binary else _VALUES
    head = ["candidate", *shown.values(), "seconds"]
    ranked = sorted(comparison.compared, key=lambda one: one.metrics[loss_name(case)])
    return [head, *([*_named(comparison, one), *_numbers(one, shown)] for one in ranked)]


def _named(comparison: CandidateComparison, one: CandidateMeasures) -> list[str]:
    return [f"{one.candidate.name} (chosen)" if one is comparison.chosen else one.candidate.name]


def _numbers(one: CandidateMeasures, shown: Iterable[str]) -> list[str]:
    return [*(number(one.metrics[name]) for name in shown), f"{one.seconds:.0f}"]


def number(value: float) -> str:
    """Four digits behind the point, or none where the values are large."""
    return f"{value:.4f}" if abs(value) < _SMALL else f"{value:,.0f}"


def as_table(title: str, lines: Lines) -> Table:
    head, *rows = lines
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for name in head:
        table.add_column(name, justify="left" if name == head[0] else "right")
    for row in rows:
        table.add_row(*row)
    return table


def as_markdown(lines: Lines) -> str:
    head, *rows = lines
    ruler = ["---", *("---:" for _ in head[1:])]
    return "".join(f"| {' | '.join(line)} |\n" for line in [head, ruler, *rows])


def as_document(comparison: CandidateComparison) -> list[dict[str, Any]]:
    """Every candidate with its settings and measures."""
    return [
        {
            "name": one.candidate.name,
            "family": one.candidate.family,
            "balance": one.candidate.balance,
            "parameters": dict(one.candidate.parameters),
            "rounds": one.validated.rounds,
            "cross_validation": dict(one.metrics),
            "standard_error": one.standard_error,
            "seconds": one.seconds,
            "chosen": one is comparison.chosen,
        }
        for one in comparison.compared
    ]


def test_lines(case: Case, judged: HeldOutMeasures) -> Lines:
    """The chosen model on the test rows."""
    shown = {name: title for name, title in (_CLASSES if case.is_binary else _VALUES).items() if name in judged.test}
    return [list(shown.values()), [number(judged.test[name]) for name in shown]]


def segment_lines(segments: Sequence[Segment]) -> Lines:
    """Every segment with its measures and their intervals."""
    names = list(segments[0].measures)
    rows = [
        [f"{one.column} {one.value}".strip(), f"{one.rows:,}", *(str(one.measures.get(name, "")) for name in names)]
        for one in segments
    ]
    return [["segment", "rows", *(_SEGMENT_TITLES[name] for name in names)], *rows]


def importance_lines(case: Case, importance: Importance) -> Lines:
    """Every column, the one that counts most first."""
    ranked = sorted(importance.permutation, key=lambda name: -importance.permutation[name][0])
    change = "AUC lost without it" if case.is_binary else "RMSE gained without it"
    rows = [
        [
            name,
            f"{number(importance.permutation[name][0])} ± {number(importance.permutation[name][1])}",
            number(importance.shap[name]),
        ]
        for name in ranked
    ]
    return [["column", change, "mean |SHAP value|"], *rows]
