"""Versions of a made model in a real MLflow registry on SQLite, good ones and broken ones, and who has an alias."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from monitoring_world import made_case
from serving_world import servable_parts

from event_backbone.case.schema import Case
from event_backbone.model.bundle import registered_name, write_bundle
from event_backbone.model.mlflow_registry import MlflowRegistry, mlflow_client


class Releases:
    """Registers bundles of the made shop below a folder."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.tracking_uri = f"sqlite:///{folder / 'mlflow.db'}"
        self.name = registered_name(made_case())
        self._folder = folder
        self._client = mlflow_client(self.tracking_uri)
        artifacts = (folder / "artifacts").as_uri()
        self._experiment = self._client.create_experiment("made", artifact_location=artifacts)
        self._registry = MlflowRegistry(self.tracking_uri)

    def register(
        self,
        *,
        case: Case | None = None,
        parts: Mapping[str, bytes] | None = None,
        damage: Callable[[Path], None] | None = None,
    ) -> str:
        """Another version, which has no alias of any service; ``damage`` is done to its files in the registry."""
        case, folder = case or made_case(), self._folder / "bundle"
        sha256 = write_bundle(folder, case, {**servable_parts(case), **(parts or {})})
        run_id = self._client.create_run(self._experiment).info.run_id
        model = self._registry.register(folder, sha256, name=self.name, alias="made", run_id=run_id)
        shutil.rmtree(folder)
        if damage is not None:
            damage(self._folder / "artifacts" / run_id / "artifacts" / "bundle")
        return model.version

    def point(self, alias: str, version: str) -> None:
        self._client.set_registered_model_alias(self.name, alias, version)


def flip_a_byte(folder: Path) -> None:
    content = bytearray((folder / "model.onnx").read_bytes())
    content[len(content) // 2] ^= 1
    (folder / "model.onnx").write_bytes(content)
