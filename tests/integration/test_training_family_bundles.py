"""Every family ends in the same bundle and gives its pipeline's scores through the same scorer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from event_backbone.case.files import find_case
from event_backbone.case.records import RecordDecoder
from event_backbone.events.schema import ModelRef
from event_backbone.model.bundle import open_bundle, write_bundle
from event_backbone.model.scoring import Scorer
from training.data.rows import LabelledRows
from training.data.synthetic import load_sample
from training.families.catalog import FamilyName
from training.fitting.artifacts import bundle_parts
from training.fitting.candidates import FAMILY_NAMES, candidates_of
from training.fitting.cross_validation import fit
from training.fitting.onnx import TOLERANCE, largest_difference, to_onnx

CASES = Path(__file__).parents[2] / "cases"
SCORED_ROWS = 5000


@pytest.mark.parametrize("family", FAMILY_NAMES)
@pytest.mark.parametrize("name", [pytest.param("census", marks=pytest.mark.long), "housing"])
def test_a_familys_bundle_serves_the_scores_of_its_pipeline(name: str, family: FamilyName, tmp_path: Path) -> None:
    case = find_case(name, CASES)
    drawn = load_sample(CASES / "samples" / f"{name}.json", case).draw(SCORED_ROWS + 1700, seed=11)
    rows, reference, scored = (drawn.take(part) for part in np.split(np.arange(len(drawn)), [1500, 1700]))
    model = fit(case, rows, seed=7, threads=2, candidates=list(candidates_of(case, [family], ["none"])))
    sha256 = write_bundle(tmp_path / "bundle", case, bundle_parts(case, model, to_onnx(model), reference, {}))
    scorer = Scorer(open_bundle(tmp_path / "bundle", sha256), ModelRef("made", "1"), case)
    records = _with_gaps(scored)
    served = np.array(scorer.score([RecordDecoder(case).convert(record) for record in records]))
    expected = model.model.scores(model.encoder.encode_rows(records))
    assert len(served) == SCORED_ROWS
    assert largest_difference(case, served, expected) <= TOLERANCE


def _with_gaps(rows: LabelledRows) -> list[dict[str, object]]:
    """Records, some of which lack a value or hold a category that fitting did not see."""
    records = [dict(record) for record in rows.records]
    columns = list(records[0])
    for number, record in enumerate(records[::10]):
        column = columns[number % len(columns)]
        if isinstance(record[column], str):
            record[column] = "(unseen)"
    return records
