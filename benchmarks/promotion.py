"""What the gate decides, seed by seed, without any service.

    python -m benchmarks.promotion --data-dir ../data/census --seeds 5

Every seed trains a champion of its own and retrains three times on labelled records that nobody fitted: as they are,
with one label in ten turned at random, and with labels that follow another rule. Holds that only the last one promotes;
else the exit code is 1. `python -m benchmarks.retraining` asks the same of the running stack.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import click
import numpy as np

from benchmarks.retraining.world import World, world_of
from event_backbone.settings import read_settings
from training.bootstrap import build_parts
from training.data.rows import LabelledRows
from training.fitting.challenger import TrainingPlan
from training.flow.training_flow import FlowParts, retrain, train
from training.promotion.gate import GateDecision, gate_metric
from training.settings import TrainingSettings

#: Scenario → what the gate has to say. A promotion is kept, so the one that is promised comes last.
PROMISED = {"none": "refused", "label-noise": "refused", "concept-drift": "promoted"}


@dataclass(frozen=True)
class GateRun:
    seed: int
    scenario: str
    decision: GateDecision

    @property
    def is_as_promised(self) -> bool:
        return self.decision.state == PROMISED[self.scenario]

    def line(self, measure: str) -> str:
        numbers = self.decision.numbers
        pair = (numbers[f"{name}"] for name in (f"champion_{measure}", f"challenger_{measure}"))
        champion, challenger = (f"{value:.4f}" for value in pair)
        return (
            f"| {self.seed} | {self.scenario} | {self.decision.state} | {champion} | {challenger} | "
            f"{numbers[f'{measure}_difference']:+.4f} | {numbers[f'{measure}_difference_lower']:+.4f} | "
            f"{numbers['calibration_growth']:+.4f} | {numbers['worst_segment_growth']:+.4f} |"
        )


def judge_seed(settings: TrainingSettings, seed: int, rows: int) -> Iterator[GateRun]:
    """A champion, and what the gate says to each world."""
    parts, case = build_parts(settings), settings.load_case()
    plan = TrainingPlan(seed, settings.training_threads)
    train(case, plan, parts, _quiet)
    world = world_of(settings, "label-noise", seed)
    newest = world.unseen.take(np.arange(min(rows, len(world.unseen))))
    for scenario in PROMISED:
        changed = newest if scenario == "none" else replace(world, scenario=scenario).changed(newest, seed)
        yield GateRun(seed, scenario, _retrained(world, plan, parts, changed))


def _retrained(world: World, plan: TrainingPlan, parts: FlowParts, rows: LabelledRows) -> GateDecision:
    decision = retrain(world.case, plan, parts, rows, _quiet).decision
    assert decision is not None
    return decision


def _quiet(_: str) -> None:
    pass


@click.command()
@click.option("--data-dir", type=click.Path(exists=True, file_okay=False, path_type=Path), required=True)
@click.option("--case", "case_name", default="census", show_default=True)
@click.option("--seeds", default=5, show_default=True, type=click.IntRange(min=1))
@click.option(
    "--rows", default=8000, show_default=True, type=click.IntRange(min=200), help="Records a retraining gets."
)
def main(data_dir: Path, case_name: str, seeds: int, rows: int) -> None:
    """Print one line a seed and world."""
    given = read_settings(TrainingSettings).model_copy(update={"data_dir": data_dir, "case": case_name})
    measure = gate_metric(given.load_case())
    click.echo("| seed | world | gate | champion | challenger | difference | above | calibration | worst segment |")
    click.echo("| --- " * 9 + "|")
    broken = 0
    for seed in range(1, seeds + 1):
        with tempfile.TemporaryDirectory() as folder:
            settings = given.model_copy(update={"state_dir": Path(folder), "training_seed": seed})
            for judged in judge_seed(settings, seed, rows):
                click.echo(judged.line(measure))
                broken += not judged.is_as_promised
    if broken:
        click.echo(f"{broken} decisions are not as promised", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
