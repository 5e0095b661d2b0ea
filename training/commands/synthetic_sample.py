"""The synthetic sample's own command: refit its tables on the real training rows, or draw rows from them."""

from __future__ import annotations

import csv
from pathlib import Path

import msgspec
import numpy as np

from event_backbone.case.schema import Case
from event_backbone.events.schema import encode_json
from training.data.reading import Retrieved
from training.data.rows import LabelledRows
from training.data.splitting import split_rows
from training.data.synthetic import Sample
from training.data.synthetic_fitting import fit_sample

#: The seed whose test share the tables of a case without a test file never see.
HELD_OUT_SEED = 7


def refit(case: Case, retrieved: Retrieved, path: Path) -> Sample:
    """Fit the tables on the train files, less the test share where it comes out of them, and write them to ``path``."""
    held_out = split_rows(len(retrieved.train), case.data.split, HELD_OUT_SEED).test
    rows = retrieved.train.take(np.setdiff1d(np.arange(len(retrieved.train)), held_out))
    digests = {file.name: file.sha256 for file in case.data.files if file.role == "train"}
    sample = fit_sample(case, rows, digests)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.encode(sample) + b"\n")
    return sample


def write_drawn(case: Case, rows: LabelledRows, path: Path) -> None:
    """Write rows as CSV with a header when ``path`` ends in .csv, else one ``{"record", "label"}`` a line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".csv":
        _write_csv(case, rows, path)
        return
    with path.open("wb") as file:
        for record, label in zip(rows.records, rows.labels, strict=True):
            file.write(encode_json({"record": record, "label": label}) + b"\n")


def _write_csv(case: Case, rows: LabelledRows, path: Path) -> None:
    missing = case.data.format.missing[0] if case.data.format.missing else ""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([*case.column_names, case.target.name])
        for record, label in zip(rows.records, rows.labels, strict=True):
            values = [record[name] for name in case.column_names]
            writer.writerow([missing if value is None else value for value in [*values, label]])
