"""The HTTP server: granian with one worker, which runs a WSGI application behind the bridge and the guards.

What granian leaves open is closed here: a port in use is an error at start, a worker never outlives its parent, SIGTERM
lets readiness fall before the listener closes, the application is closed before its process exits.
"""

from __future__ import annotations

import multiprocessing
import os
import resource
import socket
import sys
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from multiprocessing.util import Finalize
from typing import TYPE_CHECKING, Any, Protocol

import structlog

from event_backbone.errors import Fault, SettingsError, StreamgaugeError
from event_backbone.guards.access import Access, Guards
from event_backbone.process.lifetime import die_with_parent
from event_backbone.process.memory import give_back_large_blocks
from event_backbone.server.application import Application
from event_backbone.server.body_reader import BodyReader
from event_backbone.server.capacity import Capacity
from event_backbone.server.idle_readers import end_idle_readers
from event_backbone.server.wsgi_bridge import WsgiBridge

if TYPE_CHECKING:
    from multiprocessing.synchronize import Event

log = structlog.get_logger()

#: Of a connection, before anybody reads its body; headers have to fit in.
_MOST_BUFFERED_BYTES = 64 * 1024
#: Connections at once, silent ones too, which granian cuts after 30 s; above it nobody else would be listened to.
_MOST_CONNECTIONS = 10_000


class Draining(Protocol):
    """Whether the process was asked to stop and finishes what is in flight."""

    def is_set(self) -> bool: ...


def check_port_is_free(host: str, port: int, *, patience_s: float = 2.0) -> None:
    """Raise :class:`SettingsError` when something listens there.

    The patience lets a predecessor that was just killed go away.
    """
    deadline = time.monotonic() + patience_s
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    while True:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError as error:
                if time.monotonic() > deadline:
                    message = f"can't listen on {host}:{port}: {(error.strerror or str(error)).lower()}"
                    raise SettingsError("port", [Fault(str(port), "port", message)]) from None
            else:
                return
        time.sleep(0.1)


class Respawns:
    """Ends this process when workers die so often that the next one will, too."""

    def __init__(self, *, most: int = 30, within_s: float = 60.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._within_s = within_s
        self._clock = clock
        self._at: deque[float] = deque(maxlen=most)

    def note(self) -> None:
        """Count a replaced worker. Raises :class:`SystemExit` when it is one too many."""
        now = self._clock()
        if len(self._at) == self._at.maxlen and now - self._at[0] < self._within_s:
            log.critical("workers_keep_dying", respawns=len(self._at), within_s=self._within_s)
            sys.exit(1)
        self._at.append(now)


@dataclass(frozen=True, slots=True)
class _WorkerStart:
    """Makes the application, in the worker process."""

    build: Callable[[Draining], Application]
    access: Access
    draining: Draining
    failed_to_build: Event
    parent_pid: int
    capacity: Capacity
    port: int

    def __call__(self) -> WsgiBridge:
        die_with_parent(self.parent_pid)
        give_back_large_blocks()
        _allow_connections()
        # In a group of its own: a signal for the parent's group must not close the listener before readiness fell.
        os.setpgid(0, 0)
        try:
            application = self.build(self.draining)
        except StreamgaugeError as error:
            self.failed_to_build.set()
            log.critical("start_failed", error=str(error))
            sys.exit(1)
        # granian's workers never run atexit; multiprocessing's finalizers do run.
        Finalize(None, application.close, exitpriority=0)
        guards = Guards(self.access, application.count_unauthorized)
        return WsgiBridge(
            application,
            guards,
            self.capacity.admission,
            BodyReader(self.capacity.most_body_bytes, within_s=self.capacity.received_within_s),
            threads=self.capacity.threads,
            when_listening=partial(end_idle_readers, self.port, self.capacity.reads_within_s),
        )


def _allow_connections() -> None:
    """A process may have 1,024 files open by itself, and each connection is one; what the system allows is more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * _MOST_CONNECTIONS if hard == resource.RLIM_INFINITY else min(hard, 2 * _MOST_CONNECTIONS)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))


def serve(
    build: Callable[[Draining], Application],
    *,
    host: str,
    port: int,
    access: Access,
    capacity: Capacity,
    readiness_notice_s: float = 0.3,
    stop_within_s: int = 10,
) -> None:
    """Serve until SIGTERM or SIGINT; return when the application is closed.

    ``build`` runs in the worker process, and again when a dead worker is replaced. After a signal the ``Draining`` it
    was given is set for ``readiness_notice_s`` before the listener closes.
    """
    from granian.constants import HTTPModes, Interfaces
    from granian.http import HTTP1Settings
    from granian.log import LogLevels
    from granian.server.mp import MPServer

    check_port_is_free(host, port)
    # A worker gets functions that can't be pickled. Python 3.14 no longer forks by itself, and granian takes its word.
    multiprocessing.set_start_method("fork", force=True)
    draining = multiprocessing.Event()
    failed_to_build = multiprocessing.Event()
    start = _WorkerStart(build, access, draining, failed_to_build, os.getpid(), capacity, port)
    respawns = Respawns()

    class DrainingServer(MPServer):
        def signal_handler_interrupt(self, *args: Any, **kwargs: Any) -> None:
            draining.set()
            time.sleep(readiness_notice_s)
            super().signal_handler_interrupt(*args, **kwargs)  # type: ignore[no-untyped-call]  # granian's is untyped

        def _respawn_workers(self, *args: Any, **kwargs: Any) -> None:
            if failed_to_build.is_set():
                sys.exit(1)  # the next worker would fail in the same way
            respawns.note()
            super()._respawn_workers(*args, **kwargs)
            # granian gives up when a worker dies within seconds of its start, as one that is killed twice does.
            self.respawned_wrks.clear()

    server = DrainingServer(
        "application",
        address=host,
        port=port,
        interface=Interfaces.RSGI,
        http=HTTPModes.http1,
        http1_settings=HTTP1Settings(max_buffer_size=_MOST_BUFFERED_BYTES),
        workers=1,
        backpressure=_MOST_CONNECTIONS,
        log_level=LogLevels.error,
        respawn_failed_workers=True,
        workers_kill_timeout=stop_within_s,
    )
    server.serve(target_loader=start, wrap_loader=False)
    log.info("stopped", port=port)
