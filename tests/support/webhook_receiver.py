"""A webhook's receiver that remembers every body, and refuses them while it is told to."""

from __future__ import annotations

import http.server
import json
import threading
from typing import Any


class WebhookReceiver:
    """Answers each POST with :attr:`status`; bodies it took are in :attr:`bodies`, all of them in :attr:`tried`."""

    def __init__(self) -> None:
        self.status = 200
        self.bodies: list[dict[str, Any]] = []
        self.tried: list[dict[str, Any]] = []
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                receiver.tried.append(body)
                if receiver.status == 200:
                    receiver.bodies.append(body)
                self.send_response(receiver.status)
                if receiver.status in (301, 302, 307):
                    self.send_header("Location", receiver.url)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Tests say what went wrong."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/hook?token=a-secret"

    def about(self, name: str, status: str) -> list[dict[str, Any]]:
        """Every alert of that name and status that was taken."""
        alerts = [alert for body in self.bodies for alert in body["alerts"]]
        return [one for one in alerts if (one["labels"]["alertname"], one["status"]) == (name, status)]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
