"""The machine's clock jumps, back and ahead: ids, order, retention and windows do not care."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
from fault_figures import checked_by_the_command, note_figures, size
from full_stack import LONG, SEEDS
from monitoring_process import poll_until
from monitoring_world import made_record
from real_parts_cache import give_up, part_or_skip
from replica import Client, Replica, check_counted, running_replica
from serving_world import install_champion

LIBRARIES = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
YEAR_S = str(365 * 86400)
#: Beside a week back and ahead: jumps by hours, one way or the other.
JUMPS = int(size("JUMPS", short=1, long=20))


class Clock:
    """The time of day that processes with :attr:`settings` see; their monotonic clock is the real one."""

    def __init__(self, folder: Path) -> None:
        part_or_skip("faketime")
        if not LIBRARIES:
            give_up("needs libfaketimeMT.so.1")
        self._offset = folder / "offset"
        self.jump(0)
        self.settings = {
            "LD_PRELOAD": str(LIBRARIES[0]),
            "FAKETIME_TIMESTAMP_FILE": str(self._offset),
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_DONT_RESET": "1",
            "FAKETIME_CACHE_DURATION": "1",
        }

    def jump(self, days: float) -> None:
        """So far from the true time; seen within a second."""
        beside = self._offset.with_suffix(".new")
        beside.write_text(f"{days * 86400:+.0f}s\n")
        beside.replace(self._offset)


@pytest.fixture
def clock(tmp_path: Path) -> Clock:
    return Clock(tmp_path)


@pytest.mark.long
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.timeout(1800 if LONG else 240)
def test_ids_order_and_windows_survive_a_clock_that_jumps_back_and_ahead(
    clock: Clock, seed: int, tmp_path: Path
) -> None:
    rng = random.Random(seed)
    hours = [rng.choice((-1, 1)) * rng.uniform(1, 12) for _ in range(JUMPS)]
    jumps = [*(one / 24 for one in hours), -7, 8, 0]
    install_champion(tmp_path / "state", tmp_path / "cases")
    with running_replica(
        tmp_path / "state", tmp_path / "cases", JOURNAL_RETENTION_S=YEAR_S, **clock.settings
    ) as replica:
        client = Client(replica.prediction_url, seed)
        client.start()
        made_ids: list[str] = []
        try:
            for days in jumps:
                clock.jump(days)
                wait_until_seen(client, days)
                made_ids += [predict_without_id(replica, number) for number in range(20)]
        finally:
            client.finish()
        assert len(set(made_ids)) == len(made_ids)
        check_pages(replica, set(client.records) | set(made_ids))
        check_windows(replica, len(client.records) + len(made_ids))
        checked = checked_by_the_command(replica, [str(replica.journal_path)], tmp_path, client)
        note_figures(jumps=len(jumps), **checked)
        replica.kill_all()  # the library that fakes the clock holds up an orderly stop


def wait_until_seen(client: Client, days: float) -> None:
    """Until a hundred records more are answered by that clock."""
    wanted = datetime.now(UTC) + timedelta(days=days)

    def seen() -> bool:
        newest = [answers for answers in list(client.answers.values())[-200:] if answers]
        times = [datetime.fromisoformat(answers[0]["predicted_at"]) for answers in newest]
        return sum(abs(time - wanted) < timedelta(minutes=5) for time in times) > 100

    poll_until(seen, 30, f"the server's clock is {days:+g} days off")


def predict_without_id(replica: Replica, seed: int) -> str:
    """The id that the service made, which holds the time."""
    answer = requests.post(f"{replica.prediction_url}/predict", json=made_record(random.Random(seed)), timeout=5)
    answer.raise_for_status()
    return str(answer.json()["record_id"])


def check_pages(replica: Replica, record_ids: set[str]) -> None:
    """Paging through the journal gives every prediction once, whatever its time."""
    found: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        url = f"{replica.prediction_url}/predictions?limit=1000&since={cursor}"
        page = requests.get(url, timeout=10).json()
        found += [prediction["record_id"] for prediction in page["predictions"]]
        cursor = page["next"]
    assert len(found) == len(set(found))
    assert set(found) == record_ids


def check_windows(replica: Replica, count: int) -> None:
    """Windows count rows in the order they came, so a time that is out of order changes nothing."""

    def state() -> Any:
        return requests.get(f"{replica.monitoring_url}/api/state", timeout=5).json()

    poll_until(lambda: state()["totals"]["predictions"] == count, 60, f"monitoring counts {count}")
    poll_until(lambda: state()["evaluation"]["at_row"] > count - 20, 60, "the newest check is made")
    assert state()["window"]["rows"] == 200
    assert state()["evaluation"]["state"] == "ok"
    active = {condition["name"] for condition in state()["conditions"] if condition["active"]}
    assert not active & {"stale", "evaluator_failed"}


@pytest.mark.long
@pytest.mark.timeout(180)
def test_retention_takes_nothing_that_was_not_delivered_however_old_it_seems(clock: Clock, tmp_path: Path) -> None:
    install_champion(tmp_path / "state", tmp_path / "cases")
    with running_replica(
        tmp_path / "state", tmp_path / "cases", names=["serving"], JOURNAL_RETENTION_S="3600", **clock.settings
    ) as replica:
        client = Client(replica.prediction_url, seed=2)
        client.start()
        try:
            poll_until(lambda: len(client.answers) >= 100, 30, "records are answered")
            replica.start("sidecar")  # monitoring is away
            poll_until(lambda: replica.status()["sinks"]["monitoring"]["fault"], 30, "the sidecar is refused")
            for days in (8, -1):
                clock.jump(days)
                wait_until_seen(client, days)
        finally:
            client.finish()
        clock.jump(0)
        replica.start("monitoring")
        replica.wait_until_ready()
        check_counted(client, replica)
        replica.kill_all()
