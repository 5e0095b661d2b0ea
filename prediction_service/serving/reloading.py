"""``POST /admin/reload``: have the sidecar read the registry now, and return the version that answers after that."""

from __future__ import annotations

import threading
import time
from typing import Any

from event_backbone.errors import ConflictError, TryAgainLaterError
from prediction_service.inference.champion import ServingChampion
from prediction_service.model_sync.sync_files import SyncFiles

#: A registry that is away makes a sync take this long and longer.
SYNC_WITHIN_S = 20.0
_BETWEEN_TRIES_S = 0.05


class Reloading:
    """Reloads the champion on request, one request at a time. Thread-safe."""

    def __init__(self, champion: ServingChampion, sync_files: SyncFiles, *, within_s: float = SYNC_WITHIN_S) -> None:
        self._champion = champion
        self._sync_files = sync_files
        self._within_s = within_s
        self._one_at_a_time = threading.Lock()

    def reload(self) -> dict[str, Any]:
        """The version that answers from now on, and the one before.

        Raises:
            TryAgainLaterError: another reload is under way, no sidecar answers, or the registry is away.
            ConflictError: the registry's champion was refused; the version before answers on.
        """
        if not self._one_at_a_time.acquire(blocking=False):
            raise TryAgainLaterError("another reload is under way")
        try:
            before = self._version()
            self._wait_for_sidecar()
            self._champion.refresh()
            self._check()
            return {"model": self._model(), "previous": before, "changed": self._version() != before}
        finally:
            self._one_at_a_time.release()

    def _wait_for_sidecar(self) -> None:
        token, deadline = self._sync_files.request_sync(), time.monotonic() + self._within_s
        while self._sync_files.acknowledged() != token:
            if time.monotonic() > deadline:
                raise TryAgainLaterError(f"no sidecar looked at the registry within {self._within_s:g} s")
            time.sleep(_BETWEEN_TRIES_S)

    def _check(self) -> None:
        fault = self._champion.registry_fault
        if fault is not None and fault.step == "fetch":
            raise TryAgainLaterError(fault.text)
        refused = fault.text if fault is not None else self._champion.fault
        if refused is not None:
            raise ConflictError(f"{refused}; {self._answering()}")

    def _answering(self) -> str:
        version = self._version()
        return f"version {version} answers on" if version else "no model answers"

    def _version(self) -> str | None:
        scorer = self._champion.scorer
        return scorer.model.version if scorer else None

    def _model(self) -> dict[str, str] | None:
        scorer = self._champion.scorer
        return {"name": scorer.model.name, "version": scorer.model.version} if scorer else None
