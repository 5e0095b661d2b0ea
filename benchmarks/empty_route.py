"""The yardstick: a Flask route that reads the body and answers 200 bytes, on the same server as ours."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

from flask import Flask, request

from event_backbone.guards.access import Access
from event_backbone.server.capacity import Capacity
from event_backbone.server.serve import serve
from prediction_service.settings import ServingSettings

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

ANSWER = b"x" * 200


class EmptyRoute:
    def __init__(self) -> None:
        self._app = Flask(__name__)

        @self._app.route("/predict", methods=["GET", "POST"])
        def predict() -> bytes:
            request.get_data()
            return ANSWER

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        return self._app(environ, start_response)

    def count_unauthorized(self) -> None:
        """Never asked: there are no keys."""

    def count_shed(self) -> None:
        """Never asked: few enough come."""

    def close(self) -> None:
        """Nothing is held."""


if __name__ == "__main__":
    settings = ServingSettings()
    serve(
        lambda _draining: EmptyRoute(),
        host="127.0.0.1",
        port=int(sys.argv[1]),
        access=Access(),
        capacity=Capacity(settings.server_threads, settings.max_body_bytes),
    )
