"""Small made cases and raw files for the tests of training."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from event_backbone.case.files import case_from_dict
from event_backbone.case.schema import Case
from event_backbone.errors import TryAgainLaterError
from event_backbone.in_memory.registry import MemoryRegistry
from event_backbone.model.bundle import BundleStore
from training.data.retrieval import DataLocations, Fetch
from training.data.rows import LabelledRows
from training.data.synthetic_fitting import fit_sample
from training.fitting.challenger import TrainingPlan
from training.fitting.cross_validation import CANDIDATES
from training.fitting.tracking import RunRecord
from training.flow.training_flow import FlowParts
from training.quality.expectations import Part
from training.quality.gate import Inspection

COLOURS = ["green", "red", "yellow"]
TRAIN_ROWS, TEST_ROWS = 400, 120
PLAN = TrainingPlan(seed=7, threads=1, candidates=CANDIDATES[:1])

#: ``number`` is each row's own and no feature, so that a test can tell where a row went.
COLUMNS: list[dict[str, Any]] = [
    {"name": "number", "title": "Number", "help": "Of the row.", "kind": "integer", "feature": False},
    {"name": "weight", "title": "Weight", "help": "In grams.", "kind": "integer", "valid": {"minimum": 0}},
    {"name": "sugar", "title": "Sugar", "help": "In percent.", "kind": "number", "nullable": True},
    {
        "name": "colour",
        "title": "Colour",
        "help": "Of the skin.",
        "kind": "category",
        "nullable": True,
        "expected": {"categories": COLOURS},
    },
]
_PARTS = {
    "name": "fruit",
    "title": "Fruit",
    "description": "Is it ripe?",
    "task": "binary",
    "target": {"name": "ripe", "title": "Ripe", "positive": "yes", "negative": "no"},
    "columns": COLUMNS,
}


def made_row(number: int, chance: random.Random) -> tuple[dict[str, Any], str]:
    """A record whose label follows from its weight, its colour and some luck."""
    colour = chance.choice([*COLOURS, None])
    weight = chance.randint(50, 250)
    sugar = None if chance.random() < 0.1 else round(chance.uniform(5, 15), 1)
    ripe = weight / 50 + (2 if colour == "red" else 0) + chance.gauss(0, 1) > 4
    return {"number": number, "weight": weight, "sugar": sugar, "colour": colour}, "yes" if ripe else "no"


def made_rows(count: int, *, first: int = 0, seed: int = 1) -> LabelledRows:
    chance = random.Random(seed)
    pairs = [made_row(first + index, chance) for index in range(count)]
    return LabelledRows([record for record, _ in pairs], [label for _, label in pairs])


def as_text(rows: LabelledRows, *, dot: str = "") -> str:
    """Rows as the raw files hold them: no header, a comma and a blank between fields, ``?`` for missing."""
    lines = []
    for record, label in zip(rows.records, rows.labels, strict=True):
        fields = ["?" if value is None else str(value) for value in record.values()]
        lines.append(", ".join([*fields, f"{label}{dot}"]))
    return "\n".join(lines) + "\n\n"


@dataclass(frozen=True)
class RawFiles:
    """What a case's raw files hold, and what that makes the case file say."""

    train: bytes = as_text(made_rows(TRAIN_ROWS)).encode()
    test: bytes = b"|a line that is no record\n" + as_text(made_rows(TEST_ROWS, first=1000, seed=2), dot=".").encode()

    def write(self, folder: Path) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "fruit.data").write_bytes(self.train)
        (folder / "fruit.test").write_bytes(self.test)
        return folder

    def case(self, **changes: Any) -> Case:
        return case_from_dict({**_PARTS, "data": self._data(), **changes}, subject="made case")

    def _data(self) -> dict[str, Any]:
        files: Sequence[tuple[str, str, bytes, int, str | None]] = (
            ("fruit.data", "train", self.train, TRAIN_ROWS, None),
            ("fruit.test", "test", self.test, TEST_ROWS, "."),
        )
        return {
            "citation": "Made up.",
            "files": [
                {
                    "name": name,
                    "role": role,
                    "url": f"http://made.up/{name}",
                    "sha256": digest(content),
                    "rows": rows,
                    "target_suffix": suffix,
                }
                for name, role, content, rows, suffix in files
            ],
            "format": {
                "header": False,
                "fields": ["number", "weight", "sugar", "colour", "ripe"],
                "missing": ["?"],
                "comment_prefix": "|",
            },
            "split": {"fit_and_validation": 250, "reference": 100, "gate_rows": 30},
        }


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def made_case() -> Case:
    return RawFiles().case()


def regression_case() -> Case:
    """The same fruit with its price to predict; a fifth of the train rows is held out for testing."""
    data = {
        "citation": "Made up.",
        "files": [{"name": "fruit.csv", "role": "train", "url": "http://made.up", "sha256": "0" * 64, "rows": 400}],
        "format": {"header": True, "missing": [""]},
        "split": {"test_share": 0.2, "fit_and_validation": 200, "reference": 60, "gate_rows": 30},
    }
    target = {"name": "price", "title": "Price", "unit": "cents"}
    content = {**_PARTS, "name": "fruit-prices", "task": "regression", "target": target, "data": data}
    return case_from_dict(content, subject="made case")


def priced_rows(count: int) -> LabelledRows:
    """Rows of the regression case: heavier and red is dearer."""
    rows = made_rows(count)
    prices = [record["weight"] * 3.5 + (100 if record["colour"] == "red" else 0) + 10.25 for record in rows.records]
    return LabelledRows(rows.records, prices)


def no_network(url: str) -> bytes:
    raise TryAgainLaterError(f"{url} can't be downloaded (no network)")


class MemoryTracker:
    """Training runs in memory."""

    def __init__(self) -> None:
        self.runs: list[RunRecord] = []

    def record(self, experiment: str, run: RunRecord) -> str:
        self.runs.append(run)
        return f"{experiment}-{len(self.runs)}"


class OpenGate:
    """A quality gate that every row passes; its results are an empty folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.inspected: list[Mapping[Part, LabelledRows]] = []

    def inspect(self, case: Case, parts: Mapping[Part, LabelledRows]) -> Inspection:
        self._folder.mkdir(parents=True, exist_ok=True)
        self.inspected.append(parts)
        return Inspection(tried=1, unmet=[], folder=self._folder)


def write_sample(case: Case, path: Path) -> Path:
    import msgspec

    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.encode(fit_sample(case, made_rows(TRAIN_ROWS), {})))
    return path


def made_parts(folder: Path, *, data_dir: Path | None = None, fetch: Fetch = no_network) -> FlowParts:
    """Training's parts below ``folder``, with the registry and the tracker in memory."""
    return FlowParts(
        registry=MemoryRegistry(),
        tracker=MemoryTracker(),
        bundles=BundleStore(folder / "bundles"),
        fetch=fetch,
        places=DataLocations(data_dir, folder / "downloads", folder / "samples" / "fruit.json"),
        quality=OpenGate(folder / "quality"),
        splits_dir=folder / "splits",
    )


def silent() -> Callable[[str], None]:
    return lambda _: None
