"""Accepting the current window as the new reference, reverting that, and the reference in force."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from msgspec.structs import asdict

from event_backbone.case.schema import Case
from event_backbone.errors import ConflictError
from event_backbone.events.schema import utc_now
from event_backbone.model.reference_profile import (
    CategoryProfile,
    NumberProfile,
    Profile,
    answer_profile,
    category_profile,
)
from monitoring_service.inbox.store import Inbox
from monitoring_service.messages import Labelled
from monitoring_service.performance.realised import answers_of, realised_performance
from monitoring_service.references.accepted import AcceptanceDecision, AcceptedReference, AcceptedReferences, InForce
from monitoring_service.references.histograms import Distribution, distribution
from monitoring_service.references.store import References
from monitoring_service.windows.columns import CategoryValues, ColumnValues, Floats
from monitoring_service.windows.sliding_window import NewestRow, Windows, WindowView


@dataclass(frozen=True, slots=True)
class CurrentReference:
    """The reference of the newest windows; ``rows`` is ``None`` while there is none.

    ``at``, ``by`` and ``note`` say who accepted it; a bundle's own reference has none of them.
    """

    kind: Literal["bundle", "accepted"]
    bundle_sha256: str
    rows: int | None
    at: str | None = None
    by: str | None = None
    note: str | None = None
    row: int | None = None

    @property
    def can_revert(self) -> bool:
        return self.kind == "accepted"


class ReferenceService:
    """Decisions of people about references; thread-safe."""

    def __init__(
        self, case: Case, windows: Windows, inbox: Inbox, references: References, accepted: AcceptedReferences
    ) -> None:
        self._case = case
        self._windows = windows
        self._inbox = inbox
        self._references = references
        self._accepted = accepted

    def accept(self, by: str, note: str) -> AcceptedReference:
        """From the next check on, windows of this bundle are compared with the window as it is now.

        Raises :class:`ConflictError` when the window has fewer rows than a verdict needs, or is the reference already.
        """
        view = self._windows.newest()
        newest = view.newest
        if newest is None:
            raise ConflictError("There is no window yet: nothing can be accepted.")
        last = self._accepted.in_force(newest.bundle_sha256).accepted
        if last is not None and last.accepted.row == view.row:
            raise ConflictError("This window was accepted already, and no row came since.")
        profile, labelled_rows = self._profile_of(view, newest)
        return self._accepted.accept(
            profile,
            bundle_sha256=newest.bundle_sha256,
            version=newest.model.version,
            labelled_rows=labelled_rows,
            decision=AcceptanceDecision(utc_now(), by, note, view.row),
        )

    def revert(self, by: str, note: str) -> AcceptedReference:
        """Take back the last acceptance for the bundle in use: the reference before it is in force again.

        Raises :class:`ConflictError` when nothing is there to take back.
        """
        view = self._windows.newest()
        newest = view.newest
        if newest is None:
            raise ConflictError("There is no window yet: nothing can be taken back.")
        return self._accepted.revert(newest.bundle_sha256, AcceptanceDecision(utc_now(), by, note, view.row))

    def current(self) -> CurrentReference | None:
        """``None`` before the first row."""
        newest = self._windows.newest().newest
        if newest is None:
            return None
        profile = self._profile_in_force(newest)
        in_force = self._accepted.in_force(newest.bundle_sha256)
        return _current(newest.bundle_sha256, in_force, profile.rows if profile else None)

    def distribution(self, column: str) -> Distribution:
        """The column's values in the reference in force, beside those in the newest window."""
        view = self._windows.newest()
        profile = self._profile_in_force(view.newest) if view.newest else None
        reference = profile.columns.get(column) if profile else None
        return distribution(self._case.column(column), reference, view.rows.columns[column])

    def _profile_in_force(self, newest: NewestRow) -> Profile | None:
        in_force = self._accepted.in_force(newest.bundle_sha256)
        found = self._references.find(newest.bundle_sha256, in_force.sha256).reference
        return found.profile if found else None

    def document(self) -> dict[str, Any]:
        """The reference in force, and every decision, newest first; ``active`` are those that are in force."""
        current = self.current()
        history = [_entry(one, self._accepted) for one in reversed(self._accepted.history)]
        return {"current": reference_document(current) if current else None, "history": history}

    def _profile_of(self, view: WindowView, newest: NewestRow) -> tuple[Profile, int]:
        same_model = view.rows.of_model(newest.model)
        rows, minimum = int(same_model.sum()), self._case.monitoring.minimum_rows
        if rows < minimum:
            raise ConflictError(
                f"The window has {rows} rows of the model version in use, a reference needs {minimum} or more."
            )
        first = int(view.rows.numbers[0])
        labelled = self._inbox.labelled_rows(newest.model, until_row=view.row, from_row=first, limit=len(view.rows))
        enough = len(labelled.labels) >= self._case.monitoring.quality.minimum_labelled_rows
        profile = Profile(
            rows=len(view.rows),
            columns={name: profile_of_values(values) for name, values in view.rows.columns.items()},
            scores=_number_profile(view.rows.scores[same_model]),
            predictions=self._answers(view.rows.predictions[same_model]),
            labels=answer_profile(self._case, labelled.labels) if enough else None,
            performance=self._performance(labelled) if enough else {},
        )
        return profile, len(labelled.labels)

    def _answers(self, predictions: Floats) -> NumberProfile | CategoryProfile:
        target = self._case.target
        if not self._case.is_binary:
            return _number_profile(predictions)
        return category_profile([target.positive if one else target.negative for one in predictions > 0.5])

    def _performance(self, labelled: Labelled) -> dict[str, float]:
        answers = answers_of(self._case, labelled.scores, labelled.predictions, labelled.labels)
        return {name: metric_value.value for name, metric_value in realised_performance(self._case, answers).items()}


def profile_of_values(values: ColumnValues) -> NumberProfile | CategoryProfile:
    """The profile of one column of a window; what could not be a value of the column counts as missing."""
    if isinstance(values, CategoryValues):
        present = values.codes[values.codes >= 0]
        counts = np.bincount(present, minlength=len(values.names)).tolist()
        named = {name: count for name, count in zip(values.names, counts, strict=True) if count}
        return CategoryProfile(dict(sorted(named.items())), len(values.codes) - len(present))
    return _number_profile(values.values)


def _number_profile(values: Floats) -> NumberProfile:
    present = np.sort(values[np.isfinite(values)])
    return NumberProfile(present.tolist(), len(values) - len(present))


def _current(bundle_sha256: str, in_force: InForce, rows: int | None) -> CurrentReference:
    accepted = in_force.accepted
    if accepted is None:
        return CurrentReference("bundle", bundle_sha256, rows)
    decision = accepted.accepted
    return CurrentReference(
        "accepted", bundle_sha256, accepted.rows, decision.at, decision.by, decision.note, decision.row
    )


def reference_document(current: CurrentReference) -> dict[str, Any]:
    """The reference in use as JSON."""
    return {
        "kind": current.kind,
        "bundle_sha256": current.bundle_sha256,
        "rows": current.rows,
        "at": current.at,
        "by": current.by,
        "note": current.note,
        "row": current.row,
        "can_revert": current.can_revert,
    }


def _entry(one: AcceptedReference, accepted: AcceptedReferences) -> dict[str, Any]:
    return {
        **asdict(one.accepted),
        "rows": one.rows,
        "labelled_rows": one.labelled_rows,
        "sha256": one.sha256,
        "bundle_sha256": one.bundle_sha256,
        "version": one.version,
        "active": accepted.in_force(one.bundle_sha256).accepted is one,
        "reverted": asdict(one.reverted) if one.reverted else None,
    }
