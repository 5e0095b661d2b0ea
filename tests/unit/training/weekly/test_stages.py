"""The stages of a week on made data, run without Prefect: registry and tracker in memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import pytest
from pyarrow import parquet
from training_world import PLAN, OpenGate, RawFiles, made_case, made_parts

import training.fitting.challenger
from event_backbone.case.schema import Case
from event_backbone.errors import SettingsError, TryAgainLaterError
from event_backbone.in_memory.registry import MemoryRegistry
from training.flow.training_flow import FlowParts
from training.quality.gate import Inspection, Unmet
from training.weekly.new_records import records_in_file
from training.weekly.order import WeeklyOrder, open_week
from training.weekly.prediction_outputs import ParquetOutput
from training.weekly.run_folders import CARD_FILE, PROFILE_FILE, REPORT_FILE, RUNS_KEPT, KeptRuns
from training.weekly.stages import NewData, Week, WeekOutcome, run_week

T = TypeVar("T")
RAW = RawFiles()
CASE = made_case()
CASES = Path(__file__).parents[4] / "cases"
STAGES = ["retrieve", "validate", "analyse", "train", "evaluate", "promote", "predict new data"]


class Runner:
    """Runs a stage at once, and again while it fails and tries are left; remembers names."""

    def __init__(self, tries: int = 1) -> None:
        self.names: list[str] = []
        self._tries = tries

    def __call__(self, name: str, stage: Callable[[], T]) -> T:
        self.names.append(name)
        for _ in range(self._tries - 1):
            try:
                return stage()
            except TryAgainLaterError:
                continue
        return stage()


@pytest.fixture
def parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FlowParts:
    # Drawing takes longer than all the rest on data this small; it has tests of its own.
    monkeypatch.setattr(training.fitting.challenger, "draw_pictures", lambda *_: {})
    return made_parts(tmp_path / "state", data_dir=RAW.write(tmp_path / "raw"))


def _week(parts: FlowParts, folder: Path, said: list[str] | None = None, *, case: Case = CASE) -> Week:
    runs = KeptRuns(folder / "weekly")
    run = runs.open()
    stream = parts.splits_dir / "stream.jsonl"
    new_data = NewData(lambda: records_in_file(case, stream), lambda: ParquetOutput(case, run / "predictions.parquet"))
    last = runs.last_with(PROFILE_FILE, before=run)
    return Week(case, PLAN, parts, new_data, run, last, [].append if said is None else said.append)


def _run(parts: FlowParts, folder: Path, runner: Runner | None = None) -> WeekOutcome:
    return run_week(_week(parts, folder), runner or Runner())


def test_the_stages_run_in_order_and_leave_a_champion_a_report_and_predictions(
    parts: FlowParts, tmp_path: Path
) -> None:
    runner = Runner()
    outcome = _run(parts, tmp_path, runner)
    assert runner.names == STAGES
    assert outcome.training.state == "promoted"
    assert parts.bundles.current() == outcome.training.champion
    assert parquet.read_table(outcome.folder / "predictions.parquet").num_rows == outcome.training.sizes["stream"]
    assert (outcome.folder / REPORT_FILE).read_text().startswith("<!doctype html>")
    assert "**Promoted**" in (outcome.folder / CARD_FILE).read_text()


def test_each_stage_says_what_it_did(parts: FlowParts, tmp_path: Path) -> None:
    said: list[str] = []
    run_week(_week(parts, tmp_path, said), Runner())
    begun = [text.partition(":")[0] for text in said]
    assert begun[:6] == ["data", "quality", "analysis", "fitting", "gate", "champion"]
    assert "predictions of streamgauge-fruit version 1" in said[-1]


def test_the_same_data_a_week_later_keep_the_champion_and_show_no_change(parts: FlowParts, tmp_path: Path) -> None:
    first, second = _run(parts, tmp_path), _run(parts, tmp_path)
    assert first.changes is None
    assert second.changes is not None
    assert (second.changes.same_data, second.changes.notable) == (True, [])
    assert second.training.state == "refused"
    assert second.training.champion == first.training.champion
    assert {path.name for path in (tmp_path / "weekly").iterdir()} == {first.folder.name, second.folder.name}


def test_data_that_fail_the_quality_gate_stop_the_week_there(parts: FlowParts, tmp_path: Path) -> None:
    class ShutGate(OpenGate):
        def inspect(self, case: Case, parts: object) -> Inspection:
            return Inspection(1, [Unmet("no_such_thing", "train", "critical", "3 rows")], tmp_path)

    runner = Runner()
    with pytest.raises(SettingsError, match="no_such_thing"):
        _run(replace(parts, quality=ShutGate(tmp_path)), tmp_path, runner)
    assert runner.names == STAGES[:2]
    assert parts.registry.resolve("streamgauge-fruit", "champion") is None


def test_a_download_that_comes_back_is_tried_again(parts: FlowParts, tmp_path: Path) -> None:
    calls: list[str] = []

    class SlowLog:
        def predictions(self, **_: object) -> list[object]:
            calls.append("asked")
            raise TryAgainLaterError("away")

    week = _week(replace(parts, places=replace(parts.places, log=SlowLog())), tmp_path)
    with pytest.raises(TryAgainLaterError):
        run_week(week, Runner(tries=3))
    assert len(calls) == 3


def test_a_registry_that_comes_back_leads_to_the_same_end(parts: FlowParts, tmp_path: Path) -> None:
    class Flaky(MemoryRegistry):
        failures = 2

        def _check_reachable(self) -> None:
            if self.failures:
                self.failures -= 1
                raise TryAgainLaterError("the model registry is away")

    outcome = _run(replace(parts, registry=Flaky()), tmp_path, Runner(tries=3))
    assert outcome.training.state == "promoted"


def test_predicting_scores_rows_that_no_model_was_fitted_on(parts: FlowParts, tmp_path: Path) -> None:
    week = _week(parts, tmp_path)
    challenger = week.train(*week.validate(week.retrieve()))
    stream = {record["number"] for record in challenger.data.stream.records}
    assert stream.isdisjoint(record["number"] for record in challenger.data.fit.records)


def test_runs_are_kept_for_a_quarter_of_a_year(tmp_path: Path) -> None:
    runs = KeptRuns(tmp_path)
    opened = [runs.open() for _ in range(RUNS_KEPT + 3)]
    assert sorted(tmp_path.iterdir()) == opened[3:]


def test_what_is_no_run_is_left_alone(tmp_path: Path) -> None:
    runs = KeptRuns(tmp_path)
    (tmp_path / "notes").mkdir()
    for _ in range(RUNS_KEPT + 1):
        runs.open()
    assert (tmp_path / "notes").is_dir()


def test_the_last_profile_is_of_the_newest_run_that_left_one(tmp_path: Path) -> None:
    runs = KeptRuns(tmp_path)
    first, _second, now = runs.open(), runs.open(), runs.open()
    assert runs.last_with(PROFILE_FILE, before=now) is None
    for run in (first, now):
        (run / PROFILE_FILE).touch()
    assert runs.last_with(PROFILE_FILE, before=now) == first / PROFILE_FILE


@pytest.mark.parametrize("field", ["from_log", "from_collection", "predict_in", "predict_out"])
def test_a_login_that_prefect_would_show_is_refused_and_not_repeated(field: str) -> None:
    with pytest.raises(SettingsError, match="MONGO_PASSWORD") as caught:
        WeeklyOrder(**{field: "mongodb://me:secret@db.example/streamgauge"}).check()
    assert "secret" not in str(caught.value)


def test_there_is_one_source_of_data() -> None:
    with pytest.raises(SettingsError, match="one of them"):
        WeeklyOrder(from_log="journal.sqlite", synthetic=True).check()


def test_an_order_comes_before_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"CASE": "census", "CASES_DIR": CASES, "STATE_DIR": tmp_path}.items():
        monkeypatch.setenv(name, str(value))
    week = open_week(WeeklyOrder(case="housing", seed=3, data_dir="raw"), print)
    assert (week.case.name, week.plan.seed, week.parts.places.data_dir) == ("housing", 3, Path("raw"))
    assert week.folder.parent == tmp_path / "housing" / "weekly"
    assert week.last_profile is None
