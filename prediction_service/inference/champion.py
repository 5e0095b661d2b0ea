"""The champion in use: a scorer that is replaced only by one that is ready."""

from __future__ import annotations

import threading

import structlog

from event_backbone.case.schema import Case
from event_backbone.model.bundle import BrokenBundleError, BundleStore, open_bundle
from event_backbone.model.scoring import Scorer
from event_backbone.ports import RegisteredBundle
from prediction_service.inference.metrics import RELOAD_STEPS, PredictingMetrics
from prediction_service.model_sync.sync_files import RegistryFault, ShadowStatus, SyncFiles

log = structlog.get_logger()


class ServingChampion:
    """Loads, checks and warms the current bundle, and then uses it from one moment on. Thread-safe."""

    def __init__(self, bundles: BundleStore, sync_files: SyncFiles, case: Case, metrics: PredictingMetrics) -> None:
        self._bundles = bundles
        self._sync_files = sync_files
        self._case = case
        self._metrics = metrics
        self._seen: RegisteredBundle | None = None
        self._loading = threading.Lock()
        self._shown_fault: RegistryFault | None = None
        self.scorer: Scorer | None = None
        self.fault: str | None = "no champion has been fetched yet"

    def refresh(self) -> None:
        """Load the current bundle if it changed; one that fails leaves the present scorer in use.

        With no scorer at all, a bundle that failed is tried again: the sidecar may have fetched it anew.
        """
        with self._loading:
            self._show_registry_fault(self.registry_fault)
            try:
                wanted = self._bundles.current()
                if wanted is None or (wanted == self._seen and self.scorer is not None):
                    return
                self._seen = wanted
                bundle = open_bundle(self._bundles.path_of(wanted.bundle_sha256), wanted.bundle_sha256)
                self._use(Scorer(bundle, wanted.model, self._case))
            except BrokenBundleError as error:
                self._report(str(error))

    @property
    def registry_fault(self) -> RegistryFault | None:
        """Why the registry's champion is not the current bundle."""
        return self._sync_files.fault()

    @property
    def shadow(self) -> ShadowStatus | None:
        """The shadow's status; ``None`` where none is configured."""
        return self._sync_files.shadow()

    def _show_registry_fault(self, fault: RegistryFault | None) -> None:
        """As metrics, because the sidecar serves none itself."""
        for step in RELOAD_STEPS[:-1]:
            self._metrics.reload_failed.labels(step).set(fault is not None and fault.step == step)
        if fault != self._shown_fault and fault is not None and fault.step == "check":
            self._metrics.model_load_failures.inc()
        self._shown_fault = fault

    def _report(self, fault: str) -> None:
        if fault != self.fault:
            self._metrics.model_load_failures.inc()
            log.error("model_refused", error=fault)
        self.fault = fault
        self._metrics.reload_failed.labels("load").set(1)

    def _use(self, scorer: Scorer) -> None:
        self.scorer, self.fault = scorer, None
        self._metrics.reload_failed.labels("load").set(0)
        self._metrics.show_model(scorer.model)
        log.info("model_serving", version=scorer.model.version, bundle=scorer.bundle_sha256[:12])
