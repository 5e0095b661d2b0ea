"""Which retraining may begin: one at a time, one for an episode, none during the cooldown."""

from __future__ import annotations

from pathlib import Path

import pytest

from event_backbone.errors import SettingsError, StopError
from training.server.runs import (
    RUNS_KEPT,
    RetrainingRequest,
    RunHistory,
    State,
    at_stage,
    finish,
    interrupted,
    refresh,
    refusal,
    start,
)
from training.server.runs_file import RunsFile

COOLDOWN_S = 100.0


def reason(
    history: RunHistory, now: float, *, episode: str | None = None, alert_since: float | None = None
) -> str | None:
    found = refusal(history, RetrainingRequest("drift", episode, alert_since), now, COOLDOWN_S)
    return found and found.reason


def after_a_run(state: State, *, episode: str | None = "one", alert_since: float | None = 900.0) -> RunHistory:
    """It ran from 1,000 to 1,050."""
    history = start(RunHistory(), "a", RetrainingRequest("drift", episode, alert_since), 1000.0)
    return finish(history, "a", state, 1050.0, {})


def test_the_first_may_begin() -> None:
    assert reason(RunHistory(), 0.0, episode="one", alert_since=0.0) is None


def test_one_runs_at_a_time() -> None:
    history = start(RunHistory(), "a", RetrainingRequest("drift", "one"), 1000.0)
    assert reason(history, 1001.0, episode="two") == "running"


@pytest.mark.parametrize("state", ["promoted", "refused"])
def test_an_episode_is_trained_for_once_however_long_ago_it_was(state: State) -> None:
    history = after_a_run(state)
    assert reason(history, 1e9, episode="one") == "episode"
    found = refusal(history, RetrainingRequest("drift", "one"), 1e9, COOLDOWN_S)
    assert found is not None
    assert found.retry_after_s is None


def test_another_alert_of_the_same_world_is_the_same_episode() -> None:
    history = after_a_run("promoted")
    assert reason(history, 1e9, episode="two", alert_since=1050.0) == "episode"
    assert reason(history, 1e9, episode="two", alert_since=1050.1) is None


def test_an_alert_that_comes_and_goes_beside_one_that_stays_is_the_same_episode() -> None:
    history = after_a_run("refused")
    for now in range(1060, 5000, 60):
        history = refresh(history, RetrainingRequest("drift", "one", 900.0), float(now), COOLDOWN_S)
    assert reason(history, 5000.0, episode="two", alert_since=4990.0) == "episode"
    history = refresh(history, RetrainingRequest("loss", "two", 4990.0), 5000.0, COOLDOWN_S)
    assert reason(history, 5101.0, episode="three", alert_since=5100.0) == "episode"
    assert reason(history, 5102.0, episode="three", alert_since=5101.0) is None


def test_a_person_who_asks_prolongs_no_episode() -> None:
    history = after_a_run("refused")
    assert refresh(history, RetrainingRequest("a person"), 1060.0, COOLDOWN_S) == history
    assert refresh(history, RetrainingRequest("drift", "two", 1060.0), 1060.0, COOLDOWN_S) == history


def test_nobody_begins_during_the_cooldown() -> None:
    history = after_a_run("promoted")
    found = refusal(history, RetrainingRequest("a person"), 1090.0, COOLDOWN_S)
    assert found is not None
    assert (found.reason, found.retry_after_s) == ("cooldown", 60.0)
    assert reason(history, 1149.9, episode="two", alert_since=1100.0) == "cooldown"
    assert reason(history, 1150.0, episode="two", alert_since=1100.0) is None
    assert reason(history, 1150.0) is None


def test_a_run_that_failed_leaves_its_episode_open_and_has_its_cooldown() -> None:
    history = after_a_run("failed")
    assert reason(history, 1100.0, episode="one", alert_since=900.0) == "cooldown"
    assert reason(history, 1150.0, episode="one", alert_since=900.0) is None


def test_a_clock_that_was_set_back_makes_no_cooldown_longer() -> None:
    found = refusal(after_a_run("promoted"), RetrainingRequest("a person"), 0.0, COOLDOWN_S)
    assert found is not None
    assert found.retry_after_s == COOLDOWN_S


def test_what_ran_when_the_server_died_has_failed() -> None:
    history = interrupted(start(after_a_run("promoted"), "b", RetrainingRequest("drift"), 2000.0), 2010.0)
    assert [(run.id, run.state, run.ended_at) for run in history.runs] == [
        ("a", "promoted", 1050.0),
        ("b", "failed", 2010.0),
    ]


def test_the_oldest_runs_are_forgotten() -> None:
    history = RunHistory()
    for number in range(RUNS_KEPT + 1):
        history = finish(
            start(history, str(number), RetrainingRequest("drift"), number), str(number), "refused", number, {}
        )
    assert [run.id for run in history.runs] == [str(number) for number in range(1, RUNS_KEPT + 1)]


def test_the_runs_file_gives_back_what_it_keeps(tmp_path: Path) -> None:
    history = at_stage(
        start(after_a_run("refused"), "b", RetrainingRequest("drift", "two", 3.0), 2000.0), "b", "fitting"
    )
    runs_file = RunsFile(tmp_path / "training")
    assert runs_file.read() == RunHistory()
    runs_file.keep(history)
    runs_file.close()
    again = RunsFile(tmp_path / "training")
    assert again.read() == history
    again.close()


def test_a_second_server_on_the_same_folder_is_refused(tmp_path: Path) -> None:
    first = RunsFile(tmp_path)
    with pytest.raises(SettingsError, match="another training server"):
        RunsFile(tmp_path)
    first.close()
    RunsFile(tmp_path).close()


def test_a_damaged_runs_file_stops_the_server_and_forgets_no_episode(tmp_path: Path) -> None:
    (tmp_path / "runs.json").write_text("{")
    runs_file = RunsFile(tmp_path)
    with pytest.raises(StopError, match=r"runs\.json"):
        runs_file.read()
    runs_file.close()
