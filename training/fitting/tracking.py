"""The port for tracking training runs, and its adapter for MLflow."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from event_backbone.errors import Fault, SettingsError
from event_backbone.model.mlflow_registry import mlflow_client, mlflow_errors_translated

#: What MLflow's pages nest runs by.
_PARENT_TAG = "mlflow.parentRunId"


@dataclass(frozen=True)
class RunRecord:
    """One training run: ``pictures`` and ``documents`` are files by name, ``folders`` are copied whole.

    ``parent`` is the run that it belongs to.
    """

    parameters: Mapping[str, str | float | int | bool]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]
    pictures: Mapping[str, bytes] = field(default_factory=dict)
    documents: Mapping[str, bytes] = field(default_factory=dict)
    folders: Mapping[str, Path] = field(default_factory=dict)
    parent: str | None = None


class RunTracker(Protocol):
    """Keeps training runs.

    :meth:`record` is durable on return and gives the run's id, under which a registry may log the bundle.
    Raises :class:`~event_backbone.errors.TryAgainLaterError` when it is away.
    """

    def record(self, experiment: str, run: RunRecord) -> str: ...


class MlflowTracker:
    """Runs in MLflow.

    ``artifacts_url`` is the folder, or the place in an object store, where a database without a server keeps files; a
    server knows its own. An experiment keeps the place that it was made with.
    """

    def __init__(self, tracking_uri: str, artifacts_url: str) -> None:
        self._uri = tracking_uri
        self._artifacts_url = artifacts_url

    def record(self, experiment: str, run: RunRecord) -> str:
        client = mlflow_client(self._uri)
        with mlflow_errors_translated(self._uri):
            tags = {**run.tags, **({} if run.parent is None else {_PARENT_TAG: run.parent})}
            run_id: str = client.create_run(self._experiment_id(client, experiment), tags=tags).info.run_id
            for name, value in run.parameters.items():
                client.log_param(run_id, name, value)
            for name, value in run.metrics.items():
                client.log_metric(run_id, name, value)
            self._log_files(client, run_id, run.pictures, "pictures")
            self._log_files(client, run_id, run.documents, None)
            for name, folder in run.folders.items():
                client.log_artifacts(run_id, str(folder), artifact_path=name)
            client.set_terminated(run_id)
        return run_id

    def _experiment_id(self, client: Any, name: str) -> str:
        location = None if self._uri.startswith(("http://", "https://")) else self._artifacts_url
        there = client.get_experiment_by_name(name)
        if there is None:
            return str(client.create_experiment(name, artifact_location=location))
        if location is not None and "://" in location and there.artifact_location != location:
            message = f"the runs of {name} are in {there.artifact_location}, where they were begun; they stay there"
            raise SettingsError("MLFLOW_ARTIFACTS", [Fault(location, "other_place", message)])
        return str(there.experiment_id)

    @staticmethod
    def _log_files(client: Any, run_id: str, files: Mapping[str, bytes], place: str | None) -> None:
        with tempfile.TemporaryDirectory() as folder:
            for name, content in files.items():
                (Path(folder) / name).write_bytes(content)
            client.log_artifacts(run_id, folder, artifact_path=place)
