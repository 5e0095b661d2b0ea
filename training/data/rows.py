"""Records with their labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from event_backbone.case.schema import Case

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class LabelledRows:
    """Valid records of a case and their ground truth, in the same order."""

    records: Sequence[Mapping[str, Any]]
    labels: Sequence[str | float]

    def __len__(self) -> int:
        return len(self.records)

    def take(self, indices: Indices) -> LabelledRows:
        return LabelledRows([self.records[i] for i in indices], [self.labels[i] for i in indices])

    def targets(self, case: Case) -> Floats:
        """Labels as numbers, shape (rows,): 1 for the positive class and 0 for the other, or the value itself."""
        if case.is_binary:
            return np.array([label == case.target.positive for label in self.labels], dtype=np.float64)
        return np.array(self.labels, dtype=np.float64)
