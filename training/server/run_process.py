"""A run in a process of its own: whatever happens to it, its death included, leaves the server as it is."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable

import msgspec
import structlog

from event_backbone.decoding.bounded_json import bounded_decoder
from training.server.messages import Line, RunOrder, RunResult, RunStage

log = structlog.get_logger()

_STOP_WITHIN_S = 3.0
_decode: Callable[[bytes], Line] = bounded_decoder(Line)


class RunProcess:
    """The process of one run; its log lines go where the server's go, its messages come through a pipe."""

    def __init__(self, order: RunOrder, *, timeout_s: float) -> None:
        reading, writing = os.pipe()
        self._lines = os.fdopen(reading, "rb")
        try:
            self._process = subprocess.Popen(  # noqa: S603  # our own module, by name
                [sys.executable, "-m", "training.server.run_main", str(writing)],
                stdin=subprocess.PIPE,
                pass_fds=(writing,),
            )
        finally:
            os.close(writing)
        self._timer = threading.Timer(timeout_s, self.stop)
        self._order = order

    def follow(self, at_stage: Callable[[str], None]) -> RunResult:
        """Pass every stage on, and return what the run ended with. Blocks until the process is gone."""
        self._timer.start()
        result: RunResult | None = None
        try:
            self._tell_order()
            for line in self._lines:
                match _read(line):
                    case RunStage(text):
                        at_stage(text)
                    case RunResult() as result:
                        pass
        finally:
            self._timer.cancel()
            self._lines.close()
            code = self._process.wait()
        return result or RunResult("failed", {"reasons": [f"its process ended with {code} and said nothing"]})

    def _tell_order(self) -> None:
        assert self._process.stdin is not None
        try:
            with self._process.stdin as stdin:
                stdin.write(msgspec.json.encode(self._order))
        except BrokenPipeError:
            log.warning("run_gone_before_its_order", run=self._order.run_id)

    def stop(self) -> None:
        """Terminate it, then kill it."""
        self._process.terminate()
        try:
            self._process.wait(_STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            self._process.kill()


def _read(line: bytes) -> Line | None:
    """A process that is killed while it writes leaves half a line."""
    try:
        result: Line = _decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return result
