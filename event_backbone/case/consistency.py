"""Consistency checks between the parts of a case file."""

from __future__ import annotations

from collections.abc import Iterator

from event_backbone.case.schema import Case
from event_backbone.errors import Fault

#: Fields a request may carry beside the columns; no column may take these names.
RESERVED_FIELDS = frozenset({"record_id"})


def faults_across(case: Case) -> list[Fault]:
    """Faults that no part shows alone."""
    faults = []
    seen: set[str] = set()
    for index, column in enumerate(case.columns):
        place = f"columns[{index}].name"
        if column.name in seen:
            faults.append(Fault(place, "duplicate", f"column {column.name!r} stands twice"))
        if column.name == case.target.name:
            faults.append(Fault(place, "target", f"{column.name!r} is the target and can't be a column"))
        if column.name in RESERVED_FIELDS:
            faults.append(Fault(place, "reserved", f"{column.name!r} is a reserved field"))
        seen.add(column.name)
    if not case.features:
        faults.append(Fault("columns", "no_feature", "no column is a feature"))
    classes = (case.target.positive, case.target.negative)
    if case.is_binary and (None in classes or classes[0] == classes[1]):
        faults.append(Fault("target", "classes", "a binary case needs two different classes, positive and negative"))
    if not case.is_binary and classes != (None, None):
        faults.append(Fault("target", "classes", "positive and negative belong to binary cases"))
    categories = {column.name for column in case.columns if column.is_category}
    for index, name in enumerate(case.monitoring.segments):
        if name not in categories:
            message = f"{name!r} is no category column"
            faults.append(Fault(f"monitoring.segments[{index}]", "segment", message))
    return [*faults, *_faults_of_bands(case), *_faults_of_data(case, seen)]


def _faults_of_bands(case: Case) -> Iterator[Fault]:
    numbers = {column.name for column in case.columns if not column.is_category and not column.nullable}
    for name, edges in case.training.bands.items():
        if name not in numbers:
            message = f"{name!r} is no number column, or one that may lack values"
            yield Fault(f"training.bands.{name}", "bands", message)
        if not edges or edges != sorted(set(edges)):
            yield Fault(f"training.bands.{name}", "bands", "the edges have to rise, and there has to be one")


def _faults_of_data(case: Case, columns: set[str]) -> list[Fault]:
    data, faults = case.data, []
    roles = [file.role for file in data.files]
    if "train" not in roles:
        faults.append(Fault("data.files", "no_train", "no file has the role train"))
    if ("test" in roles) == (data.split.test_share is not None):
        message = "name a test file or a test_share, exactly one of them"
        faults.append(Fault("data.split.test_share", "test", message))
    train_rows = sum(file.rows for file in data.files if file.role == "train")
    left = train_rows * (1 - (data.split.test_share or 0)) - data.split.fit_and_validation - data.split.reference
    if left - data.split.gate_rows_of(0) < 1:
        faults.append(Fault("data.split", "too_large", f"the split leaves no row of {train_rows} for the stream"))
    if not data.format.header and data.format.fields is None:
        message = "files without a header need their fields named"
        faults.append(Fault("data.format.fields", "header", message))
    if data.format.fields is not None:
        wanted, given = columns | {case.target.name}, set(data.format.fields)
        for name in sorted(wanted - given):
            faults.append(Fault("data.format.fields", "missing", f"column {name!r} is not among the fields"))
        for name in sorted(given - wanted):
            faults.append(Fault("data.format.fields", "unknown", f"{name!r} is neither a column nor the target"))
    return faults
