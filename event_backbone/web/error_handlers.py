"""Flask error handlers that answer with problem documents, registered once for an application."""

from __future__ import annotations

from flask import Flask, request
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from event_backbone.errors import ConflictError, RejectedError, TryAgainLaterError
from event_backbone.web.responses import later_response, problem_response, rejection_response


def add_error_handlers(app: Flask) -> None:
    """Handlers common to every service; one for a narrower error comes before these."""

    @app.errorhandler(TryAgainLaterError)
    def later(error: TryAgainLaterError) -> ResponseReturnValue:
        return later_response(str(error), error.retry_after_s)

    @app.errorhandler(RejectedError)
    def rejected(error: RejectedError) -> ResponseReturnValue:
        return rejection_response(error.faults)

    @app.errorhandler(ConflictError)
    def conflict(error: ConflictError) -> ResponseReturnValue:
        return problem_response(409, str(error))

    @app.errorhandler(RequestEntityTooLarge)
    def larger(error: RequestEntityTooLarge) -> ResponseReturnValue:
        limit = request.max_content_length
        if limit is None:
            return problem_response(413, error.description or error.name)
        return problem_response(413, f"The body is larger than {limit} bytes; nothing was stored.")

    @app.errorhandler(HTTPException)
    def other(error: HTTPException) -> ResponseReturnValue:
        response = problem_response(error.code or 500, error.description or error.name)
        response.headers.extend(header for header in error.get_headers() if header[0] == "Allow")
        return response
