"""How far estimates without labels lie from what labels say later, and what the gap between the two tells apart.

    python -m benchmarks.estimation --data-dir DIR --seed 1
    python -m benchmarks.estimation --data-dir DIR --quick

Real rows, divided by the seed: the model is fitted to some, others are the reference, and windows are drawn from the
rest. What is measured is made by what training runs and measured by what the service runs. A number that misses what is
promised makes the exit code 1.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from event_backbone.case.files import find_case
from event_backbone.case.schema import Case, Column
from event_backbone.model.reference_profile import Profile
from monitoring_service.drift.verdict import CheckTime
from monitoring_service.messages import Labelled, MeasurePerformance, Performance
from monitoring_service.performance.measuring import measure_performance
from monitoring_service.performance.realised import as_numbers
from monitoring_service.state.condition_rules import conditions_after_performance
from monitoring_service.state.conditions import Condition
from stream_generator.scenario.injection import Injector
from stream_generator.scenario.records import StreamRow
from stream_generator.scenario.scenarios import Timing, find_scenario
from training.data.retrieval import DataLocations, retrieve_real
from training.data.rows import Floats, Indices, LabelledRows
from training.fitting.artifacts import decide, reference_profile
from training.fitting.cross_validation import CANDIDATES, FittedModel, fit
from training.fitting.evaluation import evaluate

CASES = Path(__file__).parents[1] / "cases"
CONCEPT_DRIFT = "concept-drift"
WINDOW_ROWS = 1000
#: A condition has to hold in several windows in a row, so a stream is a few more than that.
WINDOWS_A_STREAM = 6
#: How many times more often the most favoured rows of a covariate shift come than the least favoured.
STRONGEST_PREFERENCE = 30.0

#: Promised mean absolute differences between estimated and realised metrics.
LARGEST_ERRORS = {"accuracy": 0.010, "f1": 0.022, "auc": 0.011}


@dataclass(frozen=True)
class Sizes:
    """How much is measured."""

    fit_rows: int
    reference_rows: int
    windows: int
    streams: int


FULL = Sizes(fit_rows=15_000, reference_rows=5_000, windows=200, streams=20)
QUICK = Sizes(fit_rows=5_000, reference_rows=5_000, windows=60, streams=5)


@dataclass(frozen=True)
class Pool:
    """Rows that neither the model nor the calibration has seen, with their scores and predictions."""

    rows: LabelledRows
    scores: Floats
    predictions: Sequence[str | float]


@dataclass(frozen=True)
class World:
    """One division of the rows, and what was fitted on it."""

    case: Case
    profile: Profile
    pool: Pool

    def performance(self, places: Indices, labels: Sequence[str | float]) -> Performance:
        """What the service measures over a window of these rows, all of them labelled with ``labels`` of the pool."""
        pool = self.pool
        predictions = [pool.predictions[place] for place in places]
        scores = pool.scores[places]
        request = MeasurePerformance(
            bundle_sha256="",
            labelled=Labelled(scores.tolist(), predictions, [labels[place] for place in places]),
            scores=scores.tobytes(),
            predictions=as_numbers(self.case, predictions).tobytes(),
            labelled_in_window=places.size,
        )
        return measure_performance(self.case, self.profile, request)


def made_world(case: Case, rows: LabelledRows, sizes: Sizes, seed: int) -> World:
    order = np.random.default_rng(seed).permutation(len(rows))
    fit_rows, reference, rest = np.split(order, np.cumsum([sizes.fit_rows, sizes.reference_rows]))
    model = fit(case, rows.take(fit_rows), seed=seed, threads=os.cpu_count() or 1, candidates=CANDIDATES[:1])
    known = _pool(case, model, rows.take(reference))
    performance = evaluate(case, known.rows.targets(case), known.scores, model.threshold)
    profile = reference_profile(case, model, known.rows, known.scores, performance)
    return World(case, profile, _pool(case, model, rows.take(rest)))


def _pool(case: Case, model: FittedModel, rows: LabelledRows) -> Pool:
    scores = model.model.scores(model.encoder.encode_rows(rows.records))
    return Pool(rows, scores, decide(case, scores, model.threshold))


def mean_errors(world: World, windows: int, seed: int) -> dict[str, float]:
    """The mean absolute difference between estimated and realised, by metric."""
    random = np.random.default_rng([seed, 1])
    errors: dict[str, list[float]] = {name: [] for name in LARGEST_ERRORS}
    for _ in range(windows):
        places = random.choice(len(world.pool.rows), WINDOW_ROWS, replace=False)
        performance = world.performance(places, world.pool.rows.labels)
        for name, found in errors.items():
            found.append(abs(performance.estimated[name].value - performance.metric_values[name].value))
    return {name: float(np.mean(found)) for name, found in errors.items()}


def concept_drift_holds(world: World, windows: Iterator[Indices], labels: Sequence[str | float]) -> bool:
    """Whether the condition holds after any of these windows."""
    conditions: list[Condition] = []
    held = False
    for number, places in enumerate(windows, start=1):
        check_time = CheckTime(number * WINDOW_ROWS, "")
        conditions = conditions_after_performance(world.case, conditions, world.performance(places, labels), check_time)
        held |= any(condition.name == "concept_drift" and condition.active for condition in conditions)
    return held


def drawn_windows(random: np.random.Generator, chances: Floats) -> Iterator[Indices]:
    """Windows of rows that come as often as ``chances``, shape (rows of the pool,), which add up to 1."""
    for _ in range(WINDOWS_A_STREAM):
        yield random.choice(chances.size, WINDOW_ROWS, replace=False, p=chances)


def inverted_labels(world: World, seed: int) -> list[str | float]:
    """The pool's labels as the case's own scenario of concept drift leaves them."""
    scenario = find_scenario(CONCEPT_DRIFT, world.case, CASES)
    injector = Injector(scenario, world.case, Timing(0), seed)
    rows = zip(world.pool.rows.records, world.pool.rows.labels, strict=True)
    drifted = [injector.apply(index, StreamRow(dict(record), label)) for index, (record, label) in enumerate(rows)]
    return [row.label for row in drifted if row.label is not None]


def shifted_chances(world: World, random: np.random.Generator) -> tuple[str, Floats]:
    """A covariate shift: some records come more often, and what a record means stays as it was.

    One column decides how often: large or small numbers, or some of the categories, are preferred.
    """
    column = world.case.features[random.integers(len(world.case.features))]
    preference = _preference(column, [record[column.name] for record in world.pool.rows.records], random)
    chances = STRONGEST_PREFERENCE**preference
    return column.name, chances / chances.sum()


def _preference(column: Column, values: Sequence[Any], random: np.random.Generator) -> Floats:
    """From 0 (least preferred) to 1, shape (rows,)."""
    if column.is_category:
        names = sorted({value for value in values if value is not None})
        preferred = set(random.permutation(names)[: max(1, len(names) // 2)].tolist())
        return np.array([value in preferred for value in values], dtype=np.float64)
    numbers = np.array([np.nan if value is None else value for value in values], dtype=np.float64)
    ranks = np.searchsorted(np.sort(numbers), numbers) / numbers.size
    return ranks if random.random() < 0.5 else 1 - ranks


def concept_drifts_found(world: World, streams: int, seed: int) -> int:
    labels = inverted_labels(world, seed)
    evenly: NDArray[np.float64] = np.full(len(labels), 1 / len(labels))
    generators = (np.random.default_rng([seed, 2, stream]) for stream in range(streams))
    return sum(concept_drift_holds(world, drawn_windows(random, evenly), labels) for random in generators)


def false_concept_drifts(world: World, streams: int, seed: int) -> list[str]:
    """The columns whose shift alone made the condition hold."""
    found = []
    for stream in range(streams):
        random = np.random.default_rng([seed, 3, stream])
        name, chances = shifted_chances(world, random)
        if concept_drift_holds(world, drawn_windows(random, chances), world.pool.rows.labels):
            found.append(name)
    return found


def run(data_dir: Path | None, sizes: Sizes, seed: int) -> bool:
    """Measure and print everything; whether all of it is as promised."""
    case = find_case("census", CASES)
    places = DataLocations(data_dir, Path("data"), CASES / "samples" / f"{case.name}.json")
    retrieved = retrieve_real(case, places, _no_download)
    rows = LabelledRows(
        [*retrieved.train.records, *retrieved.test.records], [*retrieved.train.labels, *retrieved.test.labels]
    )
    world = made_world(case, rows, sizes, seed)
    kept = []
    print(f"estimated against realised: mean difference over {sizes.windows} windows of {WINDOW_ROWS} rows")
    for name, error in mean_errors(world, sizes.windows, seed).items():
        kept.append(error <= LARGEST_ERRORS[name])
        print(f"  {name:<10} {error:.4f}   at most {LARGEST_ERRORS[name]:.3f}{'' if kept[-1] else '   MISSED'}")
    found = concept_drifts_found(world, sizes.streams, seed)
    false = false_concept_drifts(world, sizes.streams, seed)
    kept += [found == sizes.streams, not false]
    print(f"the concept_drift condition, {sizes.streams} streams of {WINDOWS_A_STREAM} windows each")
    print(f"  holds under concept drift           {found} of {sizes.streams}{'' if kept[-2] else '   MISSED'}")
    print(f"  holds under covariate shift alone   {len(false)} of {sizes.streams}{'' if kept[-1] else '   MISSED'}")
    for name in false:
        print(f"    by a shift of {name}")
    return all(kept)


def _no_download(url: str) -> bytes:
    raise click.UsageError(f"name the folder of the real files with --data-dir: {url} is not fetched for a benchmark")


@click.command()
@click.option("--data-dir", type=click.Path(path_type=Path, exists=True, file_okay=False), required=True)
@click.option("--seed", default=1, show_default=True)
@click.option("--quick", is_flag=True, help="a smaller model, fewer windows and fewer streams")
def main(data_dir: Path, seed: int, quick: bool) -> None:
    """Measure estimates without labels, and the condition that compares them with labels."""
    sys.exit(0 if run(data_dir, QUICK if quick else FULL, seed) else 1)


if __name__ == "__main__":
    main()
