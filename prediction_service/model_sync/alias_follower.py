"""Following an alias of the registry: fetch the bundle that it points to, check it, and make it the current one."""

from __future__ import annotations

import structlog

from event_backbone.case.schema import Case
from event_backbone.errors import TryAgainLaterError
from event_backbone.model.bundle import BrokenBundleError, BundleStore
from event_backbone.model.scoring import Scorer
from event_backbone.ports import ModelRegistry, RegisteredBundle
from prediction_service.model_sync.sync_files import RegistryFault

log = structlog.get_logger()


class AliasFollower:
    """Keeps a bundle store's pointer at the version that has an alias. One caller at a time.

    A bundle becomes current when its digests are right, it was made for this case file and it gives its golden scores;
    a registry that is away, or a bundle that is broken, leaves the last good one in place.
    """

    def __init__(self, registry: ModelRegistry, bundles: BundleStore, case: Case, name: str, alias: str) -> None:
        self._registry = registry
        self._bundles = bundles
        self._case = case
        self._name = name
        self._alias = alias
        self._refused: RegisteredBundle | None = None
        self._refusal = ""
        self._checked: RegisteredBundle | None = None
        self._is_away = False
        self.points_to_nothing = False
        self.fault: RegistryFault | None = None

    def follow(self, *, anew: bool = False) -> None:
        """Read the alias once; afterwards :attr:`fault` says why its version is not the current one.

        ``anew``: what was refused before is tried once more.
        """
        if anew:
            self._refused = None
        try:
            self.fault = self._follow()
            self._log_change(is_away=False)
        except TryAgainLaterError as error:
            self._log_change(is_away=True, error=str(error))
            self.fault = RegistryFault("fetch", str(error))

    def _follow(self) -> RegistryFault | None:
        try:
            wanted = self._registry.resolve(self._name, self._alias)
        except BrokenBundleError as error:  # the version exists, and is no bundle
            return RegistryFault("check", f"alias {self._alias} was refused: {error}")
        self.points_to_nothing = wanted is None
        if wanted is not None and wanted not in (self._refused, self._in_place()):
            self._change_to(wanted)
        return RegistryFault("check", self._refusal) if wanted is not None and wanted == self._refused else None

    def _log_change(self, *, is_away: bool, error: str = "") -> None:
        """``/status`` shows the outcome of every call, the log only a change."""
        if is_away and not self._is_away:
            log.warning("registry_away", error=error)
        elif self._is_away and not is_away:
            log.info("registry_back")
        self._is_away = is_away

    def _in_place(self) -> RegisteredBundle | None:
        """The current bundle, if this follower has checked it: a start fetches a damaged one anew."""
        try:
            current = self._bundles.current()
        except BrokenBundleError as error:
            log.warning("pointer_broken", error=str(error))
            return None
        return current if current == self._checked else None

    def _change_to(self, wanted: RegisteredBundle) -> None:
        try:
            # Whoever loads it does this again; here it keeps the pointer, and with it every start, from a bad one.
            Scorer(self._bundles.install(wanted, self._registry), wanted.model, self._case)
        except BrokenBundleError as error:
            # Said once: the registry's content for a version does not mend itself.
            self._refused, self._refusal = wanted, f"version {wanted.model.version} was refused: {error}"
            log.error("bundle_refused", alias=self._alias, version=wanted.model.version, error=str(error))
            return
        self._checked = wanted
        self._bundles.repoint(wanted)
        log.info("bundle_current", alias=self._alias, version=wanted.model.version, bundle=wanted.bundle_sha256[:12])
