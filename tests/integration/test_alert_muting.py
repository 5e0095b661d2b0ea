"""What a real Alertmanager keeps quiet beside something else, with the committed configuration."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import requests
from alerting_stack import Alertmanager
from monitoring_process import poll_until
from real_parts_cache import part_or_skip

from prometheus.render import FOLDER

Labels = Mapping[str, str]
#: Alertmanager takes note of what mutes a moment after it has the alert; far more than that moment.
TIME_TO_MUTE_S = 0.5


@pytest.fixture
def alertmanager(tmp_path: Path) -> Iterator[Alertmanager]:
    part_or_skip("prometheus-alertmanager")
    (tmp_path / "config").mkdir()
    shutil.copy(FOLDER / "alertmanager.yml", tmp_path / "config")
    part = Alertmanager(tmp_path / "alertmanager")
    try:
        part.start()
        yield part
    finally:
        part.stop()


def drift(case: str = "census", column: str = "age") -> Labels:
    return {"alertname": "FeatureDrift", "case": case, "column": column, "condition": "drift", "severity": "ticket"}


def broken(case: str = "census", column: str = "age") -> Labels:
    return {"alertname": "BrokenData", "case": case, "column": column, "condition": "missing", "severity": "page"}


def of(name: str, **labels: str) -> Labels:
    return {"alertname": name, "severity": "page", **labels}


ABSENT = of("MonitorAbsent", case="census", job="monitoring")
STALE = of("MonitorStale", case="census", condition="stale")
HOST = {"job": "prediction", "instance": "prediction:9696"}

MUTED = {
    "drift, by a monitor that is behind": (STALE, drift()),
    "a loss, by a monitor that is behind": (STALE, of("RealisedLoss", case="census")),
    "drift, by a monitor that is gone": (ABSENT, drift()),
    "broken data, by a monitor that is gone": (ABSENT, broken()),
    "a stale monitor, by one that is gone": (ABSENT, STALE),
    "drift of any case, where no monitor was ever seen": (of("MonitorAbsent", job="monitoring"), drift()),
    "its target that is down, by a monitor that is gone": (
        ABSENT,
        of("ServiceDown", job="monitoring", instance="monitoring:8085"),
    ),
    "drift of a column, by its broken data": (broken(), drift()),
    "a full journal, by its service that is down": (
        of("ServiceDown", **HOST),
        of("JournalFillsUp", case="census", **HOST),
    ),
    "the slow burn, by the fast one": (
        of("ServingErrorBudgetBurn", case="census"),
        {**of("ServingErrorBudgetBurn", case="census"), "severity": "ticket"},
    ),
}
TOLD = {
    "drift of another case, beside a monitor that is gone": (ABSENT, drift("housing")),
    "drift of another case, beside a monitor that is behind": (STALE, drift("housing")),
    "a fault of serving, beside a monitor that is gone": (ABSENT, of("JournalFillsUp", case="census", **HOST)),
    "drift of another column, beside broken data": (broken(), drift(column="sex")),
    "drift of that column in another case, beside broken data": (broken(), drift("housing")),
    "drift, beside a service that is down": (of("ServiceDown", **HOST), drift()),
    "another service that is down": (
        of("ServiceDown", **HOST),
        of("ServiceDown", job="worker", instance="worker:9697"),
    ),
    "a monitor that can't evaluate, beside one that is behind": (STALE, of("EvaluatorFailed", case="census")),
}


def both_fire(part: Alertmanager, pair: tuple[Labels, Labels]) -> None:
    alerts = [{"labels": dict(labels)} for labels in pair]
    requests.post(f"{part.url}/api/v2/alerts", json=alerts, timeout=10).raise_for_status()
    poll_until(lambda: len(part.alerts()) == 2, 20, "both alerts are there")


def muted(part: Alertmanager) -> list[Labels]:
    return [one["labels"] for one in part.alerts() if one["status"]["inhibitedBy"]]


@pytest.mark.parametrize("pair", MUTED.values(), ids=MUTED.keys())
def test_it_is_muted(alertmanager: Alertmanager, pair: tuple[Labels, Labels]) -> None:
    both_fire(alertmanager, pair)
    poll_until(lambda: muted(alertmanager) == [pair[1]], 20, "the second is muted and the first is not")


@pytest.mark.parametrize("pair", TOLD.values(), ids=TOLD.keys())
def test_it_is_told(alertmanager: Alertmanager, pair: tuple[Labels, Labels]) -> None:
    both_fire(alertmanager, pair)
    time.sleep(TIME_TO_MUTE_S)
    assert muted(alertmanager) == []
