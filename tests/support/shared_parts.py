"""One Kafka and one MongoDB for every process that runs tests.

With pytest-xdist the workers come and go, so the process that started them keeps the parts: a worker asks for a URL
over a Unix socket, the first who asks has the part started, and all are stopped with the run. A run that is killed
takes them with it: a part dies with the thread that started it.
"""

from __future__ import annotations

import contextlib
import functools
import shutil
import tempfile
import threading
import traceback
from multiprocessing.connection import Client, Connection, Listener
from pathlib import Path
from typing import Protocol

from real_parts import KafkaBroker, MongoServer, RealPart, remove_folder
from real_parts_cache import java_classpath

PARTS: dict[str, type[KafkaBroker] | type[MongoServer]] = {"kafka": KafkaBroker, "mongo": MongoServer}


class SharedParts(Protocol):
    """Where tests get the URL of a part that they share and leave alone."""

    def url_of(self, name: str) -> str: ...


class KeptParts:
    """In the process that everybody else belongs to: starts a part when somebody first asks, stops all at the end."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="streamgauge-parts-"))
        self._parts: dict[str, RealPart] = {}
        self._urls: dict[str, str] = {}

    def url_of(self, name: str) -> str:
        if name not in self._urls:
            part = PARTS[name](self._folder / name)
            self._parts[name] = part
            part.start()
            self._urls[name] = part.url
        return self._urls[name]

    @functools.cached_property
    def address(self) -> str:
        """A socket where workers ask, answered one at a time by a thread that lives as long as we do."""
        listener = Listener(family="AF_UNIX")
        threading.Thread(target=self._answer_all, args=(listener,), daemon=True, name="shared parts").start()
        return str(listener.address)

    def _answer_all(self, listener: Listener) -> None:
        while True:
            with listener.accept() as connection, contextlib.suppress(EOFError, OSError):
                self._answer(connection)

    def _answer(self, connection: Connection) -> None:
        try:
            url, fault = self.url_of(connection.recv()), ""
        except Exception:  # the border of the thread: whoever asked fails with it
            url, fault = "", traceback.format_exc()
        connection.send((url, fault))

    def close(self) -> None:
        for part in self._parts.values():
            remove_folder(part)
        shutil.rmtree(self._folder, ignore_errors=True)


class AskedParts:
    """In a worker."""

    def __init__(self, address: str) -> None:
        self._address = address

    def url_of(self, name: str) -> str:
        java_classpath()  # where the machine lacks it, the test that asks is skipped or fails
        with Client(self._address, "AF_UNIX") as connection:
            connection.send(name)
            url, fault = connection.recv()
        assert not fault, fault
        return str(url)
