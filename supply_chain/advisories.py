"""Advisories from a folder: answers on loopback as the OSV service does, so that an audit needs no network.

The folder is a checkout of the Python Packaging Advisory Database: a YAML file in OSV's schema for each advisory, in a
folder for each package. Matching follows https://ossf.github.io/osv-schema/#evaluation.
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml
from packaging.utils import canonicalize_name
from packaging.version import Version

_MOST_BYTES = 64 * 1024


class Advisories:
    """The advisories of a folder, read when a package is asked for."""

    def __init__(self, folder: Path) -> None:
        self._folders = {
            canonicalize_name(path.name): path
            for path in sorted((folder / "vulns").glob("*"))
            if any(path.glob("*.yaml"))
        }

    def __len__(self) -> int:
        return len(self._folders)

    def about(self, name: str, version: str) -> list[dict[str, Any]]:
        """Every advisory that holds for that version, as OSV says it."""
        folder = self._folders.get(canonicalize_name(name))
        records = [_read(path) for path in sorted(folder.glob("*.yaml"))] if folder else []
        return [record for record in records if not record.get("withdrawn") and _is_affected(record, name, version)]


def _read(path: Path) -> dict[str, Any]:
    record: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return record


def _is_affected(record: dict[str, Any], name: str, version: str) -> bool:
    return any(
        version in affected.get("versions", ())
        or any(_is_within(found["events"], Version(version)) for found in _ranges_of(affected))
        for affected in record.get("affected", ())
        if canonicalize_name(affected["package"]["name"]) == canonicalize_name(name)
    )


def _ranges_of(affected: dict[str, Any]) -> Iterable[dict[str, Any]]:
    return (found for found in affected.get("ranges", ()) if found["type"] == "ECOSYSTEM")


def _is_within(events: Iterable[dict[str, str]], version: Version) -> bool:
    """Whether the last event up to a version leaves it affected."""
    within = False
    for kind, at in sorted((_event(event) for event in events), key=lambda event: event[1]):
        if kind == "introduced" and version >= at:
            within = True
        elif (kind == "fixed" and version >= at) or (kind == "last_affected" and version > at):
            within = False
    return within


def _event(event: dict[str, str]) -> tuple[str, Version]:
    [(kind, at)] = event.items()
    return kind, Version(at)


@contextlib.contextmanager
def served(advisories: Advisories) -> Iterator[str]:
    """The URL that answers queries of OSV's API, on loopback, until the end of the block."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            query = json.loads(self.rfile.read(min(int(self.headers["Content-Length"]), _MOST_BYTES)))
            found = advisories.about(query["package"]["name"], query["version"])
            answer = json.dumps({"vulns": found} if found else {}, default=str).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: Any) -> None:
            """Say nothing of what is asked."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1/query"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
