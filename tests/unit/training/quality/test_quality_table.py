"""The table that the quality gate looks at: a type for each column, whatever is missing."""

from __future__ import annotations

import random

from monitoring_world import made_case, made_record

from training.data.rows import LabelledRows
from training.quality.great_expectations_gate import table_of


def test_a_missing_whole_number_leaves_the_others_whole() -> None:
    rng = random.Random(1)
    records = [made_record(rng) for _ in range(100)]
    assert None in [record["items"] for record in records]
    table = table_of(made_case(), LabelledRows(records, ["yes"] * len(records)))
    assert str(table["items"].dtype) == "Int64"
    assert table["items"].isna().sum() == sum(record["items"] is None for record in records)
    full = table_of(made_case(), LabelledRows([{**record, "items": 3} for record in records], ["yes"] * len(records)))
    assert str(full["items"].dtype) == "int64"
