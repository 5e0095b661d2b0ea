"""The ports of model families: a way to fit, and models that score and become ONNX."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from event_backbone.case.schema import Case
from training.data.rows import Floats

#: Encoded rows, shape (rows, features); nan where a number is missing or a category was never seen.
Features = npt.NDArray[np.float32]


@dataclass(frozen=True)
class EncodedRows:
    """What a model is fitted to; ``targets`` and ``weights`` have shape (rows,), without weights all count alike."""

    features: Features
    targets: Floats
    weights: Floats | None = None


class Model(Protocol):
    """A fitted model. ``rounds`` is its number of boosting rounds or trees, 0 where it has none."""

    @property
    def rounds(self) -> int: ...

    def scores(self, features: Features) -> Floats:
        """Probabilities of the positive class, or values, shape (rows,)."""
        ...

    def to_onnx(self, features: int) -> bytes:
        """The same from one float32 input of shape (rows, features); the last output's last column is the score."""
        ...

    def native_files(self) -> Mapping[str, bytes]:
        """The model in its library's own safe format, by file name; empty where that would be a pickle."""
        ...


class Family(Protocol):
    """A way to fit. Stateless and thread-safe; the same rows, parameters and seed give the same model."""

    def parameters(self, case: Case, given: Mapping[str, Any], seed: int) -> dict[str, Any]:
        """Everything that decides the model beside the rows."""
        ...

    def fit(
        self, case: Case, rows: EncodedRows, given: Mapping[str, Any], seed: int, *, rounds: int | None = None
    ) -> Model:
        """Fit to ``rows``; ``rounds`` is how long a boosted model goes on, where cross-validation found that out."""
        ...

    def fit_fold(
        self, case: Case, rows: EncodedRows, held_out: EncodedRows, given: Mapping[str, Any], seed: int
    ) -> Model:
        """Fit to ``rows``; a boosted model may stop when it gets no better on ``held_out``."""
        ...
