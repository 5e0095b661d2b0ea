"""A small made case, its bundle and its events, for the tests of monitoring."""

from __future__ import annotations

import io
import random
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import yaml
from msgspec.structs import replace
from pyarrow import parquet

from event_backbone.case.files import case_from_dict
from event_backbone.case.schema import Case
from event_backbone.events.schema import Envelope, Event, Label, ModelRef, Prediction, content_hash, encode_ndjson
from event_backbone.model.bundle import write_bundle
from event_backbone.model.calibration import fit_calibration
from event_backbone.model.reference_profile import (
    PROFILE_FILE,
    Profile,
    answer_profile,
    column_profiles,
    encode_profile,
    number_profile,
)

MODEL = ModelRef("streamgauge-shop", "1")
CATEGORIES = ["card", "cash", "transfer"]
START = "2026-01-01T00:00:00.000000Z"


def case_content(**monitoring: Any) -> dict[str, Any]:
    """A case with two numbers, one of them nullable, and a category; small windows, so that tests are fast."""
    schedule = {"window_rows": 200, "minimum_rows": 100, "check_every_rows": 20, "consecutive_checks": 3}
    return {
        "name": "shop",
        "title": "Shop returns",
        "description": "Does a customer send an order back?",
        "task": "binary",
        "target": {"name": "returned", "title": "Returned", "positive": "yes", "negative": "no"},
        "columns": [
            {"name": "price", "title": "Price", "help": "Of the order.", "kind": "number", "unit": "euro"},
            {"name": "items", "title": "Items", "help": "In the order.", "kind": "integer", "nullable": True},
            {
                "name": "payment",
                "title": "Payment",
                "help": "How it was paid.",
                "kind": "category",
                "nullable": True,
                "expected": {"categories": CATEGORIES},
            },
        ],
        "data": {
            "citation": "Made up.",
            "files": [
                {"name": "shop.csv", "role": "train", "url": "https://example.com", "sha256": "0" * 64, "rows": 5000}
            ],
            "format": {"header": True},
            "split": {"fit_and_validation": 1000, "reference": 1000, "test_share": 0.2},
        },
        "monitoring": {**schedule, **monitoring},
    }


def regression_case() -> Case:
    content = case_content()
    content["task"] = "regression"
    content["target"] = {"name": "returned", "title": "Value"}
    return case_from_dict(content, subject="regression case")


def made_case(**monitoring: Any) -> Case:
    return case_from_dict(case_content(**monitoring), subject="made case")


def write_case(folder: Path, **monitoring: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "shop.yaml"
    path.write_text(yaml.safe_dump(case_content(**monitoring)))
    return path


def made_record(rng: random.Random, *, price_shift: float = 0.0) -> dict[str, Any]:
    return {
        "price": round(rng.gauss(50 + price_shift, 10), 2),
        "items": rng.randint(1, 9) if rng.random() > 0.05 else None,
        "payment": rng.choices(CATEGORIES, [5, 3, 2])[0],
    }


def made_score(record: Mapping[str, Any]) -> float:
    return min(0.99, max(0.01, float(record["price"]) / 100))


def made_class(score: float) -> str:
    return "yes" if score > 0.5 else "no"


def made_reference(rows: int = 1000, seed: int = 1) -> dict[str, list[Any]]:
    rng = random.Random(seed)
    records = [made_record(rng) for _ in range(rows)]
    columns: dict[str, list[Any]] = {name: [record[name] for record in records] for name in records[0]}
    columns["score"] = [made_score(record) for record in records]
    columns["prediction"] = [made_class(score) for score in columns["score"]]
    columns["returned"] = [made_class(score + rng.gauss(0, 0.1)) for score in columns["score"]]
    return columns


def made_profile(case: Case, reference: Mapping[str, Sequence[Any]] | None = None) -> Profile:
    """The profile of reference rows, without metrics."""
    columns = reference or made_reference()
    return Profile(
        rows=len(columns["score"]),
        columns=column_profiles(case, columns),
        scores=number_profile(columns["score"]),
        predictions=answer_profile(case, columns["prediction"]),
        labels=answer_profile(case, columns[case.target.name]),
    )


def with_performance(case: Case, profile: Profile, reference: Mapping[str, Sequence[Any]]) -> Profile:
    """The same with metrics and an expectation, as training writes them; only of a binary case."""
    positive = np.array([label == case.target.positive for label in reference[case.target.name]])
    right = [found == label for found, label in zip(reference["prediction"], reference[case.target.name], strict=True)]
    expectation = fit_calibration(np.array(reference["score"]), positive)
    return replace(profile, performance={"accuracy": sum(right) / len(right)}, expectation=expectation)


def install_bundle(
    bundles_dir: Path, case: Case, reference: Mapping[str, Sequence[Any]] | None = None, *, performance: bool = False
) -> str:
    """Write a bundle that holds a reference and nothing else, with performance if asked; return its sha256."""
    columns = reference or made_reference()
    profile = made_profile(case, columns)
    buffer = io.BytesIO()
    parquet.write_table(pa.table(dict(columns)), buffer)
    temporary = bundles_dir / "new"
    parts = {
        "reference.parquet": buffer.getvalue(),
        PROFILE_FILE: encode_profile(with_performance(case, profile, columns) if performance else profile),
    }
    sha256 = write_bundle(temporary, case, parts)
    if (bundles_dir / sha256).exists():
        shutil.rmtree(temporary)
    else:
        temporary.rename(bundles_dir / sha256)
    return sha256


def prediction(record_id: str, record: Mapping[str, Any], bundle_sha256: str = "b" * 64, **changes: Any) -> Prediction:
    score = made_score(record) if isinstance(record.get("price"), (int, float)) else 0.5
    fields = {
        "record_id": record_id,
        "case": "shop",
        "case_sha256": "c" * 64,
        "record": dict(record),
        "prediction": made_class(score),
        "score": score,
        "model": MODEL,
        "bundle_sha256": bundle_sha256,
        "predicted_at": START,
        "content_hash": content_hash(dict(record)),
    }
    return Prediction(**{**fields, **changes})


def label(record_id: str, value: str = "yes", labelled_at: str = START) -> Label:
    return Label(record_id, "shop", value, labelled_at)


def enveloped(events: Sequence[Event], *, source: str = "journal-1", first_seq: int = 1) -> list[Envelope]:
    return [Envelope(source, first_seq + index, event) for index, event in enumerate(events)]


def body_of(events: Sequence[Event], **where: Any) -> bytes:
    return encode_ndjson(enveloped(events, **where))


def predictions(
    count: int, *, first: int = 0, seed: int = 7, bundle_sha256: str = "b" * 64, price_shift: float = 0.0
) -> list[Prediction]:
    """Records ``r<first>`` onwards; the same arguments make the same events."""
    rng = random.Random(seed * 1_000_003 + first)
    return [
        prediction(f"r{first + index}", made_record(rng, price_shift=price_shift), bundle_sha256)
        for index in range(count)
    ]
