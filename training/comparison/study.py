"""A comparison from rows to report: cross-validate, choose, test the chosen one, and write it all down."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from event_backbone.case.schema import Case
from event_backbone.model.bundle import registered_name
from training.comparison.cross_validation import CandidateComparison, CandidateMeasures, compare
from training.comparison.held_out import HeldOutMeasures, measure_held_out
from training.comparison.plots import draw_comparison, draw_explanation
from training.comparison.tables import (
    as_document,
    as_markdown,
    comparison_lines,
    importance_lines,
    segment_lines,
    test_lines,
)
from training.data.parts import divide
from training.data.reading import Retrieved
from training.data.rows import LabelledRows
from training.fitting.candidates import EvaluationProtocol
from training.fitting.cross_validation import Candidate, measure_name, parameters_of
from training.fitting.pictures import draw_pictures
from training.fitting.tracking import RunRecord, RunTracker

Progress = Callable[[str], None]


@dataclass(frozen=True)
class ComparisonPlan:
    """Everything that decides the outcome, beside the data and the case file."""

    seed: int
    threads: int
    protocol: EvaluationProtocol
    candidates: Sequence[Candidate]


@dataclass(frozen=True)
class Compiled:
    """A comparison's report; ``sections`` are tables by title, ``pictures`` PNG files by name."""

    comparison: CandidateComparison
    judged: HeldOutMeasures
    document: Mapping[str, Any]
    sections: Mapping[str, Sequence[Sequence[str]]]
    pictures: Mapping[str, bytes]


def run_comparison(case: Case, retrieved: Retrieved, plan: ComparisonPlan, progress: Progress) -> Compiled:
    """Compare on the rows for fitting; the test rows are read once, after the choice."""
    started_at = time.monotonic()
    rows, test = rows_of(case, retrieved, plan.protocol, plan.seed)
    progress(
        f"{len(plan.candidates)} candidates by cross-validation on {len(rows):,} rows; then {len(test):,} test rows"
    )
    done = _announcer(case, len(plan.candidates), progress)
    comparison = compare(case, rows, plan.candidates, seed=plan.seed, threads=plan.threads, done=done)
    progress(f"chosen: {comparison.chosen.candidate.name}")
    judged = measure_held_out(case, rows, test, comparison, plan.seed)
    pictures = {
        **draw_comparison(case, comparison),
        **draw_explanation(case, judged.importance, judged.segments),
        **draw_pictures(case, test.targets(case), judged.scores, judged.model.threshold),
    }
    document = _document(case, retrieved, plan, comparison, judged) | {
        "rows": {"fit": len(rows), "test": len(test)},
        "seconds": time.monotonic() - started_at,
    }
    return Compiled(comparison, judged, document, _sections(case, comparison, judged), pictures)


def rows_of(
    case: Case, retrieved: Retrieved, protocol: EvaluationProtocol, seed: int
) -> tuple[LabelledRows, LabelledRows]:
    """The rows to fit and choose on, and the test rows."""
    data = divide(case, retrieved, seed)
    if protocol == "split":
        return data.fit, data.test
    parts = (data.fit, data.reference, data.gate, data.stream)
    return LabelledRows(
        [record for part in parts for record in part.records], [label for part in parts for label in part.labels]
    ), data.test


def _announcer(case: Case, candidates: int, progress: Progress) -> Callable[[CandidateMeasures], None]:
    measure, count = measure_name(case), iter(range(1, candidates + 1))

    def announce(one: CandidateMeasures) -> None:
        reached = f"{measure} {one.metrics[measure]:,.5g}"
        progress(f"  {next(count)}/{candidates} {one.candidate.name}: {reached}, {one.seconds:.0f} s")

    return announce


def _sections(
    case: Case, comparison: CandidateComparison, judged: HeldOutMeasures
) -> dict[str, Sequence[Sequence[str]]]:
    name = comparison.chosen.candidate.name
    return {
        "Cross-validation": comparison_lines(case, comparison),
        f"Test rows: {name}": test_lines(case, judged),
        f"Segments of the test rows: {name}": segment_lines(judged.segments),
        f"Importance of the columns: {name}": importance_lines(case, judged.importance),
    }


def _document(
    case: Case, retrieved: Retrieved, plan: ComparisonPlan, comparison: CandidateComparison, judged: HeldOutMeasures
) -> dict[str, Any]:
    return {
        "case": case.name,
        "case_sha256": case.sha256,
        "source": retrieved.source.kind,
        "synthetic": retrieved.source.is_synthetic,
        "digests": retrieved.source.digests,
        "protocol": plan.protocol,
        "seed": plan.seed,
        "candidates": as_document(comparison),
        "test": dict(judged.test),
        "threshold": judged.model.threshold,
        "test_at_threshold": dict(judged.at_threshold),
        "largest_onnx_difference": judged.parity,
        "segments": [asdict(one) for one in judged.segments],
        "importance": asdict(judged.importance),
    }


def write_down(compiled: Compiled, folder: Path) -> None:
    """``comparison.json``, ``comparison.md`` and every picture in ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in {**documents_of(compiled), **compiled.pictures}.items():
        (folder / name).write_bytes(content)


def documents_of(compiled: Compiled) -> dict[str, bytes]:
    tables = "\n".join(f"## {title}\n\n{as_markdown(lines)}" for title, lines in compiled.sections.items())
    return {
        "comparison.json": json.dumps(compiled.document, indent=1, ensure_ascii=False).encode(),
        "comparison.md": tables.encode(),
    }


def record_runs(case: Case, plan: ComparisonPlan, compiled: Compiled, tracker: RunTracker) -> str:
    """One run for the comparison with everything in it, and below it one for each candidate; the id of the first."""
    experiment = f"{registered_name(case)}-comparison"
    tags = {"case": case.name, "case_sha256": case.sha256, "protocol": plan.protocol}
    tags["synthetic"] = str(compiled.document["synthetic"]).lower()
    chosen = compiled.comparison.chosen
    whole = RunRecord(
        parameters={"seed": plan.seed, "candidates": len(plan.candidates), "chosen": chosen.candidate.name},
        metrics={f"test_{name}": value for name, value in compiled.judged.test.items()},
        tags=tags,
        pictures=compiled.pictures,
        documents=documents_of(compiled),
    )
    parent = tracker.record(experiment, whole)
    for one in compiled.comparison.compared:
        tracker.record(experiment, _run_of(case, plan, one, {**tags, "chosen": str(one is chosen).lower()}, parent))
    return parent


def _run_of(
    case: Case, plan: ComparisonPlan, one: CandidateMeasures, tags: Mapping[str, str], parent: str
) -> RunRecord:
    candidate = one.candidate
    named = {"candidate": candidate.name, "family": candidate.family, "balance": candidate.balance}
    return RunRecord(
        parameters={**parameters_of(case, candidate, plan.seed), **named, "rounds": one.validated.rounds},
        metrics={**one.metrics, f"{measure_name(case)}_standard_error": one.standard_error, "seconds": one.seconds},
        tags=tags,
        parent=parent,
    )
