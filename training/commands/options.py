"""Options that commands of training share."""

from __future__ import annotations

from pathlib import Path

import click

from event_backbone.settings import read_settings
from training.fitting.candidates import FAMILY_NAMES
from training.settings import TrainingSettings

CASE_OPTION = click.option("--case", "case_name", help="The case.  [default: CASE, or census]")
DATA_DIR_OPTION = click.option(
    "--data-dir",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of the raw files; nothing else is tried.  [default: DATA_DIR; without it a download, then the sample]",
)
SEED_OPTION = click.option(
    "--seed", type=click.IntRange(min=0), help="Seed of split, folds and fit.  [default: TRAINING_SEED, or 7]"
)
FAMILY_OPTION = click.option(
    "--family",
    type=click.Choice([*FAMILY_NAMES, "best"]),
    default="xgboost",
    show_default=True,
    help="Family of models to fit; best is the one that cross-validation prefers.",
)
SYNTHETIC_OPTION = click.option(
    "--synthetic", is_flag=True, help="Train on the synthetic sample, whatever else there is."
)


def settings_given(case_name: str | None, data_dir: Path | None, seed: int | None = None) -> TrainingSettings:
    """Settings of the environment, and before them what the command line gave."""
    given = {"case": case_name, "data_dir": data_dir, "training_seed": seed}
    update = {name: value for name, value in given.items() if value is not None}
    return read_settings(TrainingSettings).model_copy(update=update)
