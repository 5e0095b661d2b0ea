"""Wiring of training: registry, tracker and data quality gate."""

from __future__ import annotations

from event_backbone.model.bundle import BundleStore
from event_backbone.model.mlflow_registry import MlflowRegistry
from event_backbone.mongodb.access import mongo_access
from event_backbone.mongodb.connection import MongoConnection
from event_backbone.ports import PredictionLog
from event_backbone.prediction_log.opening import open_prediction_log
from event_backbone.process.files import close_to_others
from event_backbone.settings import ConnectionSettings, read_settings
from training.data.retrieval import DataLocations, http_fetch
from training.data.row_collection import MongoRows
from training.fitting.tracking import MlflowTracker
from training.flow.training_flow import FlowParts
from training.quality.great_expectations_gate import GreatExpectationsGate
from training.settings import TrainingSettings

#: Seconds until a database that holds a log and doesn't answer is away.
_LOG_TIMEOUT_S = 30.0


def build_parts(
    settings: TrainingSettings,
    *,
    synthetic_only: bool = False,
    log_url: str | None = None,
    collection_url: str | None = None,
) -> FlowParts:
    """MLflow and MongoDB are not connected yet; a journal's file has to be there."""
    close_to_others(settings.kept_folders)
    log = None if log_url is None else _open_log(log_url, settings)
    collection = None if collection_url is None else open_collection(collection_url, settings)
    return FlowParts(
        registry=MlflowRegistry(settings.tracking_uri),
        tracker=MlflowTracker(settings.tracking_uri, settings.artifacts_url),
        bundles=BundleStore(settings.bundles_dir),
        fetch=http_fetch(settings.download_timeout_s),
        quality=GreatExpectationsGate(settings.expectations_path, settings.quality_dir),
        places=DataLocations(
            settings.raw_dir, settings.downloads_dir, settings.sample_path, synthetic_only, log, collection
        ),
        splits_dir=settings.stream_path.parent,
    )


def open_collection(url: str, settings: TrainingSettings) -> MongoRows:
    """The case's raw rows in MongoDB, which is not connected yet; raises :class:`SettingsError` for another URL."""
    access = mongo_access(
        url, read_settings(ConnectionSettings), timeout_s=_LOG_TIMEOUT_S, place="the collection's address"
    )
    return MongoRows(MongoConnection(access), settings.load_case())


def _open_log(url: str, settings: TrainingSettings) -> PredictionLog:
    connections = read_settings(ConnectionSettings)
    return open_prediction_log(url, settings.case, connections, timeout_s=_LOG_TIMEOUT_S, place="--from-log")
