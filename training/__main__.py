"""Command line of training."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click

from event_backbone.process.commands import run_command
from training.commands.options import (
    CASE_OPTION,
    DATA_DIR_OPTION,
    FAMILY_OPTION,
    SEED_OPTION,
    SYNTHETIC_OPTION,
    settings_given,
)
from training.comparison.command import compare, search
from training.families.catalog import FamilyName
from training.fitting.candidates import champion_candidates
from training.pipeline.command import STAGES
from training.server.command import serve
from training.settings import TrainingSettings
from training.versions.command import promote, rollback, versions
from training.weekly.command import weekly
from training.weekly.predict_command import predict_command


@click.group(invoke_without_command=True)
@CASE_OPTION
@DATA_DIR_OPTION
@SEED_OPTION
@click.option("--if-needed", is_flag=True, help="Keep a champion that the same data, case file and settings made.")
@click.option("--if-none", is_flag=True, help="Keep any champion that fits the case file, whatever it was trained on.")
@FAMILY_OPTION
@SYNTHETIC_OPTION
@click.option(
    "--from-log",
    "log_url",
    help="Train on stored predictions that have a label: mongodb://host[/database], sqlite:///journal, or its path.",
)
@click.pass_context
def cli(  # noqa: PLR0913, PLR0917 - click gives every option an argument
    context: click.Context,
    case_name: str | None,
    data_dir: Path | None,
    seed: int | None,
    if_needed: bool,
    if_none: bool,
    family: FamilyName | Literal["best"],
    synthetic: bool,
    log_url: str | None,
) -> None:
    """Train a model for a case and register it; it becomes the champion if the gate finds it better than the present.

    \b
    Examples:
      train-model --case census --data-dir ../data/census
      train-model --case housing --if-needed
      train-model --case census --family best                        every family, not XGBoost alone
      train-model --case census --from-log mongodb://127.0.0.1:27017/streamgauge
      train-model sample --case census --data-dir ../data/census     refit the synthetic sample
      train-model sample --case census --draw 1000 --out drawn.csv   draw rows from it
      train-model predict --in new.csv --out predictions.parquet     score new records with the champion
      train-model weekly --case census                               every stage, from data to predictions
      train-model versions --case census                             what is registered, and what the gate said
    """
    if context.invoked_subcommand is not None:
        return
    if log_url is not None and (synthetic or data_dir is not None):
        raise click.UsageError("--from-log takes no other source beside it")
    from training.bootstrap import build_parts
    from training.commands.console import open_console
    from training.commands.outcome_table import print_outcome
    from training.fitting.challenger import TrainingPlan
    from training.flow.training_flow import train

    settings = settings_given(case_name, data_dir, seed)
    case = settings.load_case()
    plan = TrainingPlan(settings.training_seed, settings.training_threads, champion_candidates(case, family))
    parts = build_parts(settings, synthetic_only=synthetic, log_url=log_url)
    console = open_console()
    outcome = train(case, plan, parts, console.print, if_needed=if_needed, if_none=if_none)
    print_outcome(case, outcome, console)


@cli.command()
@CASE_OPTION
@DATA_DIR_OPTION
@click.option("--draw", type=click.IntRange(min=1), help="Draw this many rows instead of refitting the tables.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Where drawn rows go: .csv or .jsonl.")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(min=0), help="Seed of the draw.")
def sample(case_name: str | None, data_dir: Path | None, draw: int | None, out: Path | None, seed: int) -> None:
    """Refit the synthetic sample on the real training rows, or draw rows from it.

    The sample is a file of tables, cases/samples/<case>.json. Refitting needs the real files: --data-dir, DATA_DIR, or
    a download.

    \b
    Examples:
      train-model sample --case census --data-dir ../data/census
      train-model sample --case housing --draw 5000 --seed 3 --out drawn.jsonl
    """
    if (draw is None) != (out is None):
        raise click.UsageError("--draw and --out belong together")
    settings = settings_given(case_name, data_dir)
    if draw is not None and out is not None:
        _draw(settings, draw, seed, out)
    else:
        _refit(settings)


def _draw(settings: TrainingSettings, rows: int, seed: int, out: Path) -> None:
    from training.commands.synthetic_sample import write_drawn
    from training.data.synthetic import load_sample

    case = settings.load_case()
    write_drawn(case, load_sample(settings.sample_path, case).draw(rows, seed), out)
    click.echo(f"{rows:,} synthetic rows of {case.name} are in {out}")


def _refit(settings: TrainingSettings) -> None:
    from training.bootstrap import build_parts
    from training.commands.synthetic_sample import refit
    from training.data.retrieval import retrieve_real

    case, parts = settings.load_case(), build_parts(settings)
    retrieved = retrieve_real(case, parts.places, parts.fetch)
    fitted = refit(case, retrieved, settings.sample_path)
    size = settings.sample_path.stat().st_size
    click.echo(f"data: {retrieved.source.sentence}")
    for column in fitted.columns:
        click.echo(f"  {column.name}: {len(column.bins)} bins, given the label and {column.parent or 'nothing else'}")
    click.echo(
        f"tables of {fitted.fitted_on.rows:,} training rows are in {settings.sample_path} ({size / 1000:,.0f} kB)"
    )


cli.add_command(compare)
cli.add_command(predict_command)
cli.add_command(search)
cli.add_command(weekly)
cli.add_command(serve)
for command in (*STAGES, promote, rollback, versions):
    cli.add_command(command)


def main() -> None:
    run_command("train-model", cli)


if __name__ == "__main__":
    main()
