"""The one place that chooses training's adapters."""

from __future__ import annotations

from event_backbone.bundle import BundleShelf
from event_backbone.mlflow_registry import MlflowRegistry
from training.flow import Parts
from training.retrieval import Places, http_fetch
from training.settings import TrainingSettings
from training.tracking import MlflowTracker


def build_parts(settings: TrainingSettings, *, synthetic_only: bool = False) -> Parts:
    """Nothing is opened yet: MLflow is imported when it is first asked."""
    return Parts(
        registry=MlflowRegistry(settings.tracking_uri),
        tracker=MlflowTracker(settings.tracking_uri, settings.artifacts_dir),
        shelf=BundleShelf(settings.bundles_dir),
        fetch=http_fetch(settings.download_timeout_s),
        places=Places(settings.data_dir, settings.downloads_dir, settings.sample_path, synthetic_only),
        splits_dir=settings.stream_path.parent,
    )
