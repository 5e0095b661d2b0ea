"""Operations on versions: list, promote, roll back."""

from __future__ import annotations

import getpass
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from event_backbone.case.schema import Case
from event_backbone.errors import Fault, SettingsError
from event_backbone.events.schema import ModelRef
from event_backbone.model.bundle import CHALLENGER_ALIAS, BundleStore, registered_name
from event_backbone.model.scoring import Scorer
from event_backbone.ports import ModelRegistry, RegisteredBundle, RegisteredVersion
from training.bootstrap import build_parts
from training.promotion.registration import DECISION_TAG, champion_before, promote, rollback
from training.settings import TrainingSettings


@dataclass(frozen=True)
class VersionOperations:
    """The versions of one case, and the name of the operator."""

    case: Case
    registry: ModelRegistry
    bundles: BundleStore
    by: str

    @classmethod
    def of(cls, settings: TrainingSettings) -> Self:
        parts = build_parts(settings)
        return cls(settings.load_case(), parts.registry, parts.bundles, _user())

    @property
    def name(self) -> str:
        return registered_name(self.case)

    def promote(self, version: str | None, *, reason: str, force: bool = False) -> ModelRef:
        """Make a version the champion, here and in the registry; the challenger, if none is given.

        Raises:
            SettingsError: there is no such version, or the gate did not let it pass and ``force`` is not given.
            BrokenBundleError: it can't be served: nothing changes.
            TryAgainLaterError: the registry is away.
        """
        chosen = self._chosen(version)
        self._check_passed(chosen.model, force)
        self._try_out(chosen)
        promote(self.registry, chosen.model, by=self.by, reason=reason)
        self.bundles.repoint(chosen)
        return chosen.model

    def rollback(self, *, reason: str) -> ModelRef:
        """Go back to the champion before, here and in the registry.

        Raises:
            SettingsError: there is no champion, or none is recorded before it.
            BrokenBundleError: that one can't be served any more: nothing changes.
            TryAgainLaterError: the registry is away.
        """
        before = self._chosen(champion_before(self.registry, self.name).version)
        self._try_out(before)
        rollback(self.registry, self.name, by=self.by, reason=reason)
        self.bundles.repoint(before)
        return before.model

    def versions(self) -> Sequence[RegisteredVersion]:
        return self.registry.versions(self.name)

    def _chosen(self, version: str | None) -> RegisteredBundle:
        if version is None:
            found = self.registry.resolve(self.name, CHALLENGER_ALIAS)
        else:
            found = self.registry.resolve_version(self.name, version)
        if found is None:
            message = "there is no challenger" if version is None else f"there is no version {version}"
            raise SettingsError(self.name, [Fault("version", "unknown", message)])
        return found

    def _try_out(self, registered: RegisteredBundle) -> None:
        """Building a scorer checks the case file and the golden rows."""
        Scorer(self.bundles.install(registered, self.registry), registered.model, self.case)

    def _check_passed(self, model: ModelRef, force: bool) -> None:
        tags = next(one.tags for one in self.versions() if one.model == model)
        if force or tags.get(DECISION_TAG) == "promoted":
            return
        why = f"was refused: {tags['decision_reasons']}" if DECISION_TAG in tags else "never passed the gate"
        message = f"version {model.version} {why}; --force promotes it all the same"
        raise SettingsError(self.name, [Fault("version", "refused", message)])


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's user may have no name
        return "somebody without a name"
