"""`train-model retrieve`, `validate`, `transform`, `train`, `evaluate`, `register`: one stage each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from training.commands.options import CASE_OPTION, DATA_DIR_OPTION, FAMILY_OPTION, SEED_OPTION, settings_given
from training.families.catalog import FamilyName
from training.fitting.candidates import champion_candidates
from training.fitting.cross_validation import CANDIDATES, Candidate
from training.settings import TrainingSettings

if TYPE_CHECKING:
    from training.pipeline.folders import PipelineFolders

_FOLDER_OPTION = click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of the stages' folders.  [default: pipeline in the case's folder below STATE_DIR]",
)


def _folders(settings: TrainingSettings, folder: Path | None) -> PipelineFolders:
    from training.pipeline.folders import PipelineFolders

    return PipelineFolders(folder or settings.case_dir / "pipeline")


@click.command()
@CASE_OPTION
@DATA_DIR_OPTION
@click.option(
    "--source",
    default="auto",
    show_default=True,
    help="auto: a folder, else a download, else the synthetic sample; sample; or mongodb://host[/database], where "
    "`train-model push` put the rows.",
)
@click.option("--from-log", "log_url", help="Stored predictions with labels: mongodb://host[/database], or a journal.")
@_FOLDER_OPTION
def retrieve(
    case_name: str | None, data_dir: Path | None, source: str, log_url: str | None, folder: Path | None
) -> None:
    """First stage: get the raw data, and leave them as they came.

    \b
    Examples:
      train-model retrieve --case census --data-dir ../data/census
      train-model retrieve --case housing --source sample
      train-model retrieve --case census --source mongodb://127.0.0.1:27017/streamgauge
    """
    from training.bootstrap import build_parts
    from training.pipeline.stages import retrieve_data

    if log_url is not None and source != "auto":
        raise click.UsageError("--from-log takes no other source beside it")
    settings = settings_given(case_name, data_dir)
    collection_url = None if source in ("auto", "sample") else source
    parts = build_parts(settings, synthetic_only=source == "sample", log_url=log_url, collection_url=collection_url)
    retrieve_data(settings.load_case(), _folders(settings, folder), parts.places, parts.fetch, click.echo)


@click.command()
@CASE_OPTION
@DATA_DIR_OPTION
@click.option("--to", "url", required=True, help="mongodb://host[/database]; the collection is <case>.raw.")
def push(case_name: str | None, data_dir: Path | None, url: str) -> None:
    """Put the raw rows into a MongoDB collection, in place of those that are there.

    \b
    Example:
      train-model push --case census --data-dir ../data/census --to mongodb://127.0.0.1:27017/streamgauge
    """
    from training.bootstrap import build_parts, open_collection
    from training.data.reading import read_raw
    from training.data.retrieval import retrieve

    settings = settings_given(case_name, data_dir)
    case, parts, collection = settings.load_case(), build_parts(settings), open_collection(url, settings)
    retrieved = read_raw(case, retrieve(case, parts.places, parts.fetch))
    collection.push(retrieved.train, retrieved.test)
    click.echo(f"data: {retrieved.source.sentence}")
    click.echo(f"{len(retrieved.train) + len(retrieved.test):,} rows are in {collection.place}")


@click.command()
@CASE_OPTION
@_FOLDER_OPTION
def validate(case_name: str | None, folder: Path | None) -> None:
    """Second stage: stop at data that are not what the case file and its expectations say.

    Results are kept as JSON and as pages whether the data pass or not. Further expectations of a case stand in
    cases/<case>.expectations.yaml.

    \b
    Example:
      train-model validate --case census
    """
    from training.pipeline.stages import validate_data
    from training.quality.great_expectations_gate import GreatExpectationsGate

    settings = settings_given(case_name, None)
    folders = _folders(settings, folder)
    gate = GreatExpectationsGate(settings.expectations_path, folders.quality)
    validate_data(settings.load_case(), folders, gate, click.echo)


@click.command()
@CASE_OPTION
@SEED_OPTION
@_FOLDER_OPTION
def transform(case_name: str | None, seed: int | None, folder: Path | None) -> None:
    """Third stage: split the rows into those for fitting, reference, gate, stream and test.

    \b
    Example:
      train-model transform --case census --seed 7
    """
    from training.pipeline.stages import transform_data

    settings = settings_given(case_name, None, seed)
    transform_data(settings.load_case(), _folders(settings, folder), settings.training_seed, click.echo)


@click.command()
@CASE_OPTION
@SEED_OPTION
@FAMILY_OPTION
@click.option("--set", "given", multiple=True, metavar="NAME=NUMBER", help="A parameter of XGBoost's candidates.")
@_FOLDER_OPTION
def train(
    case_name: str | None,
    seed: int | None,
    family: FamilyName | Literal["best"],
    given: Sequence[str],
    folder: Path | None,
) -> None:
    """Fourth stage: choose a model by cross-validation, fit it, and convert it to ONNX.

    \b
    Examples:
      train-model train --case census
      train-model train --case census --set max_depth=5 --set eta=0.1
      train-model train --case census --family best
    """
    from training.fitting.challenger import TrainingPlan
    from training.pipeline.stages import train_model

    settings = settings_given(case_name, None, seed)
    case = settings.load_case()
    candidates = _with_parameters(champion_candidates(case, family), _parameters(given))
    if given and all(one.family != "xgboost" for one in candidates):
        click.echo(f"--set is not used: it sets parameters of xgboost, and {family} is fitted.", err=True)
    plan = TrainingPlan(settings.training_seed, settings.training_threads, candidates)
    train_model(case, _folders(settings, folder), plan, click.echo)


def _parameters(given: Sequence[str]) -> dict[str, float]:
    parameters: dict[str, float] = {}
    for one in given:
        name, _, text = one.partition("=")
        try:
            parameters[name] = int(text) if text.lstrip("-").isdigit() else float(text)
        except ValueError:
            raise click.BadParameter(f"{one!r} is not NAME=NUMBER", param_hint="--set") from None
    known = {name for candidate in CANDIDATES for name in candidate.parameters}
    if unknown := sorted(parameters.keys() - known):
        message = f"{', '.join(unknown)}: no such parameter; there are {', '.join(sorted(known - {'tree_method'}))}"
        raise click.BadParameter(message, param_hint="--set")
    return parameters


def _with_parameters(candidates: Sequence[Candidate], given: Mapping[str, float]) -> list[Candidate]:
    return [
        replace(one, parameters={**one.parameters, **given}) if one.family == "xgboost" else one for one in candidates
    ]


@click.command()
@CASE_OPTION
@_FOLDER_OPTION
def evaluate(case_name: str | None, folder: Path | None) -> None:
    """Fifth stage: measures, curves and pictures of the model on the test rows.

    \b
    Example:
      train-model evaluate --case census
    """
    from training.pipeline.stages import evaluate_model

    settings = settings_given(case_name, None)
    evaluate_model(settings.load_case(), _folders(settings, folder), click.echo)


@click.command()
@CASE_OPTION
@_FOLDER_OPTION
def register(case_name: str | None, folder: Path | None) -> None:
    """Last stage: register the model as a challenger; it becomes champion if the gate says so.

    \b
    Example:
      train-model register --case census
    """
    from training.bootstrap import build_parts
    from training.commands.console import open_console
    from training.commands.outcome_table import print_outcome
    from training.pipeline.stages import register_model

    settings, console = settings_given(case_name, None), open_console()
    case = settings.load_case()
    print_outcome(case, register_model(case, _folders(settings, folder), build_parts(settings), console.print), console)


#: And the one that fills what ``retrieve`` may read.
STAGES = (push, retrieve, validate, transform, train, evaluate, register)
