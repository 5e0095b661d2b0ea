"""``train-model weekly``: the whole flow once, or on a schedule."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import Any

import click

from training.commands.options import CASE_OPTION, DATA_DIR_OPTION, FAMILY_OPTION, SEED_OPTION, SYNTHETIC_OPTION

#: Mondays at six in the morning, UTC.
DEFAULT_CRON = "0 6 * * 1"


@click.command()
@CASE_OPTION
@DATA_DIR_OPTION
@SEED_OPTION
@FAMILY_OPTION
@SYNTHETIC_OPTION
@click.option("--from-log", help="Train on stored predictions that have a label: mongodb://host[/database], a journal.")
@click.option("--from-collection", help="Train on what `train-model push` put there: mongodb://host[/database].")
@click.option("--in", "predict_in", help="New data: .csv, .jsonl, .parquet or mongodb://…  [default: the stream split]")
@click.option("--collection", "predict_collection", help="Which collection of --in mongodb://….")
@click.option("--out", "predict_out", help="A .parquet file or mongodb://…  [default: in the run's folder]")
@click.option("--serve", is_flag=True, help="Stay, and run on the schedule of --cron; needs PREFECT_API_URL.")
@click.option("--cron", default=DEFAULT_CRON, show_default=True, help="When --serve runs it, in UTC.")
def weekly(*, case_name: str | None, data_dir: Path | None, serve: bool, cron: str, **asked: Any) -> None:
    """Retrieve, validate, analyse, train, evaluate, promote, predict new data: with Prefect, and without a server.

    With PREFECT_API_URL the run is on the pages of that server. Without, it takes some 15 seconds more, for a server of
    its own. What a run leaves is in weekly/ of the case's folder: report, model card, quality, predictions.

    \b
    Examples:
      train-model weekly --case census --data-dir ../data/census
      train-model weekly --case housing --synthetic --in new.csv --out predictions.parquet
      PREFECT_API_URL=http://127.0.0.1:4200/api train-model weekly --serve
    """
    from training.weekly.order import WeeklyOrder
    from training.weekly.prefect_flow import run_with_prefect, serve_with_prefect

    folder = None if data_dir is None else str(data_dir.resolve())
    order = WeeklyOrder(case=case_name, data_dir=folder, **asked)
    if serve:
        serve_with_prefect(order, cron)
    else:
        # An end like any other, so that the server that Prefect started ends with it.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
        outcome = run_with_prefect(order)
        _print(order.settings().load_case(), outcome)


def _print(case: Any, outcome: Any) -> None:
    from training.commands.console import open_console
    from training.commands.outcome_table import print_outcome

    console = open_console()
    print_outcome(case, outcome.training, console)
    console.print(outcome.predicted.sentence)
    console.print(f"report, model card and quality: {outcome.folder}")
