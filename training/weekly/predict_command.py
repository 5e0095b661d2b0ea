"""``train-model predict``: new records through the champion, offline."""

from __future__ import annotations

from pathlib import Path

import click

from event_backbone.case.schema import Case
from event_backbone.errors import Fault, SettingsError
from event_backbone.mongodb.access import MongoAccess, mongo_access
from event_backbone.settings import ConnectionSettings, read_settings
from training.commands.options import CASE_OPTION, settings_given
from training.settings import TrainingSettings
from training.weekly.new_records import NewRecords, records_in_collection, records_in_file
from training.weekly.offline_prediction import Predicted, PredictionsOutput, open_champion, predict
from training.weekly.prediction_outputs import MongoOutput, ParquetOutput

#: Seconds until a MongoDB that doesn't answer is away.
_MONGO_TIMEOUT_S = 30.0
_MONGO = "mongodb://"


@click.command(name="predict")
@CASE_OPTION
@click.option("--in", "source", required=True, help="A file (.csv, .jsonl, .parquet), or mongodb://host[/database].")
@click.option("--collection", help="Which collection of --in mongodb://….  [default: what CASE predicted]")
@click.option("--out", "destination", required=True, help="A file (.parquet), or mongodb://host[/database].")
def predict_command(case_name: str | None, source: str, collection: str | None, destination: str) -> None:
    """Predict new records with the champion, through the scorer that the service uses.

    Columns that the case doesn't have are left out. A record that the service would refuse gets no prediction; the
    Parquet file says why. In MongoDB predictions go where those of other model versions are, once for each record and
    version.

    \b
    Examples:
      train-model predict --in new.csv --out predictions.parquet
      train-model predict --case housing --in var/housing/splits/stream.jsonl --out predictions.parquet
      train-model predict --in mongodb://127.0.0.1/streamgauge --collection applicants --out predictions.parquet
    """
    click.echo(predict_offline(settings_given(case_name, None), source, destination, collection).sentence)


def predict_offline(
    settings: TrainingSettings, source: str, destination: str, collection: str | None = None
) -> Predicted:
    """Score ``source`` with the champion of the settings' case into ``destination``."""
    from training.bootstrap import build_parts

    case = settings.load_case()
    records, place = open_records(case, source, collection), open_output(case, destination)
    parts = build_parts(settings)
    return predict(case, open_champion(case, parts.bundles, parts.registry), records, place)


def open_records(case: Case, source: str, collection: str | None = None) -> NewRecords:
    """Raises :class:`SettingsError` when nothing reads ``source``; MongoDB is not asked yet."""
    if source.startswith(_MONGO):
        return records_in_collection(_access(source, "--in"), collection or f"{case.name}.predictions")
    if collection is not None:
        raise SettingsError("settings", [Fault("--collection", "no_mongodb", "belongs to --in mongodb://…")])
    return records_in_file(case, Path(source))


def open_output(case: Case, destination: str) -> PredictionsOutput:
    """Raises :class:`SettingsError` when nothing writes ``destination``; nothing is made yet."""
    if destination.startswith(_MONGO):
        return MongoOutput(_access(destination, "--out"), case)
    if not destination.endswith(".parquet"):
        message = "is neither a file that ends in .parquet nor mongodb://host[/database]"
        raise SettingsError("settings", [Fault("--out", "format", message)])
    return ParquetOutput(case, Path(destination))


def _access(url: str, place: str) -> MongoAccess:
    return mongo_access(url, read_settings(ConnectionSettings), timeout_s=_MONGO_TIMEOUT_S, place=place)
