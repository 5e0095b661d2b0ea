"""Streams with and without drift, played past every rule; one call measures one stream, in whichever process."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np

from benchmarks.drift.frames import Drawing, Floats, Frame, draw, frame_of
from benchmarks.drift.rules import Verdicts, rivals
from benchmarks.drift.shifts import Shift, divergence, shifted_rows
from event_backbone.case.files import find_case
from event_backbone.case.schema import Case
from monitoring_service.drift.detectors import SCORE
from training.data.retrieval import DataLocations, http_fetch, retrieve_real
from training.data.rows import LabelledRows

OURS, UNCORRECTED = "ours", "p < 0.05, each"
HORIZON_ROWS = 6_000
GRADUAL_ROWS = 2_000
RECURRING_ROWS = 1_000
#: How many rows without drift come first, at least and at most.
BEFORE_ROWS = (1_000, 4_000)
REFERENCES = 10

Form = Literal["sudden", "gradual", "recurring", "first row"]


@dataclass(frozen=True)
class Source:
    """Where the case and its real rows are, and the seed of everything drawn."""

    case_name: str
    cases_dir: Path
    data_dir: Path | None
    downloads_dir: Path
    seed: int


@lru_cache(maxsize=1)
def rows_of(source: Source) -> tuple[Case, Frame]:
    case = find_case(source.case_name, source.cases_dir)
    places = DataLocations(source.data_dir, source.downloads_dir, Path())
    found = retrieve_real(case, places, http_fetch(10.0))
    every = LabelledRows([*found.train.records, *found.test.records], [*found.train.labels, *found.test.labels])
    return case, frame_of(case, every)


@lru_cache(maxsize=REFERENCES)
def drawing_of(source: Source, reference: int) -> Drawing:
    case, rows = rows_of(source)
    return draw(case, rows, np.random.default_rng([source.seed, 1, reference]))


@dataclass(frozen=True)
class FalseAlarms:
    """Episodes without drift in one stream, by rule and by column; ``prediction`` is ``score``."""

    reference: int
    episodes: Mapping[str, Counter[str]]


def false_alarms(source: Source, reference: int, rows: int, *, with_rivals: bool) -> FalseAlarms:
    drawing, step = drawing_of(source, reference), _step(source)
    random = np.random.default_rng([source.seed, 2, reference])
    stream = drawing.held_out.take(random.integers(0, len(drawing.held_out), rows))
    played = _Played(drawing, stream, with_rivals=with_rivals)
    before: Mapping[str, set[str]] = {}
    episodes: dict[str, Counter[str]] = {}
    for row in range(step, rows + 1, step):
        flagged = {**played.verdicts(row), **played.rivals(row, drawing.case.column_names)}
        for rule, names in flagged.items():
            episodes.setdefault(rule, Counter()).update(names - before.get(rule, set()))
        before = flagged
    return FalseAlarms(reference, episodes)


@dataclass(frozen=True)
class Delays:
    """Rows from a shift's first row to the check that flags its column, by rule; a rule that missed it is not there.

    ``divergence`` is that of all rows from there on: of a recurring shift only every other 1,000 are shifted.
    """

    shift: Shift
    form: Form
    divergence: float
    rows: Mapping[str, int]


def delays(source: Source, shift: Shift, form: Form, run: int) -> Delays:
    drawing, step = drawing_of(source, run % REFERENCES), _step(source)
    random = np.random.default_rng([source.seed, 3, run, *shift.name.encode(), *form.encode()])
    before = 0 if form == "first row" else int(random.integers(*BEFORE_ROWS))
    shifted = shifted_rows(drawing, shift, HORIZON_ROWS, random)
    undrifted = drawing.held_out.take(random.integers(0, len(drawing.held_out), before + HORIZON_ROWS))
    stream = mixed(undrifted, shifted, before, form, random)
    played = _Played(drawing, stream, with_rivals=True)
    found: dict[str, int] = {}
    for row in range(step, len(stream) + 1, step):
        # Ours has a memory, so it sees every check; when it has found the shift, the others go on alone.
        ours_searches = not {OURS, UNCORRECTED} <= found.keys()
        flagged = played.verdicts(row) if ours_searches else {}
        if row <= before:
            continue
        flagged |= played.rivals(row, [shift.column])
        for rule, names in flagged.items():
            if names & ({SCORE} if rule == SCORE else {shift.column}):
                found.setdefault(rule, row - before)
        if {*played.rules} <= found.keys():
            break
    since = stream.take(slice(before, None))
    distance = divergence(drawing.profile.columns[shift.column], since.columns[shift.column])
    return Delays(shift, form, distance, found)


def _step(source: Source) -> int:
    return rows_of(source)[0].monitoring.check_every_rows


class _Played:
    """One stream and every rule that looks at it."""

    def __init__(self, drawing: Drawing, stream: Frame, *, with_rivals: bool) -> None:
        self._drawing = drawing
        self._stream = stream
        self._scores: Floats = drawing.scorer.scores(stream)
        self._verdicts = Verdicts(drawing.case, drawing)
        self._rivals = rivals() if with_rivals else {}

    @property
    def rules(self) -> list[str]:
        """All but the score's, which many shifts don't touch."""
        return [OURS, UNCORRECTED, *self._rivals]

    def verdicts(self, row: int) -> dict[str, set[str]]:
        drifted = self._verdicts.check(row, self._stream, self._scores)
        return {OURS: drifted, SCORE: drifted & {SCORE}, UNCORRECTED: self._verdicts.significant}

    def rivals(self, row: int, columns: Sequence[str]) -> dict[str, set[str]]:
        monitoring = self._drawing.case.monitoring
        if row < monitoring.minimum_rows:
            return {}
        window = self._stream.take(slice(max(0, row - monitoring.window_rows), row))
        profiles = self._drawing.profile.columns
        return {
            name: {column for column in columns if rival.flags(profiles[column], window.columns[column])}
            for name, rival in self._rivals.items()
        }


def mixed(undrifted: Frame, shifted: Frame, before: int, form: Form, random: np.random.Generator) -> Frame:
    """The stream: each row is the shifted one or the one without drift."""
    since = np.arange(HORIZON_ROWS)
    match form:
        case "gradual":
            is_shifted = random.random(HORIZON_ROWS) < since / GRADUAL_ROWS
        case "recurring":
            is_shifted = since // RECURRING_ROWS % 2 == 0
        case _:
            is_shifted = np.ones(HORIZON_ROWS, dtype=bool)
    both = undrifted.followed_by(shifted)
    places = np.arange(before + HORIZON_ROWS)
    places[before:][is_shifted] += HORIZON_ROWS
    return both.take(places)
