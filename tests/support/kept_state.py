"""Services started on a state folder that an earlier commit wrote, and everything they answer about it.

Nothing of the product is imported: the state is met by commands, settings, HTTP and the files themselves. The same
questions were asked of the commit that wrote it; what it answered is `expected.json` beside the archive.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import sqlite3
import subprocess
import sys
import tarfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import requests
from monitoring_process import free_port, poll_until, stop
from webhook_receiver import WebhookReceiver

FIXTURE = Path(__file__).parents[1] / "fixtures" / "kept_state"
NOBODY = "http://127.0.0.1:9"
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z")
A_CENTURY_S = str(100 * 365 * 86400)
#: About the present, or about the process: left out wherever it stands. Each with the reason.
ABOUT_THE_PRESENT = {
    "at_now": "when it was asked",
    "records_per_s": "of the last seconds",
    "arrivals": "of the last ten minutes",
    "lag_s": "the age of a row, now",
    "bytes": "pages of a file, which a start may rearrange",
    "max_bytes": "a setting",
    "summary": "words of the program that answers, as the two below",
    "description": "",
    "runbook": "",
}
#: Metrics of the process that answers, or of the present second: not of what is kept.
METRICS_OF_THE_PROCESS = (
    "monitoring_api_",
    "monitoring_evaluation_seconds",
    "monitoring_notifications",
    "monitoring_report",
    "monitoring_checks_",
    "monitoring_evaluator_",
    "monitoring_drift_confirmed",
    "monitoring_last_",
    "monitoring_unauthorized",
    "monitoring_refused_events",
    "monitoring_alerts",
    "monitoring_build_info",
)


def unpack(folder: Path) -> None:
    """The kept state below ``folder``: cases, STATE_DIR ``var`` and, for the degraded monitor, RUN_DIR ``degraded``."""
    with tarfile.open(FIXTURE / "state.tar.xz") as tar:
        tar.extractall(folder, filter="data")


def expected() -> dict[str, Any]:
    return dict(json.loads((FIXTURE / "expected.json").read_text()))


class RestoredServices:
    """The processes of every service on one unpacked state; each is started when it is asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.receiver = WebhookReceiver()
        self._ports = {name: free_port() for name in ("monitoring", "degraded", "prediction", "training")}
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, *command: str, **settings: str) -> None:
        """Does not wait: they may come up side by side."""
        with (self.folder / f"{name}.log").open("ab") as log:
            arguments = [sys.executable, "-m", *command]
            env = self._environment(settings)
            self._running[name] = subprocess.Popen(arguments, env=env, stdout=log, stderr=log)

    def start_all(self) -> None:
        self.start("prediction", "prediction_service")
        self.start("monitoring", "monitoring_service", MONITORING_WEBHOOK_URL=self.receiver.url)
        self.start("training", "training", "serve")
        degraded = {"RUN_DIR": str(self.folder / "degraded"), "MONITORING_PORT": str(self._ports["degraded"])}
        self.start("degraded", "monitoring_service", **degraded)
        for name in self._ports:
            poll_until(lambda name=name: self.get(name, "/readyz").ok, 60, f"{name} is ready")  # type: ignore[misc]

    def start_sidecar(self) -> None:
        self.start("sidecar", "prediction_service", "sidecar")

    def stop(self, name: str) -> None:
        stop(self._running.pop(name))

    def stop_all(self) -> None:
        for name in reversed([*self._running]):
            self.stop(name)
        self.receiver.close()

    def _environment(self, settings: Mapping[str, str]) -> dict[str, str]:
        """Nothing of the caller's settings; times long enough for a state that may be years old."""
        own = ("PATH", "PYTHONPATH", "HOME", "LANG", "TMPDIR", "VIRTUAL_ENV")
        return {
            **{name: os.environ[name] for name in own if name in os.environ},
            "CASE": "census",
            "CASES_DIR": str(self.folder / "cases"),
            "STATE_DIR": str(self.folder / "var"),
            "MONITORING_PORT": str(self._ports["monitoring"]),
            "MONITORING_ALERT_TIME_SCALE": "0.001",
            "MONITORING_RETENTION_S": A_CENTURY_S,
            "MONITORING_UNMATCHED_AFTER_S": A_CENTURY_S,
            "MONITORING_REPORT_RETENTION_S": A_CENTURY_S,
            "MONITORING_REPORT_EVERY_ROWS": "1000000",
            "MONITORING_STALE_AFTER_S": A_CENTURY_S,
            "PREDICTION_PORT": str(self._ports["prediction"]),
            "JOURNAL_RETENTION_S": A_CENTURY_S,
            "SINKS": f"http://127.0.0.1:{self._ports['monitoring']}",
            "SHADOW_ALIAS": "challenger",
            "MLFLOW_TRACKING_URI": NOBODY,
            "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
            "TRAINING_PORT": str(self._ports["training"]),
            "RETRAINING_COOLDOWN_S": "3600",
            **settings,
        }

    def url(self, service: str, path: str) -> str:
        return f"http://127.0.0.1:{self._ports[service]}{path}"

    def get(self, service: str, path: str) -> requests.Response:
        return requests.get(self.url(service, path), timeout=10)

    def document(self, service: str, path: str) -> Any:
        return self.get(service, path).json()

    def post(self, service: str, path: str, body: Any) -> requests.Response:
        return requests.post(self.url(service, path), json=body, timeout=30)

    def logs(self) -> str:
        return "\n".join(f"== {path.name}\n{path.read_text()[-3000:]}" for path in sorted(self.folder.glob("*.log")))

    def dead_letters(self) -> list[Any]:
        """Parked rows, as the operator's command shows them: id, reason and when they were first seen."""
        command = [sys.executable, "-m", "prediction_service", "dead-letters", "list"]
        found = subprocess.run(command, env=self._environment({}), capture_output=True, text=True, check=True)
        return [[words[0], words[1], words[-2]] for words in map(str.split, found.stdout.splitlines())]


@contextlib.contextmanager
def restored(folder: Path) -> Iterator[RestoredServices]:
    """All services on the kept state, none of which has got anything new; logs are shown when something fails."""
    services = RestoredServices(folder)
    try:
        services.start_all()
        yield services
    except BaseException:
        print(services.logs())
        raise
    finally:
        services.stop_all()


# What they answer ------------------------------------------------------------------------------------------------


def monitoring_answers(services: RestoredServices, service: str = "monitoring") -> Any:
    state = services.document(service, "/api/state")
    state["at_now"] = state.pop("at")
    history = services.document(service, "/api/history")
    history["at_now"] = history.pop("at")
    return _timeless(
        {
            "state": state,
            "history": history,
            "alerts": services.document(service, "/api/alerts"),
            "reference": services.document(service, "/api/reference"),
            "quality_windows": services.document(service, "/api/quality-windows"),
            "shadow": services.document(service, "/api/shadow"),
            "reports": services.document(service, "/api/reports"),
            "age": services.document(service, "/api/columns/age/distribution"),
            "occupation": services.document(service, "/api/columns/occupation/distribution"),
            "metrics": _metrics(services.get(service, "/metrics").text, "monitoring_", METRICS_OF_THE_PROCESS),
        }
    )


def prediction_answers(services: RestoredServices) -> Any:
    stored = _stored(services)
    erased = services.get("prediction", "/predictions/kept-0150").status_code
    return _timeless(
        {
            "status": services.document("prediction", "/status"),
            "stored": {
                "count": len(stored),
                "sha256": hashlib.sha256(json.dumps(stored, sort_keys=True).encode()).hexdigest(),
                "first": stored[0],
                "last": stored[-1],
                "versions": Counter(one["model"]["version"] for one in stored),
            },
            "erased": erased,
            "metrics": _metrics(services.get("prediction", "/metrics").text, "prediction_sink_", ()),
        }
    )


def _stored(services: RestoredServices) -> list[Any]:
    found: list[Any] = []
    cursor: str | None = ""
    while cursor is not None:
        page = services.document("prediction", f"/predictions?limit=1000&since={cursor}")
        found += page["predictions"]
        cursor = page["next"]
    return found


def repeated_predictions(services: RestoredServices) -> dict[str, Any]:
    """Known ids again: the same record gets the kept answer, another one and an erased id are refused."""
    kept = services.document("prediction", "/predictions/kept-0101")
    record = {"record_id": kept["record_id"], **kept["record"]}
    same = services.post("prediction", "/predict", record)
    return {
        "same": [same.status_code, same.json()],
        "other": services.post("prediction", "/predict", {**record, "age": record["age"] + 1}).status_code,
        "erased": services.post("prediction", "/predict", {**record, "record_id": "kept-0150"}).status_code,
    }


def training_answers(services: RestoredServices) -> dict[str, Any]:
    """Runs as they are told of, and what an alert is answered that began in the time in which an episode goes on."""
    runs = services.document("training", "/train")["runs"]
    for run in runs:
        if run["episode"] == "by-hand":  # it was at work: it ends at the restart, for a reason in the program's words
            run |= {"ended_at": bool(run["ended_at"]), "decision": bool(run["decision"]["reasons"])}
    alert = {
        "status": "firing",
        "labels": {"alertname": "ConceptDrift", "case": "census"},
        "startsAt": "2026-01-03T01:00:00Z",
        "fingerprint": "feedfacefeedface",
    }
    told = services.post("training", "/alerts", {"version": "4", "alerts": [alert]}).json()["passed_over"]
    asked = services.post("training", "/train", {"reason": "again", "episode": "0ddba11c0ddba11c@2026-01-03T00:00:00Z"})
    return {
        "runs": runs,
        "passed over": [[one["episode"], one["reason"], _runs_named(one["detail"])] for one in told],
        "asked": [asked.status_code, _runs_named(asked.json()["detail"])],
    }


def _runs_named(sentence: str) -> list[str]:
    return re.findall(r"\b[0-9a-f]{16}\b", sentence)


def after_new_rows(services: RestoredServices) -> dict[str, Any]:
    """What is counted and carried on once the journal's undelivered rows have come; nothing that is measured anew."""
    status = services.document("prediction", "/status")
    state = services.document("monitoring", "/api/state")
    carried = ("drifted", "cause", "since_row", "suspected_at_row")
    return {
        "totals": state["totals"],
        "waiting_labels": state["waiting_labels"],
        "sources": state["sources"],
        "checked_row": state["evaluation"]["at_row"],
        "episodes": state["episodes"],
        "columns": {column["name"]: {name: column[name] for name in carried} for column in state["columns"]},
        "conditions": _active(state),
        "reference": services.document("monitoring", "/api/reference")["history"],
        "sinks": {
            name: _chosen(sink, ("delivered_seq", "lag", "parked", "conflicts", "fault"))
            for name, sink in status["sinks"].items()
        },
    }


def _active(state: Mapping[str, Any]) -> list[list[Any]]:
    return [[one["name"], one["column"], one["since"]] for one in state["conditions"] if one["active"]]


def _without_new_times(document: Any, kept: set[str]) -> Any:
    """The same with ``(new)`` in the place of every time that was not there before."""
    if isinstance(document, dict):
        return {name: _without_new_times(value, kept) for name, value in document.items()}
    if isinstance(document, list):
        return [_without_new_times(one, kept) for one in document]
    is_new = isinstance(document, str) and _TIME.fullmatch(document) is not None and document not in kept
    return "(new)" if is_new else document


def _chosen(document: Mapping[str, Any] | None, names: tuple[str, ...]) -> dict[str, Any]:
    return {name: (document or {}).get(name) for name in names}


def _metrics(text: str, prefix: str, without: tuple[str, ...]) -> dict[str, float]:
    samples = (line.rpartition(" ") for line in text.splitlines() if line.startswith(prefix))
    return {
        sample: float(value)
        for sample, _, value in samples
        if not sample.startswith(without or ("-",)) and "_created" not in sample and "lag_seconds" not in sample
    }


def _timeless(document: Any) -> Any:
    """The same without what :data:`ABOUT_THE_PRESENT` names."""
    if isinstance(document, dict):
        return {name: _timeless(value) for name, value in document.items() if name not in ABOUT_THE_PRESENT}
    return [_timeless(one) for one in document] if isinstance(document, list) else document


def part_of(found: Any, wanted: Any) -> Any:
    """What was found without the keys that nobody knew of before: a later version may say more."""
    if isinstance(found, dict) and isinstance(wanted, dict):
        return {name: part_of(value, wanted[name]) for name, value in found.items() if name in wanted}
    if isinstance(found, list) and isinstance(wanted, list) and len(found) == len(wanted):
        return [part_of(*pair) for pair in zip(found, wanted, strict=True)]
    return found


def settled(ask: Callable[[], Any], wanted: Any = None, timeout_s: float = 30.0) -> Any:
    """The answer as soon as it is the wanted one, or the last one; without a wanted one, when it moves no more."""
    deadline, since, last = time.monotonic() + timeout_s, time.monotonic(), None
    while time.monotonic() < deadline:
        found = json.loads(json.dumps(ask()))
        if wanted is not None and part_of(found, wanted) == wanted:
            return found
        if found != last:
            since, last = time.monotonic(), found
        if wanted is None and time.monotonic() - since > 5.0:
            return found
        time.sleep(0.2)
    return last


def notified(services: RestoredServices) -> dict[str, list[list[str]]]:
    """What the webhook's receiver was told first of each alert name: status and fingerprint of each alert."""
    told: dict[str, list[list[str]]] = {}
    for body in services.receiver.bodies:
        alerts = sorted([one["status"], one["fingerprint"]] for one in body["alerts"])
        told.setdefault(body["groupLabels"]["alertname"], alerts)
    return dict(sorted(told.items()))


def degraded_answers(services: RestoredServices) -> dict[str, Any]:
    """What lasts of a monitor whose last check failed."""
    state = services.document("degraded", "/api/state")
    return {"evaluation": _chosen(state["evaluation"], ("at_row", "state", "fault")), "conditions": _active(state)}


def write_something_of_each(services: RestoredServices) -> None:
    """A prediction, a label, a refused record, an erasure, decisions about references: so that each is encoded anew."""
    kept = services.document("prediction", "/predictions/kept-0102")["record"]
    for number in range(11):
        assert services.post("prediction", "/predict", {"record_id": f"new-{number}", **kept}).status_code == 200
    labels = [{"record_id": f"new-{number}", "label": "<=50K"} for number in range(11)]
    assert services.post("prediction", "/labels", labels).status_code == 202
    poll_until(lambda: _delivered(services), 60, "new rows are with monitoring")
    poll_until(lambda: _checked_row(services) == 820, 60, "the check of new rows")
    rejections = services.document("prediction", "/status")["journal"]["rejections"]
    assert services.post("prediction", "/predict", {**kept, "age": -1}).status_code == 422
    erased = requests.delete(services.url("prediction", "/predictions/new-0"), timeout=10)
    assert erased.json()["rows_erased"] == 2, erased.text
    poll_until(lambda: _delivered(services, rejections=rejections + 1), 60, "the refused record is with monitoring")
    poll_until(lambda: len(services.document("monitoring", "/api/quality-windows")) == 10, 60, "a new window")
    for deed in ("revert", "accept"):
        assert services.post("monitoring", f"/api/reference/{deed}", {"by": "kept", "note": "a test"}).ok


def _delivered(services: RestoredServices, *, rejections: int = 0) -> bool:
    """Whether monitoring has all rows, and so many rejections are among them."""
    status = services.document("prediction", "/status")
    is_kept = status["journal"]["rejections"] >= rejections
    return is_kept and not any(sink["lag"] for sink in status["sinks"].values())


def _checked_row(services: RestoredServices) -> int:
    return int(services.document("monitoring", "/api/state")["evaluation"]["at_row"])


def acknowledge(services: RestoredServices, condition: str) -> None:
    """The alert of this condition, if it fires still."""
    for alert in services.document("monitoring", "/api/alerts")["alerts"]:
        if alert["labels"]["condition"] == condition and alert["state"] == "firing":
            path = f"/api/alerts/{alert['id']}/acknowledge"
            assert services.post("monitoring", path, {"by": "kept", "note": "a test"}).ok


def ask_everything(folder: Path, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """All answers about the state in ``folder``, by what they are about; those wanted are waited for, for a while."""
    before, blobs = row_counts(folder), kept_blobs(folder)
    answers: dict[str, Any] = {}

    def ask(name: str, question: Callable[[], Any]) -> None:
        answers[name] = settled(question, wanted.get(name))

    with restored(folder) as services:
        ask("degraded", lambda: degraded_answers(services))
        services.stop("degraded")
        ask("prediction", lambda: prediction_answers(services))
        answers["repeated"] = repeated_predictions(services)
        answers["training"] = training_answers(services)
        answers["dead letters"] = services.dead_letters()
        # Nothing is measured before the evaluator's libraries are there; the comparison with the shadow shows when.
        poll_until(lambda: services.document("monitoring", "/api/shadow")["comparisons"], 90, "an evaluator")
        ask("monitoring", lambda: monitoring_answers(services))
        ask("notified", lambda: notified(services))
        acknowledge(services, "label_delay")
        services.start_sidecar()
        poll_until(lambda: _delivered(services), 90, "rows that were not delivered are now")
        poll_until(lambda: _checked_row(services) == 810, 90, "their check")
        kept = set(_TIME.findall(json.dumps(answers["monitoring"])))
        ask("after new rows", lambda: _without_new_times(after_new_rows(services), kept))
        write_something_of_each(services)
    answers["rows"] = before
    after = {"rows after": row_counts(folder), "blobs": blobs, "blobs after": kept_blobs(folder)}
    return {**json.loads(json.dumps(answers)), **after}


# What stands in the files ------------------------------------------------------------------------------------------


def row_counts(folder: Path) -> dict[str, dict[str, int]]:
    """Rows by table of every SQLite file, and the number of its format."""
    return {str(path.relative_to(folder)): _counts(path) for path in sorted(folder.rglob("*.sqlite"))}


def _counts(path: Path) -> dict[str, int]:
    with contextlib.closing(sqlite3.connect(path)) as db:
        tables = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")]
        counts = {name: db.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in tables}
        return {**counts, "user_version": db.execute("PRAGMA user_version").fetchone()[0]}


def kept_blobs(folder: Path) -> dict[str, Any]:
    """What stands as JSON in the files, decoded: a list for each kind, the newest last."""
    case = folder / "var" / "census"
    inbox, slot = case / "monitoring" / "inbox.sqlite", case / "journals" / "00"
    found = {
        "standing": _rows(inbox, "SELECT body FROM kept WHERE name = 'standing'"),
        "alerts": _rows(inbox, "SELECT body FROM kept WHERE name = 'document:alerts'"),
        "accepted references": _rows(inbox, "SELECT body FROM kept WHERE name = 'document:accepted_references'"),
        "history point": _rows(inbox, "SELECT point FROM checks ORDER BY row"),
        "figures of a quality window": _rows(inbox, "SELECT figures FROM quality_windows ORDER BY first_row"),
        "faults of rejections": _rows(inbox, "SELECT faults FROM rejections ORDER BY id"),
        "segments": _rows(inbox, "SELECT segments FROM predictions WHERE segments IS NOT NULL ORDER BY number"),
        "record": _rows(inbox, "SELECT body FROM records ORDER BY number"),
        "runs": [json.loads((case / "training" / "runs.json").read_bytes())],
        "current": [json.loads((case / "bundles" / "current").read_bytes())],
        "shadow": [json.loads((case / "bundles" / "shadow").read_bytes())],
        "registry fault": [json.loads((case / "bundles" / "registry-fault").read_bytes())],
        "shadow note": [json.loads((case / "bundles" / "shadow-note").read_bytes())],
        "accepted profile": _files(case / "monitoring" / "references"),
    }
    for kind in ("prediction", "label", "rejections", "erasure"):
        query = f"SELECT body FROM entries WHERE kind = '{kind}' ORDER BY seq"
        found[f"journal: {kind}"] = _rows(slot / "journal.sqlite", query)
    return found


def _rows(path: Path, query: str) -> list[Any]:
    with contextlib.closing(sqlite3.connect(path)) as db:
        return [json.loads(body) for (body,) in db.execute(query)]


def _files(folder: Path) -> list[Any]:
    return [
        json.loads(path.read_bytes()) for path in sorted(folder.glob("*.json"), key=lambda one: one.stat().st_mtime)
    ]


def key_paths(document: Any, above: str = "") -> set[str]:
    """Every key with those above it, places of lists left out; and the value of every tag."""
    if isinstance(document, list):
        return {path for one in document for path in key_paths(one, f"{above}[]")}
    if not isinstance(document, dict):
        return set()
    paths = set()
    for name, value in document.items():
        here = f"{above}.{name}={value}" if name == "type" and isinstance(value, str) else f"{above}.{name}"
        paths |= {here} | key_paths(value, here)
    return paths
