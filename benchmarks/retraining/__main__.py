"""Retraining end to end, seed by seed.

    python -m benchmarks.retraining --data-dir ../data/census --seeds 5

Every seed trains a champion of its own and starts the services. Records it never saw are sent with their labels; from
one record to the next the labels are those of a scenario, until an alert has begun a retraining, it has ended, and
3,000 more records have followed. Holds that labels which can be learned are: the challenger is promoted, both services
follow, and the AUC on the records that follow is at most 0.02 below that of a model trained offline on the changed
world; that the gate refuses what was trained on random labels; and that no second retraining begins, either way. Exits
with 1 when one does not hold.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import click
import requests

from benchmarks.retraining.measuring import Measured, measure
from benchmarks.retraining.stack import running_stack
from benchmarks.retraining.world import world_of
from event_backbone.settings import read_settings
from training.settings import TrainingSettings

#: How far the AUC may be below that of a model that was trained offline on the changed world.
MOST_AUC_BELOW = 0.02
#: Scenario → what the gate has to say.
PROMISED = {"concept-drift": "promoted", "label-noise": "refused"}


def run(
    settings: TrainingSettings, scenario: str, seed: int, *, retraining_rows: int, records_per_s: float
) -> Measured:
    """One seed of one scenario, on a champion that is there already."""
    world = world_of(settings, scenario, seed)
    env = {
        "CASE": settings.case,
        "CASES_DIR": str(settings.cases_dir),
        "STATE_DIR": str(settings.state_dir),
        "TRAINING_SEED": str(settings.training_seed),
        "RETRAINING_ROWS": str(retraining_rows),
    }
    log = settings.state_dir / "services.log"
    try:
        with running_stack(env, log, records_per_s=records_per_s) as stack:
            with_offline = PROMISED[scenario] == "promoted"
            return measure(world, stack, retraining_rows=retraining_rows, with_offline=with_offline)
    except (RuntimeError, TimeoutError, requests.RequestException):
        click.echo(log.read_text()[-20_000:], err=True)
        raise


def train(settings: TrainingSettings) -> None:
    """A champion of the seed."""
    arguments = ["--case", settings.case, "--seed", str(settings.training_seed)]
    data = ["--data-dir", str(settings.data_dir)] if settings.data_dir is not None else []
    env = {"STATE_DIR": str(settings.state_dir), "CASES_DIR": str(settings.cases_dir)}
    subprocess.run([sys.executable, "-m", "training", *arguments, *data], check=True, env={**os.environ, **env})


def fault(scenario: str, measured: Measured) -> str | None:
    """Which promise does not hold."""
    wanted = PROMISED[scenario]
    if measured.states != [wanted]:
        return f"was {', '.join(measured.states)}"
    if measured.offline_auc is None:
        return None
    below = measured.offline_auc - measured.auc_after
    return None if below <= MOST_AUC_BELOW else f"AUC is {below:.4f} below"


def line(scenario: str, measured: Measured) -> str:
    found = fault(scenario, measured)
    offline = "" if measured.offline_auc is None else f", offline {measured.offline_auc:.4f}"
    return (
        f"{scenario:14} seed {measured.seed:<3} {', '.join(measured.states):9} AUC before {measured.auc_before:.4f}, "
        f"after {measured.auc_after:.4f}{offline}; alert after {measured.rows_until_run:,} "
        f"rows, run of {measured.run_s:.0f} s; {found or 'ok'} ({measured.reasons})"
    )


@click.command()
@click.option("--seeds", default=1, show_default=True, type=click.IntRange(min=1), help="how many seeds")
@click.option("--first-seed", default=1, show_default=True, type=click.IntRange(min=0))
@click.option("--scenario", "scenarios", multiple=True, type=click.Choice(list(PROMISED)), help="default: both")
@click.option("--data-dir", type=click.Path(exists=True, file_okay=False, path_type=Path), help="the case's raw files")
@click.option(
    "--champion",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="a STATE_DIR with a champion to copy, for all seeds; trained for each seed if not given",
)
@click.option("--rows", default=10_000, show_default=True, help="RETRAINING_ROWS")
@click.option("--rate", default=500.0, show_default=True, help="records a second")
def main(
    seeds: int,
    first_seed: int,
    scenarios: tuple[str, ...],
    data_dir: Path | None,
    champion: Path | None,
    rows: int,
    rate: float,
) -> None:
    """Retraining end to end; exits 1 when a promise is broken."""
    is_broken = False
    for seed in range(first_seed, first_seed + seeds):
        for scenario in scenarios or PROMISED:
            with tempfile.TemporaryDirectory() as folder:
                given = {"case": "census", "state_dir": Path(folder) / "state", "data_dir": data_dir}
                settings = read_settings(TrainingSettings).model_copy(update=given)
                if champion is not None:
                    shutil.copytree(champion, settings.state_dir)
                else:
                    settings = settings.model_copy(update={"training_seed": seed})
                    train(settings)
                measured = run(settings, scenario, seed, retraining_rows=rows, records_per_s=rate)
            print(line(scenario, measured), flush=True)
            is_broken |= fault(scenario, measured) is not None
    sys.exit(is_broken)


if __name__ == "__main__":
    main()
