"""A broker that loses its disk: topics begin anew, and whatever was answered is published and counted all the same."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fault_figures import checked_by_the_command, note_figures, size
from full_stack import LONG, SEEDS, Urls, make_topics, running_stack, settings_for
from monitoring_process import poll_until
from real_parts import KafkaBroker, remove_folder
from reconciliation import check_kept
from replica import Client, Replica

pytestmark = pytest.mark.long
LOSSES = int(size("LOSSES", short=1, long=5))


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[KafkaBroker]:
    part = KafkaBroker(tmp_path / "kafka")
    part.start()
    yield part
    remove_folder(part)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.timeout(1800 if LONG else 300)
def test_a_broker_that_loses_its_disk_is_told_everything_again(
    broker: KafkaBroker, mongo_url: str, mongo_database: str, seed: int, tmp_path: Path
) -> None:
    urls = Urls(broker.url, f"{mongo_url}/{mongo_database}")
    make_topics(urls.kafka)
    with running_stack(tmp_path, urls, names=("serving", "sidecar", "monitoring")) as replica:
        client = Client(replica.prediction_url, seed)
        client.start()
        try:
            for _ in range(LOSSES):
                wait_for_answers(client, 300)
                lose_the_disk(broker)
                wait_for_answers(client, 100)
                broker.start()
                make_topics(urls.kafka)
                tell_the_broker_everything_again(replica, urls)
        finally:
            client.finish()
        check_kept(replica, urls, client, timeout_s=120)
        assert replica.monitoring_totals()["conflicts"] == 0
        note_figures(losses=LOSSES, **checked_by_the_command(replica, [urls.mongo, urls.kafka], tmp_path, client))


def wait_for_answers(client: Client, count: int) -> None:
    answered = len(client.answers)
    poll_until(lambda: len(client.answers) >= answered + count, 60, f"{count} records are answered")


def lose_the_disk(broker: KafkaBroker) -> None:
    broker.kill()
    shutil.rmtree(broker.folder)


def tell_the_broker_everything_again(replica: Replica, urls: Urls) -> None:
    """As the operations page says: a sink that is taken out and put back begins with the journal's first row."""
    for sinks in (urls.mongo, settings_for(urls)["SINKS"]):
        replica.processes["sidecar"].terminate()
        replica.processes["sidecar"].wait(30)
        replica.start("sidecar", SINKS=sinks)
        poll_until(lambda sinks=sinks: len(replica.status()["sinks"]) == len(sinks.split(",")), 30, "the sidecar runs")
        time.sleep(1)


@pytest.mark.timeout(300)
def test_what_comes_behind_an_old_place_in_a_topic_that_was_made_anew_is_counted(
    broker: KafkaBroker, mongo_url: str, mongo_database: str, tmp_path: Path
) -> None:
    """Monitoring was away meanwhile, and the new topic has grown beyond the place where it stood in the old one."""
    urls = Urls(broker.url, f"{mongo_url}/{mongo_database}")
    make_topics(urls.kafka)
    with running_stack(tmp_path, urls, names=("serving", "sidecar", "monitoring")) as replica:
        first = answered_by(replica, 300, seed=1)
        poll_until(lambda: replica.monitoring_totals()["predictions"] == first, 60, f"monitoring counts {first}")
        replica.processes["monitoring"].terminate()
        replica.processes["monitoring"].wait(30)
        lose_the_disk(broker)
        broker.start()
        make_topics(urls.kafka)
        wanted = first + answered_by(replica, 2 * first, seed=2)
        poll_until(lambda: replica.status()["sinks"]["kafka"]["lag"] == 0, 60, "the new topic has everything new")
        for _ in range(2):  # the places of the new topic are kept in their turn
            replica.start("monitoring")
            replica.wait_until_ready()
            poll_until(lambda: replica.monitoring_totals()["predictions"] == wanted, 30, f"monitoring counts {wanted}")
            replica.kill("monitoring")


def answered_by(replica: Replica, count: int, *, seed: int) -> int:
    """How many were, by a client that stops behind ``count``."""
    client = Client(replica.prediction_url, seed)
    client.start()
    try:
        wait_for_answers(client, count)
    finally:
        client.finish()
    return len(client.answers)
