"""The outcome of a training run as a table."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console
from rich.table import Table

from event_backbone.case.schema import Case
from training.fitting.challenger import EvaluatedModel
from training.fitting.cross_validation import measure_name
from training.flow.training_flow import FlowOutcome

_SHOWN = {
    "auc": "AUC",
    "accuracy": "accuracy",
    "f1": "F1",
    "log_loss": "log loss",
    "brier": "Brier",
    "mae": "MAE",
    "mse": "MSE",
    "r2": "R²",
}


def print_outcome(case: Case, outcome: FlowOutcome, console: Console) -> None:
    """The champion and its performance."""
    table = Table(title=_title(case, outcome), title_justify="left", show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column()
    for name, text in _rows(case, outcome):
        table.add_row(name, text)
    console.print()
    console.print(table)


def _title(case: Case, outcome: FlowOutcome) -> str:
    champion = outcome.champion.model
    done = {"promoted": "registered", "refused": "stays", "unchanged": "unchanged"}[outcome.state]
    return f"{case.title}: champion {champion.name} version {champion.version} {done}"


def _rows(case: Case, outcome: FlowOutcome) -> Iterator[tuple[str, str]]:
    yield "rows", ", ".join(f"{name} {size:,}" for name, size in outcome.sizes.items())
    if outcome.evaluated is not None:
        yield from _performance(case, outcome, outcome.evaluated)
    if outcome.decision is not None and outcome.challenger is not None:
        reasons = "; ".join(outcome.decision.reasons)
        yield "gate", f"version {outcome.challenger.model.version} {outcome.state}: {reasons}"
    yield "bundle", outcome.champion.bundle_sha256
    yield "time", f"{outcome.seconds:.1f} s"


def _performance(case: Case, outcome: FlowOutcome, evaluated: EvaluatedModel) -> Iterator[tuple[str, str]]:
    model, measure = evaluated.model, measure_name(case)
    for one in model.compared:
        name = "chosen" if one is model.chosen else "candidate"
        trees = f", {one.rounds} trees" if one.rounds else ""
        yield name, f"{measure} {one.measure:,.5g} in cross-validation{trees}: {one.candidate.name}"
    if model.threshold is not None:
        yield "threshold", f"{model.threshold:.4f} (best F1 on rows the scoring model did not fit)"
    remark = " (on SYNTHETIC rows: this says nothing about real ones)" if outcome.source.is_synthetic else ""
    shown = [(label, evaluated.test_metrics[name]) for name, label in _SHOWN.items() if name in evaluated.test_metrics]
    yield "test", ", ".join(f"{label} {value:,.5g}" for label, value in shown) + remark
    yield (
        "ONNX",
        f"differs from the model by {evaluated.parity:.1e} at most, on {outcome.sizes['reference']:,} reference rows",
    )
