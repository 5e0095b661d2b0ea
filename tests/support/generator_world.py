"""A clock, a server and records for the generator's tests: no network, no waiting, no column named."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from event_backbone.case.files import case_from_dict
from event_backbone.case.schema import Case, Column
from stream_generator.scenario.records import StreamRow
from stream_generator.sending.retrying import NoAnswerError, ServiceAnswer

CASES = Path(__file__).parents[2] / "cases"


class FakeClock:
    """Time passes by waiting only."""

    def __init__(self) -> None:
        self.time = 1000.0
        self.waits: list[float] = []
        self._stop = threading.Event()

    @property
    def stopped(self) -> bool:
        return self._stop.is_set()

    def now(self) -> float:
        return self.time

    def wait(self, seconds: float) -> bool:
        if seconds > 0:
            self.waits.append(seconds)
            self.time += seconds
        return self.stopped

    def stop(self) -> None:
        self._stop.set()


class FakeServer:
    """Answers as the prediction service does; ``script`` holds what happens to the first requests instead."""

    def __init__(self, script: list[ServiceAnswer | NoAnswerError] | None = None) -> None:
        self.requests: list[tuple[str, Any]] = []
        self.script = script or []
        self.before_answer: Callable[[], None] = lambda: None
        self.closed = 0

    def post(self, path: str, body: bytes) -> ServiceAnswer:
        content = msgspec.json.decode(body)
        self.requests.append((path, content))
        self.before_answer()
        if self.script:
            outcome = self.script.pop(0)
            if isinstance(outcome, NoAnswerError):
                raise outcome
            return outcome
        if path == "/labels":
            return ServiceAnswer(202, msgspec.json.encode({"accepted": len(content)}))
        return ServiceAnswer(200, msgspec.json.encode({"record_id": content["record_id"], "score": 0.5}))

    def close(self) -> None:
        self.closed += 1

    def sent_to(self, path: str) -> list[Any]:
        return [content for called, content in self.requests if called == path]


def _made_value(column: Column, rng: np.random.Generator) -> Any:
    if column.nullable and rng.random() < 0.1:
        return None
    if column.is_category:
        return column.categories[int(rng.integers(len(column.categories)))]
    low, high = column.expected.minimum or 0.0, column.expected.maximum or 1.0
    # A tenth at the limits, where a shift could leave what is valid.
    value = high if rng.random() < 0.1 else rng.uniform(low, high)
    return int(value) if column.kind == "integer" else float(value)


def made_rows(case: Case, number: int, seed: int = 0) -> list[StreamRow]:
    """Valid records of a case with labels; every column independent of the others."""
    rng = np.random.default_rng(seed)

    def label() -> str | float | None:
        if case.is_binary:
            return case.target.positive if rng.random() < 0.3 else case.target.negative
        return float(rng.uniform(1, 500))

    return [
        StreamRow({column.name: _made_value(column, rng) for column in case.columns}, label()) for _ in range(number)
    ]


_COLUMNS = [
    {"name": "size", "title": "Size", "help": "h", "kind": "integer", "valid": {"minimum": 0, "maximum": 100}},
    {"name": "weight", "title": "Weight", "help": "h", "kind": "number", "nullable": True, "valid": {"minimum": 0}},
    {"name": "colour", "title": "Colour", "help": "h", "kind": "category", "expected": {"categories": ["blue", "red"]}},
]
_DATA = {
    "citation": "made",
    "files": [{"name": "a.csv", "role": "train", "url": "http://localhost/a", "sha256": "0" * 64, "rows": 1000}],
    "format": {"header": True},
    "split": {"test_share": 0.2, "fit_and_validation": 100, "reference": 100},
}


def toy_case(task: str = "binary") -> Case:
    """A whole-number, a nullable number and a category column."""
    target = {"name": "verdict", "title": "Verdict"} | (
        {"positive": "yes", "negative": "no"} if task == "binary" else {}
    )
    content = {"name": "toy", "title": "Toy", "description": "d", "task": task, "target": target}
    return case_from_dict({**content, "columns": _COLUMNS, "data": _DATA}, subject="toy")
