"""What every answer of every service says to a browser, whatever is asked for and however it ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from monitoring_bench import Bench
from monitoring_world import made_case
from prometheus_client import CollectorRegistry
from werkzeug.test import Client

from event_backbone.guards.access import Access, GuardedApplication, Guards
from event_backbone.web.probes import AnsweringStatus
from monitoring_service.lifecycle.standby import build_standby
from prediction_service.serving.app import add_admin
from prediction_service.serving.app import build_api as build_prediction
from prediction_service.worker.probes import build_worker_api
from training.server.api import ServerParts
from training.server.api import build_api as build_training
from training.server.metrics import TrainingMetrics

#: What stands behind a route: any use of it is an error that nobody foresaw.
BROKEN: Any = None
STATUS: Any = AnsweringStatus(dict, dict)


def prediction(_folder: Path) -> Flask:
    app = build_prediction(made_case(), BROKEN, BROKEN, BROKEN, STATUS, CollectorRegistry(), max_body_bytes=1000)
    add_admin(app, BROKEN)
    return app


def monitoring(folder: Path) -> Flask:
    bench = Bench(folder)
    bench.reports.add(50, "schedule", "<p>a report</p>")
    app = bench.client.application
    assert isinstance(app, Flask)
    return app


APPLICATIONS: dict[str, Callable[[Path], Flask]] = {
    "prediction": prediction,
    "worker": lambda _: build_worker_api(made_case(), STATUS, CollectorRegistry()),
    "monitoring": monitoring,
    "standby": lambda _: build_standby(made_case()),
    "training": lambda _: build_training(
        ServerParts("shop", BROKEN, TrainingMetrics(CollectorRegistry()), frozenset(), lambda: False)
    ),
}
#: Answers that are pages, and what their policy lets them run.
SCRIPTS = {
    "/": {None, "'self'"},
    "/docs/": {"'self'"},
    "/docs/x": {"'self'"},
    "/reports/x": {None},
}
HOST = {"Host": "localhost"}


class KeyOf:
    def accepts(self, presented: str) -> bool:
        return presented == "key"


def guarded(app: Flask, **access: Any) -> Client:
    return Client(GuardedApplication(app, Guards(Access(**access), lambda: None)))


def requests(app: Flask) -> Iterator[tuple[str, str]]:
    """Every route with each of its methods, and what is no route."""
    for rule in app.url_map.iter_rules():
        path = rule.rule
        for argument in rule.arguments:
            path = path.replace(f"<path:{argument}>", "x").replace(f"<{argument}>", "x")
        yield from ((method, path) for method in sorted(rule.methods or ()))
    yield from [("GET", "/nothing/here"), ("PUT", "/livez"), ("GET", "/static/../settings.py")]


def directives(headers: Any) -> dict[str, str]:
    policies = headers.getlist("Content-Security-Policy")
    assert len(policies) == 1
    return dict(one.strip().partition(" ")[::2] for one in policies[0].split(";"))


@pytest.mark.parametrize("name", APPLICATIONS)
def test_every_answer_has_a_type_that_holds_and_is_framed_by_nobody(name: str, tmp_path: Path) -> None:
    app = APPLICATIONS[name](tmp_path)
    client, statuses = guarded(app), set()
    for method, path in requests(app):
        answer = client.open(path, method=method, headers=HOST)
        statuses.add(answer.status_code)
        asked = f"{method} {path}: {answer.status}"
        assert answer.headers.getlist("X-Content-Type-Options") == ["nosniff"], asked
        policy = directives(answer.headers)
        assert policy["frame-ancestors"] == "'none'", asked
        assert policy["base-uri"] == "'none'", asked
        assert policy["form-action"] in ("'none'", "'self'"), asked
        scripts = policy.get("script-src", policy["default-src"].replace("'none'", "") or None)
        assert scripts in SCRIPTS.get(path, {None}), asked
    assert statuses & {404, 503}
    assert name != "prediction" or 500 in statuses


def test_a_report_is_read_without_an_origin(tmp_path: Path) -> None:
    answer = guarded(monitoring(tmp_path)).get("/reports/latest", headers=HOST)
    assert answer.status_code == 200
    assert directives(answer.headers)["sandbox"] == "allow-scripts"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "rebound.example.com"}, 403),
        ({**HOST, "Origin": "https://example.com"}, 403),
        (HOST, 401),
        ({**HOST, "X-API-Key": "key"}, 404),
    ],
)
def test_so_has_what_a_guard_answers(headers: dict[str, str], status: int, tmp_path: Path) -> None:
    answer = guarded(prediction(tmp_path), keys=KeyOf()).get("/nothing", headers=headers)
    assert answer.status_code == status
    assert answer.headers.getlist("X-Content-Type-Options") == ["nosniff"]
    assert directives(answer.headers)["frame-ancestors"] == "'none'"
