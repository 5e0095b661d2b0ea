"""Where a process is sent that should reach nothing but this machine."""

from __future__ import annotations

import contextlib
import socket
import threading

import pytest


class RecordingProxy:
    """Where a process is sent to reach anything but this machine; takes connections, and answers none."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.asked: list[bytes] = []
        threading.Thread(target=self._take, daemon=True).start()

    def _take(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                with self._listener.accept()[0] as connection:
                    self.asked.append(connection.recv(200).partition(b"\r\n")[0])

    @property
    def environment(self) -> dict[str, str]:
        url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        both = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), url)
        return {**both, **{name.lower(): url for name in both}, "NO_PROXY": "127.0.0.1,localhost"}

    def stands_before_everything(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """In this process, loopback not excepted."""
        for name, value in self.environment.items():
            monkeypatch.setenv(name, value)
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name, raising=False)

    def close(self) -> None:
        self._listener.close()
