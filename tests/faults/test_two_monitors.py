"""Two monitoring services that both believe they are the active one: each record is counted once."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import requests
from fault_figures import checked_by_the_command, note_figures, size
from full_stack import LONG, SEEDS, Urls, running_stack
from monitoring_process import free_port, poll_until
from reconciliation import check_kept
from replica import Client, Replica

pytestmark = pytest.mark.long
#: Times that one of the two is killed, while both work.
KILLS = int(size("MONITOR_KILLS", short=2, long=20))


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.timeout(1800 if LONG else 300)
def test_two_monitors_that_both_believe_they_are_active_count_each_record_once(
    urls: Urls, seed: int, tmp_path: Path
) -> None:
    rng = random.Random(seed)
    with running_stack(tmp_path, urls, names=("serving", "sidecar", "monitoring")) as replica:
        client = Client(replica.prediction_url, seed)
        client.start()
        try:
            second_url = start_beside_the_active_one(replica)
            for _ in range(KILLS):
                wait_for_answers(client, 200)
                name = rng.choice(["monitoring", "monitoring-2"])
                replica.kill(name)
                replica.start(name, **({} if name == "monitoring" else {"MONITORING_PORT": port_of(second_url)}))
                take_away_the_lock(replica)
                poll_until(lambda: both_are_active(replica, second_url), 60, "both believe that they are active")
            wait_for_answers(client, 200)
        finally:
            client.finish()
        check_kept(replica, urls, client)
        totals = requests.get(f"{second_url}/api/state", timeout=5).json()["totals"]
        assert totals["predictions"] == len(client.records)
        assert totals["conflicts"] == replica.monitoring_totals()["conflicts"] == 0
        note_figures(monitor_kills=KILLS, **checked_by_the_command(replica, [urls.mongo, urls.kafka], tmp_path, client))


def start_beside_the_active_one(replica: Replica) -> str:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    take_away_the_lock(replica)
    replica.start("monitoring-2", MONITORING_PORT=str(port))
    poll_until(lambda: both_are_active(replica, url), 60, "both believe that they are active")
    return url


def take_away_the_lock(replica: Replica) -> None:
    """As a cleaning job, or a file system whose locks are of one machine alone: who holds the file still holds it."""
    lock = replica.monitoring_dir / "lock"
    assert lock.exists()
    lock.unlink()


def both_are_active(replica: Replica, second_url: str) -> bool:
    return all(requests.get(f"{url}/readyz", timeout=2).ok for url in (replica.monitoring_url, second_url))


def port_of(url: str) -> str:
    return url.rpartition(":")[2]


def wait_for_answers(client: Client, count: int) -> None:
    answered = len(client.answers)
    poll_until(lambda: len(client.answers) >= answered + count, 60, f"{count} records are answered")
