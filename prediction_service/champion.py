"""The champion on both sides of a replica: the sidecar fetches what the alias points to, the server loads it."""

from __future__ import annotations

import threading

import structlog

from event_backbone.bundle import CHAMPION_ALIAS, BrokenBundleError, BundleShelf, open_bundle
from event_backbone.case import Case
from event_backbone.errors import TryAgainLaterError
from event_backbone.ports import ModelRegistry, RegisteredBundle
from event_backbone.scoring import Scorer
from prediction_service.metrics import PredictingMetrics

log = structlog.get_logger()


class ChampionFollower:
    """The sidecar's part: keeps ``bundles/current`` at the version that has the alias.

    A registry that is away, or a bundle that is broken, leaves the last good one in place.
    """

    def __init__(self, registry: ModelRegistry, shelf: BundleShelf, registered_name: str) -> None:
        self._registry = registry
        self._shelf = shelf
        self._name = registered_name
        self._refused: RegisteredBundle | None = None
        self._refusal = ""
        self._checked: RegisteredBundle | None = None
        self._is_away = False

    def follow(self) -> None:
        """Look at the alias once."""
        try:
            wanted = self._registry.resolve(self._name, CHAMPION_ALIAS)
            if wanted is not None and wanted not in (self._refused, self._in_place()):
                self._change_to(wanted)
        except TryAgainLaterError as error:
            self._log_change(is_away=True, error=str(error))
            self._shelf.note_registry_fault(str(error))
        else:
            self._log_change(is_away=False)
            is_refused = wanted is not None and wanted == self._refused
            self._shelf.note_registry_fault(self._refusal if is_refused else None)

    def _log_change(self, *, is_away: bool, error: str = "") -> None:
        """Every look goes into what ``/status`` shows, only a change into the log."""
        if is_away and not self._is_away:
            log.warning("registry_away", error=error)
        elif self._is_away and not is_away:
            log.info("registry_back")
        self._is_away = is_away

    def _in_place(self) -> RegisteredBundle | None:
        """The current bundle, if this follower has checked it: a start fetches a damaged one anew."""
        try:
            current = self._shelf.current()
        except BrokenBundleError as error:
            log.warning("pointer_broken", error=str(error))
            return None
        return current if current == self._checked else None

    def _change_to(self, wanted: RegisteredBundle) -> None:
        try:
            self._shelf.install(wanted, self._registry)
        except BrokenBundleError as error:
            # Said once: the registry's content for a version does not mend itself.
            self._refused, self._refusal = wanted, f"version {wanted.model.version} was refused: {error}"
            log.error("bundle_refused", version=wanted.model.version, error=str(error))
            return
        self._checked = wanted
        self._shelf.repoint(wanted)
        log.info("bundle_current", version=wanted.model.version, bundle=wanted.bundle_sha256[:12])


class ServingChampion:
    """The server's part: the scorer in use, exchanged for a new one only when that one is loaded, checked and warm."""

    def __init__(self, shelf: BundleShelf, case: Case, metrics: PredictingMetrics) -> None:
        self._shelf = shelf
        self._case = case
        self._metrics = metrics
        self._seen: RegisteredBundle | None = None
        self._loading = threading.Lock()
        self.scorer: Scorer | None = None
        self.fault: str | None = "no champion has been fetched yet"

    def refresh(self) -> None:
        """Load what the pointer says if it changed; a bundle that fails leaves the present scorer answering.

        With no scorer at all, a bundle that failed is tried again: the sidecar may have fetched it anew.
        """
        with self._loading:
            self._metrics.reload_failed.labels("fetch").set(self.registry_fault is not None)
            try:
                wanted = self._shelf.current()
                if wanted is None or (wanted == self._seen and self.scorer is not None):
                    return
                self._seen = wanted
                bundle = open_bundle(self._shelf.path_of(wanted.bundle_sha256), wanted.bundle_sha256)
                self._use(Scorer(bundle, wanted.model, self._case))
            except BrokenBundleError as error:
                self._report(str(error))

    @property
    def registry_fault(self) -> str | None:
        """Why the sidecar can't fetch the registry's champion."""
        return self._shelf.registry_fault()

    def _report(self, fault: str) -> None:
        if fault != self.fault:
            self._metrics.model_load_failures.inc()
            log.error("model_refused", error=fault)
        self.fault = fault
        self._metrics.reload_failed.labels("load").set(1)

    def _use(self, scorer: Scorer) -> None:
        self.scorer, self.fault = scorer, None
        self._metrics.reload_failed.labels("load").set(0)
        self._metrics.model_info.clear()
        self._metrics.model_info.labels(scorer.model.name, scorer.model.version).set(1)
        log.info("model_serving", version=scorer.model.version, bundle=scorer.bundle_sha256[:12])
