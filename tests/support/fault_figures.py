"""What a scenario of the fault suite measured, handed to whoever runs it: to the fault table, or to nobody.

``FAULT_FIGURES`` names a file that is written when a test has passed its checks. Sizes that the table chooses by its
budget come from the environment as well, so that a scenario is one test, whoever runs it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from full_stack import LONG
from reconciliation import Sender
from replica import Replica

from event_backbone.events.schema import ModelRef
from stream_generator.books.digests import AnswerContent, answer_digest, record_digest
from stream_generator.books.file import BookedAnswer, BookedRecord, BookedRun, BooksWriter

#: Before any test, and before what a clock that was set back dates.
_BEFORE_ALL = "2000-01-01T00:00:00.000000Z"


def size(name: str, *, short: float, long: float) -> float:
    """How much of a fault is made: what the table asks for by ``FAULT_<name>``, else that of the form."""
    return float(os.environ.get(f"FAULT_{name}") or (long if LONG else short))


def note_figures(**figures: Any) -> None:
    """Say them, and hand them on."""
    print(", ".join(f"{name} {value}" for name, value in figures.items()))
    if path := os.environ.get("FAULT_FIGURES"):
        Path(path).write_text(json.dumps(figures))


def checked_by_the_command(replica: Replica, stores: Sequence[str], folder: Path, *clients: Sender) -> dict[str, int]:
    """What ``stream-generator check`` says of the clients' books at these stores: the numbers of its verdict."""
    books = folder / "faults.books"
    write_books(books, *clients)
    report = folder / "check.json"
    command = [sys.executable, "-m", "stream_generator", "check", str(books), *stores, "--report", str(report)]
    ended = subprocess.run(command, env=replica.environment, capture_output=True, text=True, timeout=600, check=False)
    print(ended.stdout, ended.stderr)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    found = json.loads(report.read_text())
    assert found["answered"] == sum(len(client.answers) for client in clients)
    totals = {what: sum(len(store[what]) for store in found["stores"]) for what in ("lost", "doubled", "differing")}
    return {"answered": found["answered"], **totals, "repeated": sum(store["repeated"] for store in found["stores"])}


def write_books(path: Path, *clients: Sender) -> None:
    """A client's books as the command reads them."""
    writer = BooksWriter(path)
    writer.write([BookedRun("faults", "shop", "faults", _BEFORE_ALL)])
    for client in clients:
        writer.write(BookedRecord(name, record_digest(record)) for name, record in client.records.items())
        writer.write(
            BookedAnswer(record_id, answer_digest(_content(answer)))
            for record_id, answers in client.answers.items()
            for answer in answers
        )
    writer.close()


def _content(answer: dict[str, Any]) -> AnswerContent:
    return AnswerContent(**{**answer, "model": ModelRef(**answer["model"])})
