"""The WSGI server: granian with one worker.

What granian leaves open is closed here: a port in use is an error at start, a worker never outlives its parent, SIGTERM
lets readiness fall before the listener closes, the application is closed before its process exits, pages of another
origin are refused, and so are encoded bodies and whoever shows no API key where there are keys.
"""

from __future__ import annotations

import multiprocessing
import os
import socket
import sys
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from multiprocessing.util import Finalize
from typing import TYPE_CHECKING, Any, Protocol

import structlog

from event_backbone.errors import Fault, SettingsError, StreamgaugeError
from event_backbone.process.lifetime import die_with_parent
from event_backbone.process.memory import give_back_large_blocks
from event_backbone.settings import LOOPBACK_HOSTS, ListeningSettings
from event_backbone.web.api_keys import ApiKeys, KeyCheck
from event_backbone.web.browser_guard import BrowserGuard
from event_backbone.web.encoding_guard import EncodingGuard
from event_backbone.web.key_guard import STRANGERS_AT_ONCE, KeyGuard
from event_backbone.web.reading_limit import BODIES_AT_ONCE, LimitedBodies, Places, ReadingLimit, address_of

if TYPE_CHECKING:
    from multiprocessing.synchronize import Event

    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

log = structlog.get_logger()

#: Threads that answer probes, refuse strangers and turn away bodies, beside those that work or wait for one.
_THREADS_TO_SPARE = 8
#: Of a connection, before anybody reads its body; headers have to fit in.
_MOST_BUFFERED_BYTES = 64 * 1024


class Application(Protocol):
    """A WSGI callable that owns resources; :meth:`close` is called once, after the last request."""

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]: ...

    def count_unauthorized(self) -> None:
        """Count a request without a valid API key."""
        ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Access:
    """Access control: allowed host names, and API keys (``None``: anybody on this machine).

    ``forms``: paths (or folders, with a slash at the end) where the application checks the key of a posted form itself,
    with the same ``keys``.
    """

    hosts: frozenset[str] = LOOPBACK_HOSTS
    keys: KeyCheck | None = None
    forms: frozenset[str] = frozenset()

    @classmethod
    def of(cls, settings: ListeningSettings, *, forms: Collection[str] = ()) -> Access:
        """Raises :class:`SettingsError` when there is a keys file that can't be used."""
        keys = ApiKeys(settings.api_keys_file) if settings.api_keys_file else None
        return cls(LOOPBACK_HOSTS.union(settings.allowed_hosts), keys, frozenset(forms))

    def guarding(self, application: Application, at_once: int) -> WSGIApplication:
        """The application behind the guards, with so many requests worked on at once."""
        decoded, places = EncodingGuard(application), Places(at_once)
        if self.keys is None:
            return BrowserGuard(LimitedBodies(decoded, places, address_of, ReadingLimit()), self.hosts)
        count_refusal = application.count_unauthorized
        return BrowserGuard(
            KeyGuard(decoded, self.keys, places, count_refusal=count_refusal, forms=self.forms), self.hosts
        )


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
    at_once: int

    def __call__(self) -> WSGIApplication:
        die_with_parent(self.parent_pid)
        give_back_large_blocks()
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
        return self.access.guarding(application, self.at_once)


def serve(
    build: Callable[[Draining], Application],
    *,
    host: str,
    port: int,
    threads: int,
    access: Access,
    readiness_notice_s: float = 0.3,
    stop_within_s: int = 10,
) -> None:
    """Serve until SIGTERM or SIGINT; return when the application is closed. ``threads`` work at once.

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
    start = _WorkerStart(build, access, draining, failed_to_build, os.getpid(), threads)
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
        interface=Interfaces.WSGI,
        http=HTTPModes.http1,
        http1_settings=HTTP1Settings(max_buffer_size=_MOST_BUFFERED_BYTES),
        workers=1,
        blocking_threads=threads + BODIES_AT_ONCE + STRANGERS_AT_ONCE + _THREADS_TO_SPARE,
        log_level=LogLevels.error,
        respawn_failed_workers=True,
        workers_kill_timeout=stop_within_s,
    )
    server.serve(target_loader=start, wrap_loader=False)
    log.info("stopped", port=port)
