"""Every decoder of what comes from outside, by name."""

from __future__ import annotations

from pathlib import Path

from fuzzed_decoder import Decoder
from fuzzed_in_files import in_files
from fuzzed_of_peers import of_peers
from fuzzed_over_http import over_http
from fuzzed_over_kafka import over_kafka
from fuzzed_services import of_services

HTTP = (
    *("record", "label", "batch", "answer to a batch", "answer to labels", "decision", "erasure order"),
    *("request for a retraining", "alerts", "events", "form", "query", "number of a query", "headers", "Retry-After"),
)
KAFKA = (
    *("Kafka event", "CloudEvents headers", "Kafka record", "dead letter", "messages for the inbox"),
    "recorded messages",
)
FILES = (
    *("case file", "scenarios", "expectations", "keys", "CSV", "new records in CSV", "new records in NDJSON"),
    *("manifest", "encoder", "decision threshold", "golden rows", "ONNX files outside"),
    *("recorded lines", "rows of a stream", "rows of a split", "books", "replay state"),
    *("synthetic sample", "origin of rows", "history of runs"),
)
CURSORS = ("cursor of a journal", "cursor of MongoDB", "cursor of lines", "cursor of topics")
PEERS = (
    *("receipt of monitoring", "answer to an erasure", "answer to erasures", "kept prediction"),
    *("runs of the training server", "state of monitoring", "answer to a record", "documents of the check"),
    *("line of a training run", "frame", "body of a frame"),
    *("row of a journal", "document of MongoDB", "reference profile", "accepted references", "state of the inbox"),
    *("points of the inbox", "alerts of the inbox", "pointer to a bundle", "note of the sidecar"),
    *("settings", "addresses", "options of commands", "text on a page", "page of a report"),
)
SERVICES = ("request", "events into the inbox", "bundle that serves", "answer of MLflow")
NAMES = (*HTTP, *KAFKA, *FILES, *CURSORS, *PEERS, *SERVICES)


def decoders_in(folder: Path) -> dict[str, Decoder]:
    """All of them; what they read from files is written below ``folder``."""
    return {**over_http(folder), **over_kafka(folder), **in_files(folder), **of_peers(folder), **of_services(folder)}
