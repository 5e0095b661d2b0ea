"""Splitting of rows by purpose: drawn once by a seed, and disjoint."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from event_backbone.case.schema import Split
from event_backbone.errors import Fault, SettingsError
from training.data.rows import Indices

#: Of the rows of a log, where the case has test files of its own.
_TEST_SHARE_OF_A_LOG = 0.2
#: Of the rows that a retraining gets, reference and gate each; what they leave is for fitting, where rows are scarcest:
#: with a fifth each, one changed census of ten was learned 0.02 of AUC worse than from more than twice the rows.
_SHARE_OF_A_RETRAINING = 1 / 8


@dataclass(frozen=True)
class SplitIndices:
    """Indices of rows: disjoint, and together all of them.

    ``fit`` is for fitting and validation, ``gate`` decides on promotion, ``test`` is empty where the case has a test
    file of its own.
    """

    fit: Indices
    reference: Indices
    gate: Indices
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
    gate_end = reference_end + split.gate_rows_of(rows - reference_end)
    if gate_end >= rows:
        message = f"needs more than {gate_end:,} rows, there are {rows:,}"
        raise SettingsError("split", [Fault("data.split", "too_large", message)])
    test, fit, reference, gate, stream = np.split(order, [test_end, fit_end, reference_end, gate_end])
    return SplitIndices(fit=fit, reference=reference, gate=gate, stream=stream, test=test)


def split_log(contents: Sequence[Hashable], split: Split, seed: int) -> SplitIndices:
    """Draw fit, reference, gate and test among the newest rows of a log; the older ones are the stream.

    ``contents`` are the rows' contents, oldest first: those that are the same fall into the same part.

    Raises:
        SettingsError: there are too few rows, or too few different ones.
    """
    needed = log_rows_needed(split)
    if len(contents) < needed:
        raise _too_few(needed, len(contents))
    drawn = _drawn_sizes(split)
    return _split_newest(contents, drawn, seed)


def log_rows_needed(split: Split) -> int:
    """The smallest number of rows of a log: one for the stream beside those that are drawn."""
    return sum(_drawn_sizes(split)) + 1


def split_retraining(contents: Sequence[Hashable], split: Split, seed: int) -> SplitIndices:
    """Draw fit, reference and gate among the newest rows, as many as there are up to the case file's sizes.

    Reference and gate take an eighth each where there are fewer. The test rows are none, older rows are the stream.

    Raises:
        SettingsError: there are too few different rows.
    """
    fit, reference, gate = split.fit_and_validation, split.reference, split.gate_rows_of(split.reference)
    rows = len(contents)
    if rows < fit + reference + gate:
        share = math.floor(rows * _SHARE_OF_A_RETRAINING)
        reference, gate = min(share, reference), min(share, gate)
        fit = min(rows - reference - gate, fit)
    return _split_newest(contents, (0, fit, reference, gate), seed)


def _drawn_sizes(split: Split) -> tuple[int, int, int, int]:
    """Test, fit, reference and gate rows of a log."""
    gate = split.gate_rows_of(split.reference)
    share = split.test_share if split.test_share is not None else _TEST_SHARE_OF_A_LOG
    others = split.fit_and_validation + split.reference + gate
    return math.ceil(others * share / (1 - share)), split.fit_and_validation, split.reference, gate


def _split_newest(contents: Sequence[Hashable], sizes: tuple[int, int, int, int], seed: int) -> SplitIndices:
    """Draw parts of these sizes among the newest rows, moving each end until no content stands on both sides of it."""
    first = len(contents) - sum(sizes)
    place_of = {content: place for place, content in enumerate(dict.fromkeys(contents[first:]))}
    drawn = np.random.default_rng(seed).permutation(len(place_of))
    turns = np.array([drawn[place_of[content]] for content in contents[first:]], dtype=np.int64)
    order = np.argsort(turns, kind="stable")
    ends = np.cumsum(sizes)[:-1]
    # The end of a part moves to where the content that stands there begins.
    cuts = np.searchsorted(turns[order], turns[order][ends])
    test, fit, reference, gate = (first + part for part in np.split(order, cuts))
    if min(len(fit), len(reference), len(gate)) == 0:
        raise _too_few(len(sizes) - 1, len(place_of), "different ")
    return SplitIndices(fit=fit, reference=reference, gate=gate, stream=np.arange(first), test=test)


def _too_few(needed: int, there: int, kind: str = "") -> SettingsError:
    message = f"needs {needed:,} {kind}rows, there are {there:,}"
    return SettingsError("split", [Fault("data.split", "too_large", message)])
