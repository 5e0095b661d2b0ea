"""Fuzzing itself: what fails, hangs or grows is told, on decoders made for it; and its table."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import fuzz_measuring
import pytest
from fuzz_measuring import MOST_GROWN_MB, Figures, measured
from fuzzed_decoder import Decoder
from fuzzed_inputs import Contents

from event_backbone.errors import RejectedError
from event_backbone.web.request_bodies import read_json
from tests import fuzz
from tests.fuzz import Run, newest, page, row_of, table


def figures_of(decode: Callable[[bytes], object], inputs: int = 300, good: bytes = b'{"a": [1, "b"]}') -> Figures:
    decoder = Decoder(decode, (RejectedError,), Contents([good]))
    return measured("made", decoder, inputs, 1, keep=lambda made: f"kept {len(made)}")


def test_what_is_taken_and_refused_is_counted() -> None:
    figures = figures_of(read_json)
    assert figures.is_well
    assert figures.accepted > 50
    assert figures.refused > 50
    assert figures.accepted + figures.refused == figures.inputs == 300


def test_the_same_seed_finds_the_same() -> None:
    first, second = figures_of(read_json), figures_of(read_json)
    assert (first.accepted, first.largest_bytes) == (second.accepted, second.largest_bytes)


def test_an_error_that_nobody_expects_is_told_once_for_each_place() -> None:
    def decode(content: bytes) -> object:
        if b"[" in content:
            raise KeyError("a")
        raise ValueError(content)

    figures = figures_of(decode)
    assert not figures.is_well
    assert figures.failed == 300
    assert [told.split(":")[0] for told in sorted(figures.failures)] == [
        "KeyError in test_fuzz_measuring.py",
        "ValueError in test_fuzz_measuring.py",
    ]
    assert all("kept " in told for told in figures.failures)


def test_a_refusal_as_long_as_what_was_sent_is_a_failure() -> None:
    def decode(content: bytes) -> object:
        raise BrokenPipeError(content.decode("latin-1") * 10_000)

    decoder = Decoder(decode, (OSError,), Contents([b"x" * 20]))
    assert measured("made", decoder, 20, 1, keep=repr).failed > 15


def test_an_input_that_takes_more_than_its_time_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fuzz_measuring, "MOST_SECONDS", 0.01)

    def decode(content: bytes) -> object:
        return sum(range(1_000_000 if content[:1] == b"[" else 1))

    figures = figures_of(decode, good=b"[1]")
    assert not figures.is_well
    assert "ms for" in figures.failures[0]


def test_an_input_whose_end_nobody_awaits_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fuzz_measuring, "_KILLED_AFTER_S", 0.2)
    monkeypatch.setattr(fuzz_measuring, "MOST_SECONDS", 0.1)

    def decode(content: bytes) -> object:
        while content:
            pass
        return None

    assert any("HangingError" in told for told in figures_of(decode, inputs=1, good=b"x" * 50).failures)


def test_what_grows_is_no_good_run() -> None:
    kept: list[bytes] = []
    figures = figures_of(lambda content: kept.append(content.ljust(200_000)))
    assert figures.grown_mb > MOST_GROWN_MB
    assert not figures.is_well


@pytest.mark.skipif(sys.version_info < (3, 12), reason="lines are watched from Python 3.12 on")
def test_inputs_that_reach_a_new_line_are_spoiled_again() -> None:
    assert figures_of(read_json).known > 1


# The table ------------------------------------------------------------------------------------------------------------

RUN = Run("2026-12-01T08:00:00+00:00", "3.13.0", "abc", Figures("record", 1000, 1, accepted=400, refused=600))


def run(**changes: Any) -> Run:
    return replace(RUN, figures=replace(RUN.figures, **changes))


def test_the_newest_run_of_each_seed_counts_and_small_ones_beside_a_large_one_do_not() -> None:
    runs = [run(accepted=1), run(), run(seed=2), run(seed=3, inputs=400), run(decoder="of before")]
    assert newest(runs) == {"record": [run(), run(seed=2)]}


def test_the_runs_of_one_decoder_are_a_line() -> None:
    line = row_of([run(slowest_ms=2.5, slowest_bytes=70, grown_mb=-1.0), run(seed=2, peak_mb=180.4, grown_mb=0.5)])
    assert line == "| record | 2,000 | 1, 2 | 0 | 800 | 1,200 | 0 | 2.5 ms (70) | 0 | +0.5 MB | 180 MB |"


def test_the_page_adds_up_what_it_shows() -> None:
    text = page([run(), run(seed=2, decoder="label")])
    assert "2,000 inputs for 2\ndecoders, 2026-12-01, Python 3.13.0, at `abc`." in text
    assert len(list(table([run(), run(seed=2)]))) == 3


def test_a_decoder_whose_process_dies_has_failed(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setattr(fuzz, "BOOKS", tmp_path / "books.jsonl")
    figures = fuzz.run_one("no such decoder", 1, 1).figures
    assert figures.failed == 1
    assert "its process ended with 1" in figures.failures[0]
