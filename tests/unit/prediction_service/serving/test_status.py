"""What a replica says about its sinks, in /status and /metrics."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec import json
from prediction_world import Reply, call, made_record, serving

from event_backbone.events.schema import format_utc
from prediction_service.bootstrap import ServingApplication
from prediction_service.delivery.cursors import RelayState
from prediction_service.model_sync.sync_files import ShadowStatus, SyncFiles
from prediction_service.serving import status as status_module


@pytest.fixture
def service(tmp_path: Path) -> Iterator[ServingApplication]:
    with serving(tmp_path) as application:
        yield application


@pytest.fixture
def sinks(service: ServingApplication, tmp_path: Path) -> Iterator[RelayState]:
    """What a sidecar of this replica would write."""
    slot = tmp_path / "state" / "garden" / "journals" / "00"
    with closing(RelayState(slot / "relay.sqlite", ["mongodb", "monitoring"])) as state:
        yield state


def test_who_shadows_is_said_as_the_sidecar_noted_it(service: ServingApplication, tmp_path: Path) -> None:
    sync_files = SyncFiles(tmp_path / "state" / "garden" / "bundles")
    assert call(service, "GET", "/status").json()["shadow"] is None
    sync_files.write_shadow(ShadowStatus("5", None))
    assert call(service, "GET", "/status").json()["shadow"] == {"version": "5", "fault": None}
    sync_files.write_shadow(None)
    assert call(service, "GET", "/status").json()["shadow"] is None


def predict(service: ServingApplication, number: int) -> Reply:
    return call(service, "POST", "/predict", json.encode({"record_id": f"r{number}", **made_record(number)}))


def metrics_of(service: ServingApplication) -> dict[str, float]:
    lines = call(service, "GET", "/metrics").body.decode().splitlines()
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if line[0] != "#")}


def test_conflicts_and_lag_of_each_sink_are_said(service: ServingApplication, sinks: RelayState) -> None:
    for number in range(3):
        predict(service, number)
    sinks.advance("mongodb", 1, conflicts=2)
    sinks.advance("mongodb", 2, conflicts=1)
    sinks.advance("monitoring", 3)
    said = call(service, "GET", "/status").json()["sinks"]
    assert (said["mongodb"]["conflicts"], said["monitoring"]["conflicts"]) == (3, 0)
    assert (said["mongodb"]["lag"], said["monitoring"]["lag"], said["monitoring"]["lag_s"]) == (1, 0, 0.0)
    exposed = metrics_of(service)
    assert exposed['prediction_sink_conflicts_total{case="garden",sink="mongodb"}'] == 3
    assert exposed['prediction_sink_lag_seconds{case="garden",sink="monitoring"}'] == 0
    assert exposed['prediction_sink_lag_seconds{case="garden",sink="mongodb"}'] >= 0


class Later(datetime):
    """A clock that is ahead by a minute, or behind."""

    ahead = timedelta(minutes=1)

    @classmethod
    def now(cls, tz: Any = None) -> datetime:
        return datetime.now(UTC) + cls.ahead


@pytest.mark.parametrize(("ahead_s", "low", "high"), [(60, 60, 100), (-3600, 0, 0)])
def test_lag_in_seconds_is_the_age_of_the_oldest_row_that_is_missing(
    ahead_s: int,
    low: int,
    high: int,
    service: ServingApplication,
    sinks: RelayState,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    predict(service, 1)
    monkeypatch.setattr(Later, "ahead", timedelta(seconds=ahead_s))
    monkeypatch.setattr(status_module, "datetime", Later)
    lag_s = call(service, "GET", "/status").json()["sinks"]["mongodb"]["lag_s"]
    assert low <= lag_s <= high
    sinks.advance("mongodb", 1)
    assert call(service, "GET", "/status").json()["sinks"]["mongodb"]["lag_s"] == 0


def test_the_pages_of_the_own_journal_go_on_where_the_last_one_ended(service: ServingApplication) -> None:
    for number in range(5):
        predict(service, number)
    found, cursor = [], format_utc(datetime.now(UTC) - timedelta(hours=1))
    while cursor is not None:
        page = call(service, "GET", "/predictions", query=f"limit=2&since={cursor}").json()
        found += [prediction["record_id"] for prediction in page["predictions"]]
        cursor = page["next"]
    assert found == [f"r{number}" for number in range(5)]
