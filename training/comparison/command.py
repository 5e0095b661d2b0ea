"""``train-model compare`` and ``train-model search``."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import click

from training.commands.options import CASE_OPTION, DATA_DIR_OPTION, SEED_OPTION, SYNTHETIC_OPTION, settings_given
from training.families.balancing import Balance
from training.families.catalog import FamilyName
from training.fitting.candidates import BALANCES, FAMILY_NAMES, EvaluationProtocol

_PROTOCOL = click.option(
    "--protocol",
    type=click.Choice(get_args(EvaluationProtocol)),
    default="split",
    show_default=True,
    help="split: the case file's fit rows; official: every row that is no test row.",
)


@click.command()
@CASE_OPTION
@DATA_DIR_OPTION
@SEED_OPTION
@SYNTHETIC_OPTION
@_PROTOCOL
@click.option(
    "--family", "families", multiple=True, type=click.Choice(FAMILY_NAMES), help="Only these.  [default: all]"
)
@click.option("--balance", "balances", multiple=True, type=click.Choice(BALANCES), help="Only these.  [default: all]")
@click.option("--searched", is_flag=True, help="Add what `train-model search` found for these families.")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of tables and pictures.  [default: STATE_DIR]",
)
def compare(  # noqa: PLR0913, PLR0917 - click gives every option an argument
    case_name: str | None,
    data_dir: Path | None,
    seed: int | None,
    synthetic: bool,
    protocol: EvaluationProtocol,
    families: tuple[FamilyName, ...],
    balances: tuple[Balance, ...],
    searched: bool,
    out: Path | None,
) -> None:
    """Compare families of models by cross-validation, each as it is, with class weights and with SMOTE.

    The best one is fitted on all rows and measured on the test rows, once. Tables and pictures go to a folder and to
    MLflow, one run a candidate below one for the comparison. No champion is made: `train-model` does that.

    \b
    Examples:
      train-model compare --case census --data-dir ../data/census
      train-model compare --case census --protocol official --balance none
      train-model compare --case housing --family forest --family xgboost
      train-model search --case census --family xgboost && train-model compare --searched
    """
    from training.comparison.commands_run import Chosen, compare_families

    settings = settings_given(case_name, data_dir, seed)
    chosen = Chosen(settings, protocol, families or FAMILY_NAMES, synthetic)
    compare_families(chosen, balances or None, searched=searched, out=out)


@click.command()
@CASE_OPTION
@DATA_DIR_OPTION
@SEED_OPTION
@SYNTHETIC_OPTION
@_PROTOCOL
@click.option("--family", type=click.Choice(FAMILY_NAMES), default="xgboost", show_default=True)
@click.option("--trials", type=click.IntRange(min=1), default=40, show_default=True, help="Of the study, in all.")
@click.option("--minutes", type=click.FloatRange(min=0, min_open=True), help="No trial begins after them.")
def search(
    case_name: str | None,
    data_dir: Path | None,
    seed: int | None,
    synthetic: bool,
    protocol: EvaluationProtocol,
    family: FamilyName,
    trials: int,
    minutes: float | None,
) -> None:
    """Search a family's hyperparameters with Optuna; hopeless trials are given up after a fold or two.

    Trials are kept in STATE_DIR/<case>/search.db: the same command goes on where it was stopped.

    \b
    Examples:
      train-model search --case census --family xgboost --trials 40 --minutes 10
      train-model search --case housing --family forest
    """
    from training.comparison.commands_run import Chosen, search_family

    chosen = Chosen(settings_given(case_name, data_dir, seed), protocol, (family,), synthetic)
    search_family(chosen, family, trials, minutes)
