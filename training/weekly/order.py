"""Options of a weekly run, and the adapters that follow from them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict

from event_backbone.errors import Fault, SettingsError
from training.bootstrap import build_parts
from training.commands.options import settings_given
from training.families.catalog import FamilyName
from training.fitting.candidates import champion_candidates
from training.fitting.challenger import Progress, TrainingPlan
from training.quality.great_expectations_gate import GreatExpectationsGate
from training.settings import TrainingSettings
from training.weekly.predict_command import open_output, open_records
from training.weekly.run_folders import PREDICTIONS_FILE, PROFILE_FILE, QUALITY_FOLDER, KeptRuns
from training.weekly.stages import NewData, Week


class WeeklyOrder(BaseModel):
    """Options of a run; Prefect shows and keeps them. ``None``: the setting's value.

    ``predict_in`` and ``predict_out`` are as ``train-model predict`` takes them; without them the stream split is
    predicted, into the run's folder.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    case: str | None = None
    data_dir: str | None = None
    synthetic: bool = False
    from_log: str | None = None
    from_collection: str | None = None
    seed: int | None = None
    family: FamilyName | Literal["best"] = "xgboost"
    predict_in: str | None = None
    predict_collection: str | None = None
    predict_out: str | None = None

    def settings(self) -> TrainingSettings:
        return settings_given(self.case, None if self.data_dir is None else Path(self.data_dir), self.seed)

    def check(self) -> None:
        """Raises :class:`SettingsError` for what can't be, and for a login that Prefect would show."""
        urls = {
            "--from-log": self.from_log,
            "--from-collection": self.from_collection,
            "--in": self.predict_in,
            "--out": self.predict_out,
        }
        faults = [
            Fault(option, "login", "holds a login, which Prefect would show; set MONGO_USERNAME and MONGO_PASSWORD")
            for option, url in urls.items()
            if url is not None and "@" in urlsplit(url).netloc
        ]
        sources = (self.data_dir, self.synthetic or None, self.from_log, self.from_collection)
        if sum(source is not None for source in sources) > 1:
            faults.append(Fault("source", "sources", "is a folder, the sample, a log or a collection, one of them"))
        if faults:
            raise SettingsError("weekly", faults)


def open_week(order: WeeklyOrder, progress: Progress) -> Week:
    """A run with a folder of its own; no network is used yet.

    Raises:
        SettingsError: something in the order or the settings must be mended.
    """
    order.check()
    settings = order.settings()
    case = settings.load_case()
    runs = KeptRuns(settings.case_dir / "weekly")
    folder = runs.open()
    source, destination = order.predict_in or str(settings.stream_path), order.predict_out or folder / PREDICTIONS_FILE
    return Week(
        case=case,
        plan=TrainingPlan(settings.training_seed, settings.training_threads, champion_candidates(case, order.family)),
        parts=replace(
            build_parts(
                settings,
                synthetic_only=order.synthetic,
                log_url=order.from_log,
                collection_url=order.from_collection,
            ),
            quality=GreatExpectationsGate(settings.expectations_path, folder / QUALITY_FOLDER),
        ),
        new_data=NewData(
            lambda: open_records(case, source, order.predict_collection), lambda: open_output(case, str(destination))
        ),
        folder=folder,
        last_profile=runs.last_with(PROFILE_FILE, before=folder),
        progress=progress,
    )
