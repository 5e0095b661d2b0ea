"""A small HTTP server that answers as it is told, and remembers what it was asked."""

from __future__ import annotations

import socket
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest


class AnsweringServer:
    """Answers ``bodies`` by ``"METHOD /path"``, with 404 for any other; each request's line and headers are kept."""

    def __init__(
        self, bodies: Mapping[str, bytes], *, status: int = 200, headers: Mapping[str, str] | None = None
    ) -> None:
        self.asked: list[tuple[str, dict[str, str]]] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                line = f"{self.command} {self.path}"
                self.rfile.read(int(self.headers["Content-Length"] or 0))
                server.asked.append((line, dict(self.headers)))
                content = bodies.get(line, b"")
                self.send_response(status if line in bodies else 404)
                for name, value in {**(headers or {}), "Content-Length": str(len(content))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)

            def do_GET(self) -> None:
                self.answer()

            def do_POST(self) -> None:
                self.answer()

            def do_DELETE(self) -> None:
                self.answer()

            def log_message(self, *_: object) -> None:
                """Not told."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    @property
    def lines(self) -> list[str]:
        return [line for line, _ in self.asked]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def url_as(self, name: str, monkeypatch: pytest.MonkeyPatch) -> str:
        """The same under a host name that only this process knows, as of a service on another machine."""
        resolve = socket.getaddrinfo

        def resolved(host: str, *arguments: Any, **options: Any) -> Any:
            return resolve("127.0.0.1" if host == name else host, *arguments, **options)

        monkeypatch.setattr(socket, "getaddrinfo", resolved)
        return f"http://{name}:{self._server.server_port}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
