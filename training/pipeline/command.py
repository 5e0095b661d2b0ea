"""`train-model retrieve`, `validate`, `transform`, `train`, `evaluate`, `register`: one stage each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from training.options import CASE_OPTION, DATA_DIR_OPTION, SEED_OPTION, SYNTHETIC_OPTION, settings_given
from training.settings import TrainingSettings

if TYPE_CHECKING:
    from training.challenger import TrainingPlan
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
@SYNTHETIC_OPTION
@click.option(
    "--from-log", "log_url", help="Stored predictions that have a label: mongodb://..., sqlite:///..., or a path."
)
@_FOLDER_OPTION
def retrieve(
    case_name: str | None, data_dir: Path | None, synthetic: bool, log_url: str | None, folder: Path | None
) -> None:
    """First stage: get the raw data, and leave them as they came.

    \b
    Examples:
      train-model retrieve --case census --data-dir ../data/census
      train-model retrieve --case housing --synthetic
    """
    from training.bootstrap import build_parts
    from training.pipeline.stages import retrieve_data

    settings = settings_given(case_name, data_dir)
    parts = build_parts(settings, synthetic_only=synthetic, log_url=log_url)
    retrieve_data(settings.load_case(), _folders(settings, folder), parts.places, parts.fetch, click.echo)


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
@click.option("--set", "given", multiple=True, metavar="NAME=VALUE", help="A parameter of every candidate.")
@_FOLDER_OPTION
def train(case_name: str | None, seed: int | None, given: Sequence[str], folder: Path | None) -> None:
    """Fourth stage: choose a model by cross-validation, fit it, and convert it to ONNX.

    \b
    Examples:
      train-model train --case census
      train-model train --case census --set max_depth=5 --set eta=0.1
    """
    from training.pipeline.stages import train_model

    settings = settings_given(case_name, None, seed)
    train_model(settings.load_case(), _folders(settings, folder), _plan(settings, _parameters(given)), click.echo)


def _parameters(given: Sequence[str]) -> dict[str, float]:
    parameters: dict[str, float] = {}
    for one in given:
        name, _, text = one.partition("=")
        try:
            parameters[name] = int(text) if text.lstrip("-").isdigit() else float(text)
        except ValueError:
            raise click.BadParameter(f"{one!r} is not NAME=NUMBER", param_hint="--set") from None
    return parameters


def _plan(settings: TrainingSettings, given: Mapping[str, float]) -> TrainingPlan:
    from dataclasses import replace

    from training.challenger import TrainingPlan
    from training.fitting import CANDIDATES

    known = {name for candidate in CANDIDATES for name in candidate.parameters}
    if unknown := sorted(given.keys() - known):
        message = f"{', '.join(unknown)}: no parameter of the candidates; there are {', '.join(sorted(known))}"
        raise click.BadParameter(message, param_hint="--set")
    candidates = [replace(one, parameters={**one.parameters, **given}) for one in CANDIDATES]
    return TrainingPlan(settings.training_seed, settings.training_threads, candidates)


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
    from training.pipeline.stages import register_model
    from training.summary import open_console, print_outcome

    settings, console = settings_given(case_name, None), open_console()
    case = settings.load_case()
    print_outcome(case, register_model(case, _folders(settings, folder), build_parts(settings), console.print), console)


STAGES = (retrieve, validate, transform, train, evaluate, register)
