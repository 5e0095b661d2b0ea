"""The routes that every process answers in the same way."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from flask import Flask
from monitoring_bench import Bench
from prediction_world import serving
from prometheus_client import CollectorRegistry
from werkzeug.test import Client

from event_backbone.case.files import find_case
from event_backbone.web.probes import AnsweringStatus, add_probes
from monitoring_service.lifecycle.standby import build_standby
from prediction_service.inference.champion import ServingChampion
from prediction_service.worker.loop import WorkerLoop
from prediction_service.worker.probes import WorkerStatus, build_worker_api
from training.server.api import ServerParts, build_api
from training.server.metrics import TrainingMetrics
from training.server.retraining import RunScheduler
from training.server.runs_file import RunsFile

ROOT = Path(__file__).parents[4]
CASE = find_case("census", ROOT / "cases")


def test_what_is_wrong_stands_by_its_name() -> None:
    faults: dict[str, str] = {}
    app = Flask(__name__)
    add_probes(app, "garden", AnsweringStatus(lambda: faults, lambda: {"pots": 3}), lambda: b"# none")
    client = app.test_client()
    assert client.get("/livez").get_json() == {"live": True}
    assert (client.get("/readyz").status_code, client.get("/readyz").get_json()) == (200, {"ready": True, "faults": {}})
    faults["dry"] = "there is no water"
    ready, status = client.get("/readyz"), client.get("/status")
    assert (ready.status_code, ready.get_json()) == (503, {"ready": False, "faults": faults})
    assert status.get_json() == {"case": "garden", "ready": False, "faults": faults, "pots": 3}
    assert (status.status_code, client.get("/metrics").data) == (200, b"# none")


def test_what_is_waited_for_is_said_and_makes_nothing_unready() -> None:
    app, waiting = Flask(__name__), {"reports": "the evaluator is starting"}
    add_probes(app, "garden", AnsweringStatus(dict, dict), lambda: b"", lambda: waiting)
    ready, status = app.test_client().get("/readyz"), app.test_client().get("/status")
    assert (ready.status_code, ready.get_json()) == (200, {"ready": True, "faults": {}, "waiting": waiting})
    assert status.get_json() == {"case": "garden", **ready.get_json()}


def test_a_process_that_hangs_asks_for_a_restart() -> None:
    app = Flask(__name__)
    status = SimpleNamespace(hangs=lambda: True, faults=dict, document=dict)
    add_probes(app, "garden", status, lambda: b"")
    answer = app.test_client().get("/livez")
    assert (answer.status_code, answer.get_json()) == (503, {"live": False})


def check_contract(client: Client) -> None:
    """Faults, if any, are sentences by names; the same in both places."""
    ready, status = client.get("/readyz"), client.get("/status")
    document: Any = ready.get_json()
    assert {"ready", "faults"} <= set(document) <= {"ready", "faults", "waiting"}
    assert all(re.fullmatch("[a-z_]+", name) and " " in message for name, message in document["faults"].items())
    assert (ready.status_code, document["ready"]) == ((503, False) if document["faults"] else (200, True))
    assert {"case", *document}.issubset(status.get_json())
    assert status.get_json()["faults"] == document["faults"]
    assert client.get("/livez").get_json() == {"live": True}
    assert client.get("/metrics").status_code == 200


def of_standby(_folder: Path) -> Client:
    return build_standby(CASE).test_client()


def of_worker(_folder: Path) -> Client:
    worker = SimpleNamespace(silent_s=0.0, is_stopping=True, standstill=None, status=dict)
    champion = SimpleNamespace(fault="no model is loaded yet", scorer=None)
    status = WorkerStatus(cast(WorkerLoop, worker), cast(ServingChampion, champion))
    return build_worker_api(CASE, status, CollectorRegistry()).test_client()


def of_training_server(folder: Path) -> Client:
    def launch(_run: object) -> Any:
        raise AssertionError

    scheduler = RunScheduler(RunsFile(folder), launch, cooldown_s=1, count=lambda _outcome: None)
    return build_api(
        ServerParts("shop", scheduler, TrainingMetrics(CollectorRegistry()), (), lambda: True)
    ).test_client()


@pytest.mark.parametrize("client_of", [of_standby, of_worker, of_training_server])
def test_a_process_that_is_not_ready_says_why(client_of: Callable[[Path], Client], tmp_path: Path) -> None:
    client = client_of(tmp_path)
    check_contract(client)
    assert client.get("/readyz").status_code == 503


def test_monitoring_keeps_to_the_contract(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    check_contract(bench.client)
    bench.faults["checks_stopped"] = "the thread that makes the checks has ended"
    check_contract(bench.client)
    bench.close()


def test_the_prediction_service_keeps_to_the_contract(tmp_path: Path) -> None:
    with serving(tmp_path) as application:
        check_contract(Client(application))
