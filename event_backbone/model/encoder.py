"""The encoder: records into model inputs, numbers as they are, categories as codes frozen at fitting.

The encoder is plain JSON, so training and serving read the same one. A missing category is a code of its own if fitting
saw it; a category that fitting did not see becomes nan, which the model takes for "unknown".
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Self

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import Struct

from event_backbone.case.schema import Case
from event_backbone.model.bundle import decode_file

FORMAT = 1

#: How categories are put in order before they get their codes 0, 1, 2, ...
Order = Literal["label_mean", "frequency", "name"]

#: Rows of the overall mean that every category's mean is mixed with, so that rare ones don't go to the ends.
SMOOTHING_ROWS = 20.0


class EncodedColumn(Struct, frozen=True, omit_defaults=True):
    """One feature: ``codes`` lists a category column's values (null: missing) in the order of their codes."""

    name: str
    codes: tuple[str | None, ...] | None = None


class _EncoderFile(Struct, frozen=True):
    format: int
    columns: tuple[EncodedColumn, ...]


class Encoder:
    """Encodes the features of one case. Immutable and thread-safe."""

    def __init__(self, columns: Sequence[EncodedColumn]) -> None:
        self._columns = tuple(columns)
        self.feature_names = tuple(column.name for column in columns)
        self._lookups = tuple(
            (place, _lookup(column.codes)) for place, column in enumerate(columns) if column.codes is not None
        )

    @classmethod
    def fit(
        cls, case: Case, rows: Sequence[Mapping[str, Any]], labels: Sequence[float], *, order: Order = "label_mean"
    ) -> Self:
        """Freeze the codes seen in ``rows``.

        ``labels`` are numbers: 0 or 1 for a binary case, the target for a regression. With ``order="label_mean"`` codes
        rise with the mean label, which lets one threshold of a tree split off any group of similar categories.
        """
        columns = []
        for column in case.features:
            values = [row[column.name] for row in rows] if column.is_category else []
            codes = _ordered(values, labels, order) if column.is_category else None
            columns.append(EncodedColumn(column.name, codes))
        return cls(columns)

    @classmethod
    def from_json(cls, content: bytes) -> Self:
        """Raises :class:`BrokenBundleError` when ``content`` is no encoder of this format."""
        file = decode_file(content, _EncoderFile, at="encoder", known_format=FORMAT)
        return cls(file.columns)

    def to_json(self) -> bytes:
        return msgspec.json.encode(_EncoderFile(FORMAT, self._columns))

    def encode(self, record_values: Sequence[Any]) -> list[float]:
        """One valid record's features, in the order of ``feature_names``, as numbers.

        This is on every prediction's way: it copies once and touches category columns only.
        """
        encoded = list(record_values)
        if len(encoded) != len(self.feature_names):
            raise ValueError(f"{len(encoded)} values for {len(self.feature_names)} features")
        for place, code_of in self._lookups:
            encoded[place] = code_of(encoded[place], math.nan)
        # Only numbers can be None by now.
        return [math.nan if value is None else value for value in encoded] if None in encoded else encoded

    def encode_rows(self, rows: Sequence[Mapping[str, Any]]) -> npt.NDArray[np.float32]:
        """Many records: shape (rows, features)."""
        encoded = [self.encode([row[name] for name in self.feature_names]) for row in rows]
        return np.array(encoded, dtype=np.float32).reshape(len(rows), len(self.feature_names))


def _lookup(codes: Sequence[str | None]) -> Callable[[Any, float], float]:
    return {value: float(code) for code, value in enumerate(codes)}.get


def _ordered(values: Sequence[str | None], labels: Sequence[float], order: Order) -> tuple[str | None, ...]:
    by_value: dict[str | None, list[float]] = defaultdict(list)
    for value, label in zip(values, labels, strict=True):
        by_value[value].append(label)
    overall = sum(labels) / max(len(labels), 1)

    def rank(value: str | None) -> tuple[float, str]:
        name, seen = value or "", by_value[value]
        if order == "label_mean":
            return (sum(seen) + SMOOTHING_ROWS * overall) / (len(seen) + SMOOTHING_ROWS), name
        return (-float(len(seen)) if order == "frequency" else 0.0), name

    return tuple(sorted(by_value, key=rank))
