"""The model version that has the shadow's alias: followed, tried and loaded in the sidecar.

``delivery/shadow_sink.py`` scores with it.
"""

from __future__ import annotations

import threading

import structlog

from event_backbone.case.schema import Case
from event_backbone.model.bundle import BrokenBundleError, BundleStore, open_bundle
from event_backbone.model.scoring import Scorer
from event_backbone.ports import RegisteredBundle
from prediction_service.model_sync.alias_follower import AliasFollower
from prediction_service.model_sync.sync_files import ShadowStatus

log = structlog.get_logger()

#: Name of the pointer to the version that shadows.
SHADOW_POINTER = "shadow"


class ShadowModel:
    """The version that has the shadow's alias. ``scorer`` is ``None`` while no version has it, or none was ever good.

    :meth:`follow` is for one thread, the rest for any.
    """

    def __init__(self, follower: AliasFollower, bundles: BundleStore, case: Case) -> None:
        self._follower = follower
        self._bundles = bundles
        self._case = case
        self._loaded: RegisteredBundle | None = None
        self._followed = threading.Event()
        self.scorer: Scorer | None = None

    def follow(self, *, anew: bool = False) -> None:
        """Follow the alias once, and load what it leads to; an alias that was taken away ends the shadow."""
        try:
            self._follower.follow(anew=anew)
            if self._follower.points_to_nothing:
                self._bundles.clear()
            self._load(self._bundles.current())
        except BrokenBundleError as error:
            log.error("shadow_refused", error=str(error))
        finally:
            self._followed.set()

    def _load(self, wanted: RegisteredBundle | None) -> None:
        if wanted == self._loaded:
            return
        if wanted is None:
            self.scorer = None
        else:
            bundle = open_bundle(self._bundles.path_of(wanted.bundle_sha256), wanted.bundle_sha256)
            self.scorer = Scorer(bundle, wanted.model, self._case)
        self._loaded = wanted
        log.info("shadow_scores", version=wanted.model.version if wanted else None)

    def status(self) -> ShadowStatus:
        """The shadow's version and what is wrong with it, for people."""
        scorer, fault = self.scorer, self._follower.fault
        return ShadowStatus(scorer.model.version if scorer else None, fault.text if fault else None)

    def is_known(self, within_s: float) -> bool:
        """Whether the alias was read yet; waits a little for it."""
        return self._followed.wait(within_s)
