"""The relay to MongoDB against a bare loop of ``insert_many`` with the same documents, on one server, in one run.

    python -m benchmarks.mongo_sink [--mongo mongodb://127.0.0.1:27017]

A journal with predictions (drawn from the committed synthetic sample) is delivered by the relay that the sidecar runs:
read from SQLite, decoded, stored, looked up among what was erased, cursor written. The bare loop has its documents in
memory already. Both write batches of the same length into a collection of their own; the pairs alternate, and which
comes first does too. Prints documents per second and the median of the ratios.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from benchmarks.parts import mongo_server
from event_backbone.case.files import find_case
from event_backbone.case.schema import Case
from event_backbone.events.schema import ModelRef, Prediction, content_hash, utc_now
from event_backbone.mongodb.access import mongo_access
from event_backbone.mongodb.documents import document_of
from event_backbone.mongodb.sink import MongoSink
from event_backbone.prediction_log.journal_layout import entry_of
from event_backbone.settings import ConnectionSettings
from prediction_service.delivery.cursors import RelayState
from prediction_service.delivery.relay import Relay
from prediction_service.journal.reader import JournalReader
from prediction_service.journal.writer import Journal
from training.data.synthetic import load_sample

LEAST_RATIO = 0.5


def made_predictions(case: Case, count: int) -> list[Prediction]:
    records = load_sample(Path("cases") / "samples" / f"{case.name}.json", case).draw(count, 1).records
    return [
        Prediction(
            record_id=f"r-{number}",
            case=case.name,
            case_sha256=case.sha256,
            record=dict(record),
            prediction=str(case.target.positive),
            score=0.75,
            model=ModelRef(f"streamgauge-{case.name}", "1"),
            bundle_sha256="b" * 64,
            predicted_at=utc_now(),
            content_hash=content_hash(record),
        )
        for number, record in enumerate(records)
    ]


class Bench:
    def __init__(self, folder: Path, url: str, case: Case, count: int, batch_rows: int) -> None:
        from pymongo import MongoClient

        self._folder = folder
        self._url = url.rstrip("/")
        self._client: MongoClient[dict[str, Any]] = MongoClient(url)
        self._case = case
        self._batch_rows = batch_rows
        self._runs = 0
        self._predictions = made_predictions(case, count)
        self._journal = folder / "journal.sqlite"
        with closing(Journal(self._journal, max_bytes=2**40)) as journal:
            for start in range(0, count, 1000):
                journal.append([entry_of(one) for one in self._predictions[start : start + 1000]])

    def pair(self, *, bare_first: bool) -> tuple[float, float]:
        """Documents per second: bare, relayed."""
        if bare_first:
            return self.bare(), self.relayed()
        relayed = self.relayed()
        return self.bare(), relayed

    def bare(self) -> float:
        stored_at = datetime.now(UTC)
        documents = [document_of(one, stored_at) for one in self._predictions]
        with self._database() as name:
            collection = self._client[name][f"{self._case.name}.predictions"]
            started_at = time.perf_counter()
            for start in range(0, len(documents), self._batch_rows):
                collection.insert_many(documents[start : start + self._batch_rows])
            return len(documents) / (time.perf_counter() - started_at)

    def relayed(self) -> float:
        with self._database() as name, ExitStack() as stack:
            access = mongo_access(f"{self._url}/{name}", ConnectionSettings(), timeout_s=60)
            sink = stack.enter_context(closing(MongoSink(access, self._case.name)))
            reader = stack.enter_context(closing(JournalReader(self._journal)))
            state = stack.enter_context(closing(RelayState(self._folder / f"{name}.sqlite", [sink.name])))
            relay = Relay(reader, state, sink, batch_rows=self._batch_rows)
            started_at = time.perf_counter()
            while relay.deliver_once():
                continue
            seconds = time.perf_counter() - started_at
            kept = self._client[name][f"{self._case.name}.predictions"].estimated_document_count()
            assert kept == len(self._predictions), f"{kept} documents are there"
            return len(self._predictions) / seconds

    @contextmanager
    def _database(self) -> Iterator[str]:
        """A fresh one, dropped behind."""
        self._runs += 1
        name = f"bench-{self._runs}"
        self._client.drop_database(name)
        try:
            yield name
        finally:
            self._client.drop_database(name)

    def close(self) -> None:
        self._client.close()


def shown(name: str, rates: Sequence[float]) -> str:
    return f"{name:13}{statistics.median(rates):8.0f} documents/s  ({min(rates):.0f} to {max(rates):.0f})"


@click.command()
@click.option("--case", "case_name", default="census", show_default=True)
@click.option("--count", default=20_000, show_default=True, help="predictions in one run")
@click.option("--pairs", default=5, show_default=True)
@click.option("--batch-rows", default=500, show_default=True, help="as RELAY_BATCH_ROWS")
@click.option("--mongo", help="URL of a server to use instead of starting one, without a database")
def main(case_name: str, count: int, pairs: int, batch_rows: int, mongo: str | None) -> None:
    """Throughput of the relay to MongoDB; exits 1 below half of a bare loop's."""
    with tempfile.TemporaryDirectory() as folder, mongo_server(Path(folder), mongo) as url:
        case = find_case(case_name, Path("cases"))
        with closing(Bench(Path(folder), url, case, count, batch_rows)) as bench:
            bench.pair(bare_first=True)  # warms the server
            measured = [bench.pair(bare_first=number % 2 == 0) for number in range(pairs)]
    ratios = [relayed / bare for bare, relayed in measured]
    print(shown("insert_many", [bare for bare, _ in measured]))
    print(shown("relay", [relayed for _, relayed in measured]))
    print(f"ratio        {statistics.median(ratios):8.2f}  ({', '.join(f'{ratio:.2f}' for ratio in ratios)})")
    sys.exit(0 if statistics.median(ratios) >= LEAST_RATIO else 1)


if __name__ == "__main__":
    main()
