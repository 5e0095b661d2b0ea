"""Memory of a replica that is sent what it refuses, eight requests at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest
from prediction_process import PredictionProcess, running
from prediction_world import made_record

from event_backbone.decoding.json_bounds import MOST_DEPTH

AT_ONCE = 8
MOST_GROWTH_MB = 10.0
#: The limit of a body is 1 MiB; the other bodies are as large as a batch of some hundred records.
LARGEST_BYTES = 1024 * 1024
USUAL_LARGE_BYTES = 256 * 1024


def unknown_fields(size: int) -> bytes:
    """As many unknown fields as are counted, or fit."""
    fields = b",".join(b'"u%06d":0' % number for number in range(min(19_000, size // 12)))
    return (b"{" + fields + b"}").ljust(size)


def deep(size: int) -> bytes:
    return (b"[" * (MOST_DEPTH + 1) + b"]" * (MOST_DEPTH + 1)).ljust(size)


def lists(size: int) -> bytes:
    return (b'{"a":[' + b"[]," * min(9_000, size // 4) + b"0]}").ljust(size)


def long_text(size: int) -> bytes:
    return b'{"soil": "' + b"x" * (size - 12) + b'"}'


def repeated(size: int) -> bytes:
    return (b"{" + b",".join([b'"leaves":0'] * min(19_000, size // 12)) + b"}").ljust(size)


def bad_batch(size: int) -> bytes:
    record = b"{" + b",".join(b'"u%02d":0' % number for number in range(60)) + b"}"
    return b"[" + b",".join([record] * ((size - 2) // (len(record) + 1))) + b"]"


def too_many_lines(size: int) -> bytes:
    return b"{}\n" * (size // 3)


REFUSED: list[tuple[str, Callable[[int], bytes]]] = [
    ("/predict", deep),
    ("/predict", unknown_fields),
    ("/predict", lists),
    ("/predict", long_text),
    ("/predict", repeated),
    ("/predict/batch", deep),
    ("/predict/batch", bad_batch),
    ("/predict/batch", too_many_lines),
    ("/labels", bad_batch),
    ("/labels", too_many_lines),
    ("/predictions/erase", unknown_fields),
]


class Replica:
    def __init__(self, process: PredictionProcess) -> None:
        self._process = process
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text(encoding="ascii").split()
        self._worker = Path("/proc") / children[0]

    def send_at_once(self, path: str, body: bytes) -> set[int]:
        with ThreadPoolExecutor(AT_ONCE) as pool:
            return set(pool.map(lambda _: self._process.send("POST", path, body).status, range(AT_ONCE)))

    def forget_the_peak(self) -> None:
        (self._worker / "clear_refs").write_text("5", encoding="ascii")

    @property
    def memory_mb(self) -> float:
        return self._status("VmRSS")

    @property
    def peak_mb(self) -> float:
        return self._status("VmHWM")

    def _status(self, name: str) -> float:
        lines = (self._worker / "status").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:")) / 1024


@pytest.fixture(scope="module")
def replica(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replica]:
    """A replica that has answered as many good requests at once, single ones and batches."""
    with running(tmp_path_factory.mktemp("replica")) as process:
        replica = Replica(process)
        for _ in range(3):
            assert replica.send_at_once("/predict", msgspec.json.encode(made_record())) == {200}
            batch = msgspec.json.encode([made_record(seed) for seed in range(1000)])
            assert replica.send_at_once("/predict/batch", batch) == {200}
        yield replica


@pytest.mark.parametrize("most_bytes", [USUAL_LARGE_BYTES, LARGEST_BYTES])
def test_eight_requests_that_are_refused_leave_a_replica_as_large_as_it_was(replica: Replica, most_bytes: int) -> None:
    before_mb = replica.memory_mb
    grown = {}
    for path, body_of in REFUSED:
        replica.forget_the_peak()
        statuses = replica.send_at_once(path, body_of(most_bytes))
        assert statuses <= {200, 400, 422}, (path, body_of.__name__)
        # Eight of the largest bodies are eight MiB by themselves while they are read.
        used_mb = replica.peak_mb if most_bytes == USUAL_LARGE_BYTES else replica.memory_mb
        grown[path, body_of.__name__] = round(used_mb - before_mb, 1)
    print(grown)
    assert {what: mb for what, mb in grown.items() if mb > MOST_GROWTH_MB} == {}
