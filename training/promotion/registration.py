"""Aliases and tags of challengers and champions in the registry: since when, by whom and why."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

from event_backbone.case.schema import Case
from event_backbone.errors import Fault, SettingsError
from event_backbone.events.schema import ModelRef, utc_now
from event_backbone.model.bundle import CHALLENGER_ALIAS, CHAMPION_ALIAS, registered_name, write_bundle
from event_backbone.ports import ModelRegistry, RegisteredBundle
from training.promotion.gate import GateDecision

DECISION_TAG = "decision"
FINGERPRINT_TAG = "fingerprint"
PREVIOUS_TAG = "previous_champion"
_LONGEST_TAG = 1000


def register_challenger(
    registry: ModelRegistry, case: Case, files: Mapping[str, bytes], *, run_id: str, fingerprint: str
) -> RegisteredBundle:
    """Write the bundle and register it; it becomes the challenger, and nothing else changes."""
    with tempfile.TemporaryDirectory() as workspace:
        bundle_dir = Path(workspace) / "bundle"
        sha256 = write_bundle(bundle_dir, case, files)
        model = registry.register(bundle_dir, sha256, name=registered_name(case), alias=CHALLENGER_ALIAS, run_id=run_id)
    registry.set_tags(model, {FINGERPRINT_TAG: fingerprint})
    return RegisteredBundle(model, sha256)


def record_decision(registry: ModelRegistry, model: ModelRef, decision: GateDecision) -> None:
    """The decision, its reasons and its numbers as tags of the version."""
    numbers = {f"gate.{name}": f"{value:.6g}" for name, value in decision.numbers.items()}
    said = {
        DECISION_TAG: decision.state,
        "decision_reasons": "; ".join(decision.reasons)[:_LONGEST_TAG],
        "decided_at": utc_now(),
    }
    registry.set_tags(model, {**numbers, **said})


def promote(registry: ModelRegistry, model: ModelRef, *, by: str, reason: str) -> None:
    """Make a version the champion; the one that it replaces is recorded, for a rollback.

    Raises:
        LookupError: there is no such version.
        TryAgainLaterError: the registry is away.
    """
    previous = _champion(registry, model.name)
    tags = {"promoted_at": utc_now(), "promoted_by": by, "promotion_reason": reason[:_LONGEST_TAG]}
    if previous not in (None, model.version):
        tags[PREVIOUS_TAG] = str(previous)
    # The tags first: a champion that nobody can roll back must not be, not even for a moment.
    registry.set_tags(model, tags)
    registry.set_alias(model, CHAMPION_ALIAS)
    challenger = registry.resolve(model.name, CHALLENGER_ALIAS)
    if challenger is not None and challenger.model == model:
        registry.drop_alias(model.name, CHALLENGER_ALIAS)


def champion_before(registry: ModelRegistry, name: str) -> ModelRef:
    """The champion that a rollback goes back to.

    Raises:
        SettingsError: there is no champion, or none is recorded before it.
        TryAgainLaterError: the registry is away.
    """
    versions = {one.model.version: one for one in registry.versions(name)}
    present = _champion(registry, name)
    if present is None:
        raise _nothing_to_do(name, "there is no champion")
    previous = versions[present].tags.get(PREVIOUS_TAG)
    if previous is None or previous not in versions:
        raise _nothing_to_do(name, f"no champion is recorded before version {present}")
    return versions[previous].model


def rollback(registry: ModelRegistry, name: str, *, by: str, reason: str) -> ModelRef:
    """Give the alias back to the champion before the present one; doing it again goes one further back.

    Raises what :func:`champion_before` does.
    """
    previous, present = champion_before(registry, name), _champion(registry, name)
    said = {"rolled_back_at": utc_now(), "rolled_back_by": by, "rollback_reason": reason[:_LONGEST_TAG]}
    registry.set_tags(ModelRef(name, str(present)), said)
    registry.set_tags(previous, {"promoted_at": utc_now(), "promoted_by": by, "promotion_reason": "rollback"})
    registry.set_alias(previous, CHAMPION_ALIAS)
    return previous


def _champion(registry: ModelRegistry, name: str) -> str | None:
    """The version with the alias, whether it is a bundle of ours or not."""
    return next((one.model.version for one in registry.versions(name) if CHAMPION_ALIAS in one.aliases), None)


def _nothing_to_do(name: str, message: str) -> SettingsError:
    return SettingsError(name, [Fault("champion", "unknown", message)])
