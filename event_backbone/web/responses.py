"""HTTP responses common to every service: JSON, problem documents, ``Retry-After``."""

from __future__ import annotations

import math
from collections.abc import Iterable
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import msgspec
from flask import Response

from event_backbone.errors import Fault
from event_backbone.web.problems import CONTENT_TYPE, problem, rejection

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse

JSON = "application/json"


def json_response(document: Any, code: int = 200) -> Response:
    return json_bytes_response(msgspec.json.encode(document), code)


def json_bytes_response(body: bytes, code: int = 200) -> Response:
    """For a document that is encoded already: JSON below 300, a problem document from there on."""
    return Response(body, code, content_type=JSON if code < 300 else CONTENT_TYPE)


def problem_response(code: int, detail: str) -> Response:
    return json_bytes_response(problem(code, detail), code)


def rejection_response(faults: Iterable[Fault], what: str = "request") -> Response:
    """For input with faults: 400 when it is no JSON at all, else 422; all faults are named."""
    code, body = rejection(faults, what)
    return json_bytes_response(body, code)


def later_response(reason: str, retry_after_s: float, code: int = 503) -> Response:
    """A problem that may go away, with the time to retry in header and text."""
    response = problem_response(code, try_again(reason, retry_after_s))
    response.headers["Retry-After"] = retry_after_header(retry_after_s)
    return response


def try_again(reason: str, retry_after_s: float) -> str:
    return f"{reason}; try again in {retry_after_header(retry_after_s)} s."


def retry_after_header(retry_after_s: float) -> str:
    """Whole seconds, at least one; rounded up, because a client that comes back too early has to come again."""
    return str(max(1, math.ceil(retry_after_s)))


def send_problem(start_response: StartResponse, code: int, body: bytes, *headers: tuple[str, str]) -> list[bytes]:
    """A problem document without Flask: for the WSGI middleware before it."""
    always = [("Content-Type", CONTENT_TYPE), ("Content-Length", str(len(body)))]
    start_response(f"{code} {HTTPStatus(code).phrase}", [*always, *headers])
    return [body]
