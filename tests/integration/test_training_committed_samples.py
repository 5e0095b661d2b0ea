"""The committed synthetic samples against the real files they were fitted on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon

from event_backbone.case.files import find_case
from event_backbone.case.records import faults_in
from event_backbone.case.schema import Case, Column
from training.commands.synthetic_sample import refit
from training.data.reading import Retrieved
from training.data.retrieval import SAMPLE_SEED, DataLocations, http_fetch, retrieve_real
from training.data.rows import LabelledRows
from training.data.splitting import split_rows
from training.data.synthetic import load_sample
from training.fitting.cross_validation import CANDIDATES, fit
from training.fitting.evaluation import evaluate

CASES = Path(__file__).parents[2] / "cases"
NAMES = ["census", "housing"]


def _real(name: str, request: pytest.FixtureRequest) -> tuple[Case, Retrieved]:
    case = find_case(name, CASES)
    places = DataLocations(request.getfixturevalue(f"{name}_data_dir"), Path("unused"), Path("unused"))
    return case, retrieve_real(case, places, http_fetch(1.0))


def _draw(case: Case, rows: int) -> LabelledRows:
    return load_sample(CASES / "samples" / f"{case.name}.json", case).draw(rows, SAMPLE_SEED)


def _distance(column: Column, real: Sequence[Any], drawn: Sequence[Any]) -> float:
    """Jensen-Shannon distance to the base e: shares of categories, or of 30 common bins; missing is one more."""
    if column.is_category:
        names = sorted({str(value) for value in [*real, *drawn]})
        shares = [[list(map(str, values)).count(name) for name in names] for values in (real, drawn)]
    else:
        numbers = [np.array([value for value in values if value is not None]) for values in (real, drawn)]
        edges = np.histogram_bin_edges(np.concatenate(numbers), 30)
        shares = [
            [*np.histogram(present, edges)[0], len(values) - len(present)]
            for present, values in zip(numbers, (real, drawn), strict=True)
        ]
    return float(jensenshannon(*shares))


@pytest.mark.parametrize("name", NAMES)
def test_no_column_is_far_from_the_train_file(name: str, request: pytest.FixtureRequest) -> None:
    case, real = _real(name, request)
    drawn = _draw(case, len(real.train))
    distances = {
        column.name: _distance(
            column,
            [record[column.name] for record in real.train.records],
            [record[column.name] for record in drawn.records],
        )
        for column in case.columns
    }
    assert {column: distance for column, distance in distances.items() if distance > 0.1} == {}


@pytest.mark.parametrize("name", NAMES)
def test_drawn_rows_are_valid(name: str) -> None:
    case = find_case(name, CASES)
    drawn = _draw(case, 5000)
    assert [faults_in(case, record) for record in drawn.records if faults_in(case, record)] == []


@pytest.mark.long
def test_a_model_of_the_census_sample_ranks_the_official_test_rows(request: pytest.FixtureRequest) -> None:
    case, real = _real("census", request)
    drawn = _draw(case, case.data.split.fit_and_validation)
    model = fit(case, drawn, seed=7, threads=2, candidates=CANDIDATES[:1])
    scores = model.model.scores(model.encoder.encode_rows(real.test.records))
    assert evaluate(case, real.test.targets(case), scores, model.threshold)["auc"] >= 0.90


@pytest.mark.long
def test_a_model_of_the_housing_sample_is_of_use_on_real_rows(request: pytest.FixtureRequest) -> None:
    case, real = _real("housing", request)
    drawn = _draw(case, case.data.split.fit_and_validation)
    model = fit(case, drawn, seed=7, threads=2, candidates=CANDIDATES[1:2])
    test = real.train.take(split_rows(len(real.train), case.data.split, 7).test)
    scores = model.model.scores(model.encoder.encode_rows(test.records))
    assert evaluate(case, test.targets(case), scores, None)["r2"] >= 0.65


@pytest.mark.long
@pytest.mark.parametrize("name", NAMES)
def test_the_committed_sample_is_what_its_command_makes_of_the_real_files(
    name: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    case, real = _real(name, request)
    refitted = refit(case, real, tmp_path / "sample.json")
    path = CASES / "samples" / f"{name}.json"
    committed = load_sample(path, case)
    assert path.stat().st_size < 1_000_000
    assert committed.fitted_on == refitted.fitted_on
    for column, again in zip(committed.columns, refitted.columns, strict=True):
        assert (column.name, column.parent, column.bins) == (again.name, again.parent, again.bins)
        # Another processor may round a weight to the other side.
        np.testing.assert_allclose(column.weights, again.weights, atol=1)


def test_no_drawn_row_is_a_row_of_the_data(request: pytest.FixtureRequest) -> None:
    """Fourteen answers make a person nearly unique; tables that held rows would give them back."""
    case, real = _real("census", request)
    rows = {tuple(record.values()) for record in real.train.records}
    drawn = [tuple(record.values()) for record in _draw(case, 20_000).records]
    assert sum(row in rows for row in drawn) <= 2
