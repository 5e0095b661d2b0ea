"""A replica with monitoring, MongoDB and Kafka as sinks, all of it asking for an API key."""

from __future__ import annotations

import contextlib
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
from monitoring_process import poll_until
from monitoring_world import made_record
from reconciliation import TopicReader, collection
from replica import Replica
from serving_world import install_champion

from event_backbone.guards.api_keys import line_for

KEY = "the-one-good-key"
BEARER = {"Authorization": f"Bearer {KEY}"}
#: A text that no other record holds: wherever it is found, the record was not erased.
MARKER = "marker-3f9c2a"


def command(settings: dict[str, str], *arguments: str) -> tuple[int, str]:
    """Exit code of a ``prediction-service`` command, and what it said."""
    ended = subprocess.run(
        [sys.executable, "-m", "prediction_service", *arguments],
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return ended.returncode, ended.stdout + ended.stderr


@dataclass
class World:
    """A replica with monitoring, MongoDB and Kafka as sinks; everything asks for a key."""

    replica: Replica
    folder: Path
    mongo_url: str
    kafka_url: str
    settings: dict[str, str]

    def post(self, path: str, content: Any) -> None:
        answer = requests.post(self.replica.prediction_url + path, json=content, headers=BEARER, timeout=10)
        assert answer.ok, answer.text

    def predict(self, record_id: str, **changes: Any) -> None:
        record = {**made_record(random.Random(record_id)), **changes}
        self.post("/predict", {"record_id": record_id, **record})
        self.post("/labels", {"record_id": record_id, "label": "yes"})

    def wait_until_all_is_delivered(self) -> None:
        def lags() -> list[int]:
            status = requests.get(f"{self.replica.prediction_url}/status", headers=BEARER, timeout=5).json()
            return [sink["lag"] for sink in status["sinks"].values()]

        poll_until(lambda: lags() == [0, 0, 0], 60, "three sinks have everything")

    def erase(self, *record_ids: str) -> tuple[int, str]:
        return command(self.settings, "erase", "--yes", *record_ids)

    def files_with(self, text: str) -> set[str]:
        return {
            str(path.relative_to(self.folder))
            for path in self.folder.rglob("*")
            if path.is_file() and text.encode() in path.read_bytes()
        }

    def documents_with(self, record_id: str) -> dict[str, int]:
        found = {}
        for kind in ("predictions", "labels", "conflicts", "rescored"):
            with collection(self.mongo_url, kind) as documents:
                found[kind] = documents.count_documents({"record_id": record_id})
        return {kind: count for kind, count in found.items() if count}

    def last_message(self, kind: str, record_id: str) -> Any:
        reader = TopicReader(self.kafka_url, kind)
        try:
            found = [one for one in reader.read_to_the_end() if one.key == record_id.encode()]
        finally:
            reader.close()
        return found[-1] if found else None


@contextlib.contextmanager
def guarded_world(folder: Path, mongo: str, kafka: str) -> Iterator[World]:
    """Everything runs, and topics are made; the state is in ``folder/var``."""
    state, cases = folder / "var", folder / "cases"
    install_champion(state, cases)
    keys_file = folder / "keys-of-the-services"
    keys_file.write_text(line_for("tests", KEY) + "\n")
    replica = Replica(state, cases)
    settings = {
        **{"CASE": "shop", "CASES_DIR": str(cases), "STATE_DIR": str(state), "PREDICTION_URL": replica.prediction_url},
        **{"API_KEYS_FILE": str(keys_file), "API_KEY": KEY, "MONITORING_API_KEY": KEY},
        "SINKS": f"{replica.monitoring_url},{mongo},{kafka}",
    }
    code, shown = command(settings, "topics", "create")
    assert code == 0, shown
    try:
        for name in replica.names:
            replica.start(name, **settings)
        replica.wait_until_ready()
        yield World(replica, state, mongo, kafka, settings)
    except BaseException:
        print(replica.logs())
        raise
    finally:
        replica.stop()
