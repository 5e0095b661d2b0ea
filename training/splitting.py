"""Which rows do what: drawn once by a seed, and disjoint."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from event_backbone.case import Split
from event_backbone.errors import Fault, SettingsError
from training.rows import Indices


@dataclass(frozen=True)
class SplitIndices:
    """Places of rows in the train files: disjoint, and together all of them.

    ``fit`` is for fitting and validation, ``test`` is empty where the case has a test file of its own.
    """

    fit: Indices
    reference: Indices
    stream: Indices
    test: Indices


def split_rows(rows: int, split: Split, seed: int) -> SplitIndices:
    """Draw the split of ``rows`` train rows; the test rows are held out before anything else is drawn.

    Raises:
        SettingsError: there are too few rows to leave any for the stream.
    """
    order = np.random.default_rng(seed).permutation(rows)
    test_end = round(rows * (split.test_share or 0.0))
    fit_end = test_end + split.fit_and_validation
    reference_end = fit_end + split.reference
    if reference_end >= rows:
        message = f"needs more than {reference_end:,} rows, there are {rows:,}"
        raise SettingsError("split", [Fault("data.split", "too_large", message)])
    test, fit, reference, stream = np.split(order, [test_end, fit_end, reference_end])
    return SplitIndices(fit=fit, reference=reference, stream=stream, test=test)
