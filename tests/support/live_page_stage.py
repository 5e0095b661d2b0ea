"""The live page before a service that says what a test wants: every part of the page has something to show.

What the real service says is tested elsewhere; this is for how the page shows it, and for what it asks of the service.
"""

from __future__ import annotations

import math
import random
import threading
import time
from datetime import UTC, datetime
from typing import Any

from flask import Flask, Response, jsonify, render_template, request
from werkzeug.serving import make_server

from event_backbone.case.schema import Case, Column
from monitoring_service.web.app import PAGE_POLICY
from monitoring_service.web.page import page_content

CHECK_ROWS = 50
NOW = time.time()


def at(seconds_ago: float) -> str:
    return datetime.fromtimestamp(NOW - seconds_ago, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class Stage:
    """Serves the page of ``case`` with :attr:`state` and the rest; :attr:`asked` are the writing requests it got."""

    def __init__(self, case: Case, *, checks: int = 300) -> None:
        self.case = case
        self.asked: list[tuple[str, str, Any]] = []
        self.checks = staged_checks(case, checks)
        self.state: dict[str, Any] = staged_state(case, self.checks)
        self.performance_windows = staged_windows(case, self.checks)
        self.shadow = {"most_pairs": 50_000, "comparisons": [staged_comparison(case)]}
        self._server = make_server("127.0.0.1", 0, self._app(), threaded=True)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join()

    def _app(self) -> Flask:
        app = Flask("monitoring_service.web")
        app.add_url_rule("/", view_func=self._page)
        app.add_url_rule("/api/state", "state", lambda: jsonify(self.state))
        app.add_url_rule("/api/history", view_func=self._history)
        app.add_url_rule("/api/quality-windows", "windows", lambda: jsonify(self.performance_windows))
        app.add_url_rule("/api/shadow", "shadow", lambda: jsonify(self.shadow))
        app.add_url_rule("/api/columns/<name>/distribution", view_func=self._distribution)
        app.add_url_rule("/api/<path:what>", view_func=self._do, methods=["POST", "DELETE"])
        return app

    def _page(self) -> Response:
        shown = page_content(self.case)
        page = Response(render_template("live.html", case=self.case, shown=shown))
        page.headers["Content-Security-Policy"] = PAGE_POLICY
        return page

    def _history(self) -> Response:
        after_row = request.args.get("after_row", default=0, type=int)
        arrivals = [[int(NOW) - second, 190 + 20 * math.sin(second / 9)] for second in range(180, 0, -1)]
        new = [check for check in self.checks if check["row"] > after_row]
        return jsonify(at=NOW, columns=self.case.column_names, checks=new, arrivals=arrivals)

    def _distribution(self, name: str) -> Response:
        column = self.case.column(name)
        labels = (
            column.categories[:20]
            if column.is_category
            else [f"{10 * place} to {10 * place + 9}" for place in range(22)]
        )
        weights = [math.exp(-(((place - 7) / 5) ** 2)) for place in range(len(labels))]
        moved = [math.exp(-(((place - 9) / 5) ** 2)) for place in range(len(labels))]
        bins = [
            {"label": label, "reference": one / sum(weights), "window": other / sum(moved)}
            for label, one, other in zip(labels, weights, moved, strict=True)
        ]
        return jsonify(kind="categories" if column.is_category else "numbers", bins=bins)

    def _do(self, what: str) -> tuple[Response, int]:
        body = request.get_json(silent=True)
        self.asked.append((request.method, what, body))
        if body and body.get("note") == "refuse":
            return jsonify(title="Conflict", detail="The window has 20 rows, a reference needs 200 or more."), 409
        for alert in self.state["alerts"]:
            if what == f"alerts/{alert['id']}/acknowledge":
                alert["acknowledged_by"] = body["by"]
            if what == f"alerts/{alert['id']}/silence":
                alert["silenced_until"] = at(-body["seconds"]) if request.method == "POST" else None
        if what.startswith("reference/"):
            kind = "accepted" if what.endswith("accept") else "bundle"
            said = {"at": at(0), "by": body["by"], "note": body["note"]} if kind == "accepted" else {}
            self.state["reference"] = {"kind": kind, "rows": 1000, "can_revert": kind == "accepted", **said}
        if what == "retraining":
            self.state["retraining"] = staged_retraining(running=f"{body['by']}: {body['note']}")
        if what == "reports":
            self.state["report"]["running"] = True
        return jsonify({}), 200


def staged_comparison(case: Case) -> dict[str, Any]:
    """Version 5 beside version 4, with a few records still missing."""
    known = {"accuracy": 0.85, "auc": 0.91} if case.is_binary else {"mae": 41.0, "r2": 0.8}
    metric_values = {name: _metric_value(value, 0.03 * value) for name, value in known.items()}
    no, yes = case.target.negative, case.target.positive
    return {
        "champion": {"name": "streamgauge", "version": "4"},
        "challenger": {"name": "streamgauge", "version": "5"},
        "pairs": 1600,
        "answered": 1604,
        "first_predicted_at": at(900),
        "last_predicted_at": at(1),
        "agreement": {"value": 0.95, "low": 0.938, "high": 0.96} if case.is_binary else None,
        "flipped": {f"{no} → {yes}": 61, f"{yes} → {no}": 19} if case.is_binary else {},
        "shift": {
            "mean": 0.012,
            "mean_absolute": 0.03,
            "largest_absolute": 0.41,
            "p05": -0.05,
            "p50": 0.008,
            "p95": 0.09,
        },
        "labelled": 700,
        "champion_figures": metric_values,
        "challenger_figures": metric_values,
    }


def staged_checks(case: Case, count: int) -> list[dict[str, Any]]:
    rng = random.Random(5)
    checks = []
    for number in range(1, count + 1):
        late = number > 0.7 * count
        effects = [
            abs(rng.gauss(0.02, 0.008)) + (0.12 * (number / count - 0.65) * 3 if late and index % 5 == 0 else 0)
            for index, _ in enumerate(case.columns)
        ]
        drifted = [late and index % 5 == 0 for index, _ in enumerate(case.columns)]
        metric_values = {
            name: 0.84 + 0.02 * math.sin(number / 15) - (0.05 if late else 0) for name in ("accuracy", "f1", "auc")
        }
        checks.append(
            {
                "row": 150 + CHECK_ROWS * number,
                "received_at": NOW - (count - number) * 0.25,
                "effects": [None if number < 4 and index == 1 else effect for index, effect in enumerate(effects)],
                "suspicious": drifted,
                "drifted": drifted,
                "prediction_effect": 0.02,
                "prediction_drifted": False,
                "mix": _mix(case, 0.01 * math.sin(number / 9)),
                "performance": {**metric_values, "mae": 40 + number / 30, "rmse": 60 + number / 30},
                "estimated": {name: value + 0.015 for name, value in metric_values.items()},
                "labelled_rows": min(1000, 20 * number),
                "version": "3" if number < 0.4 * count else "4",
            }
        )
    return checks


def _mix(case: Case, more: float) -> dict[str, float]:
    if case.target.positive is not None:
        return {case.target.positive: 0.22 + more}
    return {name: value * (1 + more) for name, value in {"p25": 120.0, "p50": 180.0, "p75": 260.0}.items()}


def _column(column: Column, index: int, check: dict[str, Any]) -> dict[str, Any]:
    drifted = check["drifted"][index]
    return {
        "name": column.name,
        "title": column.title,
        "kind": column.kind,
        "state": "invalid" if index == 3 else "ok",
        "reason": "not_a_number" if index == 3 else None,
        "score": None if index == 3 else 0.0412,
        "method": "Wasserstein distance (normed)" if not column.is_category else "Jensen-Shannon distance",
        "effect": None if index == 3 else check["effects"][index],
        "minimum_effect": 0.05,
        "p_value": 1e-9 if drifted else 0.62,
        "alarm": drifted,
        "drifted": drifted,
        "cause": "stream" if index == 5 else "window",
        "since_row": 10700 if drifted else None,
        "suspected_at_row": 10600 if drifted or index == 2 else None,
        "missing_share": 0.12 if index == 1 else 0.0,
        "reference_missing_share": 0.055 if index == 1 else 0.0,
        "unseen_share": 0.031 if column.is_category and index == 6 else 0.0 if column.is_category else None,
        "out_of_range_share": None if column.is_category else 0.004,
        "rejected_share": 0.061 if index == 4 else 0.002,
        "conditions": ["missing"] if index == 1 else ["rejected"] if index == 4 else ["drift"] if drifted else [],
    }


def _metric_value(value: float, half: float) -> dict[str, float]:
    return {"value": value, "low": value - half, "high": value + half}


def staged_state(case: Case, checks: list[dict[str, Any]]) -> dict[str, Any]:
    last = checks[-1]
    columns = [_column(column, index, last) for index, column in enumerate(case.columns)]
    drifted = [column for column in columns if column["drifted"]]
    return {
        "case": case.name,
        "at": at(0),
        "totals": {"predictions": last["row"] + 20, "labels": 9000, "rejected_records": 412, "shadows": 1600},
        "stream": None,
        "records_per_s": 198.2,
        "arrival_delay": {"rows": 200, "p50_s": 0.043, "p95_s": 0.61},
        "window": {"rows": 1000, "oldest_at": at(8), "newest_at": at(1)},
        "rejected_share": 0.021,
        "next_check_row": last["row"] + CHECK_ROWS,
        "model": {"name": "streamgauge-census", "version": "4"},
        "evaluation": {"at_row": last["row"], "rows": 1000, "state": "ok", "fault": None},
        "columns": columns,
        "episodes": [
            {
                "column": column["name"],
                "cause": column["cause"],
                "confirmed_at_row": 10700,
                "confirmed_at": at(90),
                "ended_at_row": None,
                "ended_at": None,
            }
            for column in drifted
        ]
        + [
            {
                "column": case.columns[2].name,
                "cause": "stream",
                "confirmed_at_row": 4100,
                "confirmed_at": at(90000),
                "ended_at_row": 5200,
                "ended_at": at(80000),
            }
        ],
        "prediction_drift": {"drifted": False},
        "prediction_episodes": [],
        "prediction_mix": {"reference": _mix(case, 0.02)},
        "quality": _performance(case),
        "label_delay": {
            "count": 8800,
            "p50_s": 42.0,
            "p90_s": 3100.0,
            "buckets": [[1, 40], [10, 900], [60, 5200], [600, 7300], [3600, 8300], [86400, 8790], [None, 8800]],
        },
        "conditions": _conditions(case, drifted),
        "alerts": staged_alerts(case),
        "reference": {"kind": "bundle", "rows": 5000, "at": None, "by": None, "note": None, "can_revert": False},
        "retraining": staged_retraining(),
        "report": {"latest": {"row": 14000, "at": at(40), "url": "/reports/latest"}, "running": False, "failed": 0},
        "reports": [
            {"row": 14000, "at": at(40), "kind": "schedule", "url": "/reports/report-14000-schedule.html"},
            {"row": 10700, "at": at(90), "kind": "alert", "url": "/reports/report-10700-alert.html"},
        ],
    }


def staged_retraining(*, running: str | None = None, fault: str | None = None) -> dict[str, Any]:
    """Two runs that have ended, and one at work where a reason is given."""

    def run(number: int, state: str, reason: str, *reasons: str) -> dict[str, Any]:
        ended = None if state == "running" else at(1000 * number)
        decision = (
            None if state == "running" else {"reasons": list(reasons), "challenger": {"version": str(9 - number)}}
        )
        stage = "fitting: 2 candidates" if state == "running" else "ended"
        known = {"started_at": at(1000 * number + 90), "ended_at": ended, "decision": decision}
        return {"id": f"r{number}", "state": state, "stage": stage, "reason": reason, **known}

    runs = [
        run(2, "refused", "alert RealisedLoss", "it is not better by the margin"),
        run(3, "promoted", "alert ConceptDrift"),
    ]
    if running is None:
        return {"fault": fault, "runs": runs, "refusal": None}
    refusal = {"reason": "running", "detail": "Run r1 is at work.", "retry_after_s": 10.0}
    return {"fault": fault, "runs": [run(1, "running", running), *runs], "refusal": refusal}


def _performance(case: Case) -> dict[str, Any]:
    names = {
        "accuracy": 0.801,
        "f1": 0.642,
        "auc": 0.884,
        "precision": 0.7,
        "recall": 0.59,
        "log_loss": 0.39,
        "calibration_error": 0.05,
    }
    if not case.is_binary:
        names = {"mae": 48.2, "rmse": 71.9, "r2": 0.81}
    metric_values = {name: _metric_value(value, 0.03 * value) for name, value in names.items()}
    primary_metric = next(iter(names))
    segments = [
        {
            "column": name,
            "value": value,
            "labelled_rows": 400 - 90 * place,
            "figures": {
                primary_metric: _metric_value(
                    names[primary_metric] * (1 - 0.04 * place), 0.02 * names[primary_metric] * (1 + place)
                )
            }
            if place < 3
            else {},
        }
        for name in case.monitoring.segments
        for place, value in enumerate(case.column(name).categories[:4])
    ]
    return {
        "rows": 1000,
        "labelled_rows": 870,
        "labelled_share": 0.61,
        "figures": metric_values,
        "estimated": {
            name: _metric_value(metric_value["value"] * 1.03, 0.01)
            for name, metric_value in list(metric_values.items())[:3]
        },
        "gap": {primary_metric: _metric_value(0.024, 0.02)},
        "reference": {name: 1.05 * value for name, value in names.items()},
        "segments": segments,
        "target": {"effect": 0.031},
        "model": {"name": "m", "version": "4"},
    }


def _conditions(case: Case, drifted: list[dict[str, Any]]) -> list[dict[str, Any]]:
    holding = [
        {
            "name": "drift",
            "column": one["name"],
            "active": True,
            "since": at(90),
            "value": one["effect"],
            "threshold": 0.05,
        }
        for one in drifted
    ]
    missing = {
        "name": "missing",
        "column": case.columns[1].name,
        "active": True,
        "since": at(30),
        "value": 0.12,
        "threshold": 0.105,
    }
    quiet = [
        {"name": name, "column": None, "active": False, "since": None, "value": None, "threshold": None}
        for name in ("prediction_drift", "target_drift", "concept_drift", "estimated_loss", "label_delay", "stale")
    ]
    return [*holding, missing, *quiet]


def staged_alerts(case: Case) -> list[dict[str, Any]]:
    def alert(number: int, name: str, severity: str, state: str, summary: str, **more: Any) -> dict[str, Any]:
        known = {
            "since": at(95),
            "firing_since": None,
            "resolved_at": None,
            "acknowledged_by": None,
            "silenced_until": None,
        }
        return {
            "id": f"a{number}",
            "name": name,
            "severity": severity,
            "state": state,
            "labels": {},
            "summary": summary,
            "description": f"{summary}: 18 % of records moved, the limit is 5 %.",
            "runbook": f"docs/runbook.md#{name.lower()}",
            **known,
            **more,
        }

    title = case.columns[0].title
    return [
        alert(1, "FeatureDrift", "ticket", "firing", f"{title} drifts", firing_since=at(35)),
        alert(2, "BrokenData", "page", "firing", "Values are missing", firing_since=at(20)),
        alert(3, "ConceptDrift", "page", "pending", "Predictions are worse than estimated"),
        alert(4, "LabelDelay", "ticket", "resolved", "Labels were late", firing_since=at(4000), resolved_at=at(3000)),
    ]


def staged_windows(case: Case, checks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    last = checks[-1]["row"]
    return [
        {
            "first_row": first,
            "last_row": first + 999,
            "version": "4",
            "rows": 1000,
            "labelled_rows": max(0, 990 - first // 40),
            "figures": {
                name: _metric_value(0.85 - first / 300_000 + 0.01 * math.sin(first), 0.02)
                for name in ("accuracy", "f1", "auc", "mae")
            },
        }
        for first in range(1, last, 1000)
    ]
