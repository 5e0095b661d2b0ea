"""Predictions as they reach monitoring, made of the real records of the stream split."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import msgspec
import numpy as np

from event_backbone.case.schema import Case
from event_backbone.errors import StopError
from event_backbone.events.schema import Envelope, ModelRef, Prediction, content_hash, encode_ndjson, utc_now
from event_backbone.model.bundle import BundleStore
from event_backbone.settings import Settings


class Stream:
    """Predictions made of the stream split's records, over and over with new ids."""

    def __init__(self, settings: Settings, case: Case) -> None:
        current = BundleStore(settings.bundles_dir).current()
        if current is None or not settings.stream_path.is_file():
            raise StopError(f"no bundle in {settings.bundles_dir}: run train-model first")
        self.case = case
        self.bundle_sha256 = current.bundle_sha256
        lines = settings.stream_path.read_bytes().splitlines()
        # One order that no file's order shows through.
        order = np.random.default_rng(1).permutation(len(lines))
        self.records: list[dict[str, Any]] = [msgspec.json.decode(lines[place])["record"] for place in order]
        self._answers = itertools.cycle([str(case.target.negative), str(case.target.positive)])
        self._numbers = itertools.count(1)

    def bodies(self, batch: int) -> Iterator[bytes]:
        while True:
            yield encode_ndjson([self._next() for _ in range(batch)])

    def _next(self) -> Envelope:
        number = next(self._numbers)
        record = self.records[number % len(self.records)]
        answer = next(self._answers) if self.case.is_binary else 1.0
        prediction = Prediction(
            record_id=f"bench-{number}",
            case=self.case.name,
            case_sha256=self.case.sha256,
            record=record,
            prediction=answer,
            score=number * 0.618034 % 1.0,
            model=ModelRef(f"streamgauge-{self.case.name}", "1"),
            bundle_sha256=self.bundle_sha256,
            predicted_at=utc_now(),
            content_hash=content_hash(record),
        )
        return Envelope("bench", number, prediction)
