"""Active and standby: one active process for a case, and others that take over when it is gone.

Whoever holds the lock on the case's folder works. It is held by the worker process, not by the one that was started:
a worker that dies sets it free whether its parent lives or not, and then its successor or a process that stands by
takes over, whichever comes first. Everything is restored from the inbox, so it does not matter which.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import structlog
from flask import Flask, Response, render_template
from flask.typing import ResponseReturnValue
from prometheus_client import CollectorRegistry

from event_backbone.case.schema import Case
from event_backbone.errors import StreamgaugeError, TryAgainLaterError
from event_backbone.guards.browser_guard import POLICY, page_policy
from event_backbone.server.application import Application
from event_backbone.web.exposition import exposition
from event_backbone.web.probes import AnsweringStatus, add_probes
from event_backbone.web.responses import later_response, retry_after_header
from monitoring_service.lifecycle.instance_lock import InstanceLock
from monitoring_service.lifecycle.stop_notice import FatalStop
from monitoring_service.views.metrics import active_gauge

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

log = structlog.get_logger()

#: How often a process that stands by looks whether the active one is gone.
LOOK_EVERY_S = 0.2
RETRY_AFTER_S = 5
_PAGE_POLICY = page_policy("default-src 'none'", "style-src 'self'", "img-src 'self'", "form-action 'none'")


class ActiveStandby:
    """The application of a process that works as soon as it has the lock; thread-safe.

    ``build_active`` restores the service; what goes wrong with it later than at the start ends the process through
    ``stop``, because nobody waits for its answer.
    """

    def __init__(
        self,
        lock: InstanceLock,
        build_active: Callable[[], Application],
        standby: WSGIApplication,
        stop: FatalStop,
    ) -> None:
        self._lock = lock
        self._build_active = build_active
        self._standby = standby
        self._stop = stop
        self._active: Application | None = None
        self._closing = threading.Event()
        self._waiting = threading.Thread(target=self._take_over, name="standby", daemon=True)

    def start(self) -> None:
        """Work at once if nobody else does, else stand by; raises what ``build_active`` raises."""
        if self._lock.acquire():
            self._active = self._build_active()
            return
        log.info("standing_by")
        self._waiting.start()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        return (self._active or self._standby)(environ, start_response)

    def count_unauthorized(self) -> None:
        """Counted by the active process; one that stands by has nothing to guard."""
        if self._active is not None:
            self._active.count_unauthorized()

    def count_shed(self) -> None:
        """Counted by the active process."""
        if self._active is not None:
            self._active.count_shed()

    def close(self) -> None:
        self._closing.set()
        if self._waiting.ident is not None:
            self._waiting.join()
        if self._active is not None:
            self._active.close()
        self._lock.release()

    def _take_over(self) -> None:
        while not self._closing.is_set() and self._active is None:
            try:
                self._try_to_take_over()
            except TryAgainLaterError as error:
                self._lock.release()
                log.warning("not_taken_over", reason=str(error))
                self._closing.wait(error.retry_after_s)
            except StreamgaugeError as error:
                self._stop.request(str(error))
                return
            except Exception as error:
                # The thread's border: a process that stands by and can't take over must not look as if it could.
                log.exception("not_taken_over")
                self._stop.request(f"can't take over: {type(error).__name__}")
                return
            self._closing.wait(LOOK_EVERY_S)

    def _try_to_take_over(self) -> None:
        if self._lock.acquire(patience_s=0):
            self._active = self._build_active()
            log.info("taken_over")


def build_standby(case: Case) -> Flask:
    """The Flask application of a process that stands by."""
    app = Flask("monitoring_service.web")
    registry = CollectorRegistry()
    active_gauge(registry).set(0)

    status = AnsweringStatus(lambda: {"standby": "another process works for this case"}, lambda: {"active": False})
    add_probes(app, case.name, status, lambda: exposition(registry, case.name))

    @app.get("/")
    def page() -> ResponseReturnValue:
        headers = {"Retry-After": retry_after_header(RETRY_AFTER_S), POLICY: _PAGE_POLICY}
        return Response(render_template("standby.html", case=case), 503, headers)

    @app.errorhandler(404)
    @app.errorhandler(405)
    def anything_else(_error: Exception) -> ResponseReturnValue:
        """Whatever only the active process can answer."""
        return later_response("This process stands by while another one works for this case", RETRY_AFTER_S)

    return app
