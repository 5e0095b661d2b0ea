"""What every application answers when something goes wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from event_backbone.errors import ConflictError, Fault, RejectedError, TryAgainLaterError
from event_backbone.web.error_handlers import add_error_handlers

ERRORS: dict[str, Exception] = {
    "later": TryAgainLaterError("the disk is full", retry_after_s=2.1),
    "fault": RejectedError([Fault("age", "range", "must be at most 130")]),
    "no-json": RejectedError([Fault("(body)", "json", "the body is no JSON")]),
    "conflict": ConflictError("there is one already"),
    "broken": KeyError("nobody knows"),
}


@pytest.fixture
def client() -> FlaskClient:
    app = Flask(__name__)
    app.config["MAX_CONTENT_LENGTH"] = 100
    add_error_handlers(app)

    @app.post("/<what>")
    def fail(what: str) -> None:
        raise ERRORS[what]

    return app.test_client()


@pytest.mark.parametrize(
    ("what", "code", "detail"),
    [
        ("later", 503, "the disk is full; try again in 3 s."),
        ("fault", 422, "The request has 1 fault; nothing was stored."),
        ("no-json", 400, "The request has 1 fault; nothing was stored."),
        ("conflict", 409, "there is one already"),
        ("broken", 500, "The server encountered an internal error"),
    ],
)
def test_an_error_is_a_problem_document(client: FlaskClient, what: str, code: int, detail: str) -> None:
    answer = client.post(f"/{what}")
    assert (answer.status_code, answer.content_type) == (code, "application/problem+json")
    assert answer.get_json()["detail"].startswith(detail)
    assert answer.headers.get("Retry-After") == ("3" if what == "later" else None)


def test_another_method_is_told_which_ones_there_are(client: FlaskClient) -> None:
    answer = client.get("/later")
    assert (answer.status_code, answer.content_type) == (405, "application/problem+json")
    assert "POST" in answer.headers["Allow"]


def test_handlers_of_a_whole_application_stand_where_it_is_built() -> None:
    root = Path(__file__).parents[4]
    users = {
        str(path.relative_to(root))
        for folder in ("event_backbone", "prediction_service", "monitoring_service", "training")
        for path in (root / folder).rglob("*.py")
        if ".errorhandler(" in path.read_text()
    }
    assert users == {
        "event_backbone/web/error_handlers.py",
        "monitoring_service/lifecycle/standby.py",
        "monitoring_service/web/app.py",
        "prediction_service/serving/app.py",
    }
