"""The commands of a comparison: get the rows, run, print."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from event_backbone.case.schema import Case
from training.bootstrap import build_parts
from training.commands.console import open_console
from training.comparison.hyperparameters import SearchPlan, search, searched_candidate, study_name
from training.comparison.study import ComparisonPlan, record_runs, rows_of, run_comparison, write_down
from training.comparison.tables import as_table, number
from training.data.reading import Retrieved, read_raw
from training.data.retrieval import retrieve
from training.families.balancing import Balance
from training.families.catalog import FamilyName
from training.fitting.candidates import EvaluationProtocol, candidates_of
from training.fitting.cross_validation import Candidate
from training.flow.training_flow import FlowParts
from training.settings import TrainingSettings


@dataclass(frozen=True)
class Chosen:
    """Options of a command."""

    settings: TrainingSettings
    protocol: EvaluationProtocol
    families: Sequence[FamilyName]
    synthetic: bool

    def study_name(self, case: Case, retrieved: Retrieved, family: FamilyName) -> str:
        seed = self.settings.training_seed
        return study_name(case, family, retrieved.source.digests, self.protocol, seed)


def compare_families(chosen: Chosen, balances: Sequence[Balance] | None, *, searched: bool, out: Path | None) -> None:
    """Compare, print every table, write the folder and the runs."""
    console, settings = open_console(), chosen.settings
    case, parts = settings.load_case(), build_parts(settings, synthetic_only=chosen.synthetic)
    retrieved = _retrieved(case, parts, console)
    candidates = list(candidates_of(case, chosen.families, balances))
    if searched:
        candidates += _searched(case, chosen, retrieved)
    plan = ComparisonPlan(settings.training_seed, settings.training_threads, chosen.protocol, candidates)
    compiled = run_comparison(case, retrieved, plan, console.print)
    for title, lines in compiled.sections.items():
        console.print()
        console.print(as_table(title, lines))
    folder = out or settings.case_dir / "comparison" / chosen.protocol
    write_down(compiled, folder)
    run_id = record_runs(case, plan, compiled, parts.tracker)
    console.print(f"\ntables and pictures: {folder}; MLflow run {run_id}; {compiled.document['seconds']:.0f} s")


def _retrieved(case: Case, parts: FlowParts, console: Console) -> Retrieved:
    retrieved = read_raw(case, retrieve(case, parts.places, parts.fetch))
    console.print(f"data: {retrieved.source.sentence}")
    return retrieved


def _searched(case: Case, chosen: Chosen, retrieved: Retrieved) -> Iterator[Candidate]:
    for family in chosen.families:
        name = chosen.study_name(case, retrieved, family)
        yield searched_candidate(case, family, _storage(chosen.settings), name)


def search_family(chosen: Chosen, family: FamilyName, trials: int, minutes: float | None) -> None:
    """Search, and print the best parameters."""
    console, settings = open_console(), chosen.settings
    case, parts = settings.load_case(), build_parts(settings, synthetic_only=chosen.synthetic)
    retrieved = _retrieved(case, parts, console)
    rows, _ = rows_of(case, retrieved, chosen.protocol, settings.training_seed)
    plan = SearchPlan(
        seed=settings.training_seed,
        threads=settings.training_threads,
        trials=trials,
        seconds=None if minutes is None else minutes * 60,
        shows_progress=sys.stderr.isatty(),
    )
    name = chosen.study_name(case, retrieved, family)
    found = search(case, rows, family, plan, _storage(settings), name)
    console.print(f"{name}: {found.complete} trials complete, {found.pruned} given up")
    console.print(f"best loss {number(found.loss)} with {dict(found.parameters)}")


def _storage(settings: TrainingSettings) -> Path:
    return settings.case_dir / "search.db"
