"""Every decoder of what comes from outside: whatever comes is taken, or refused by the error that callers expect."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fuzzing
import pytest
from fuzz_measuring import measured
from fuzzed_decoder import Decoder
from fuzzed_decoders import NAMES, decoders_in
from mutations import Mutator

from event_backbone.decoding.json_bounds import MOST_DEPTH

ROOT = Path(__file__).parents[2]
PACKAGES = ("event_backbone", "prediction_service", "monitoring_service", "training", "stream_generator", "local_stack")
#: Where JSON is decoded without a look at its depth → why it need not be.
UNBOUNDED = {
    "event_backbone/decoding/bounded_json.py": "it is what looks",
    "event_backbone/decoding/lenient_json.py": "looks itself, and counts values",
    "event_backbone/web/request_bodies.py": "looks itself, and counts values",
    "event_backbone/kafka/wire.py": "looks itself, to say so",
    "event_backbone/case/records.py": "flat fields, and no others",
    "prediction_service/worker/records.py": "flat fields, and no others",
    "prediction_service/serving/batch_body.py": "looks itself",
    "stream_generator/recording/kafka.py": "looks itself",
    "monitoring_service/inbox/row_queries.py": "what was decoded within bounds before it was kept",
    "monitoring_service/checks/performance_windows.py": "written by the process that reads it",
    "monitoring_service/windows/segments.py": "texts by name, and nothing in them",
    "training/server/run_main.py": "written by the process that starts it",
    "stream_generator/books/digests.py": "what the generator sends itself",
}

#: Those that take several milliseconds for an input.
SLOW = {"bundle that serves", "answer of MLflow"}


@pytest.fixture(scope="module")
def decoders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Decoder]:
    return decoders_in(tmp_path_factory.mktemp("decoders"))


def check_of(decoder: Decoder) -> Callable[[Any], None]:
    def check(made: Any) -> None:
        decoder.takes(made)

    return check


def sources() -> Iterator[tuple[str, str]]:
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            yield str(path.relative_to(ROOT)), path.read_text(encoding="utf-8")


def test_whoever_expects_what_can_not_be_decoded_expects_text_that_is_no_utf8() -> None:
    """msgspec raises Python's own error for it, which is no ``DecodeError``."""
    forgotten = [
        f"{path}:{number}"
        for path, text in sources()
        for number, line in enumerate(text.splitlines(), 1)
        if re.search(r"(except|suppress\().*(msgspec\.DecodeError|MsgspecError)", line)
        and not re.search(r"UnicodeDecodeError|UnicodeError|ValueError", line)
    ]
    assert forgotten == []


def test_json_is_decoded_within_bounds_wherever_a_file_a_peer_or_a_store_may_hold_anything() -> None:
    """Deep JSON raises ``RecursionError``, which nobody expects, or ends the process."""
    unbounded = {
        path
        for path, text in sources()
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Call)
        and re.fullmatch(r"msgspec\.json\.(decode|Decoder)|json\.loads", ast.unparse(node.func))
    }
    assert unbounded == set(UNBOUNDED)


def test_every_decoder_is_tried(decoders: dict[str, Decoder]) -> None:
    assert set(NAMES) == set(decoders)


@pytest.mark.parametrize("name", NAMES)
def test_whatever_comes_is_taken_or_refused(decoders: dict[str, Decoder], name: str) -> None:
    """By hypothesis, which makes an input small that fails, and by the inputs of ``make fuzz``."""
    decoder = decoders[name]
    fuzzing.try_many(check_of(decoder), decoder.inputs.strategy(), 20)
    figures = measured(name, decoder, 200, seed=7, keep=repr)
    assert figures.failures == []
    assert figures.accepted + figures.refused == 200


@pytest.mark.parametrize("name", NAMES)
def test_a_good_input_of_each_is_taken(decoders: dict[str, Decoder], name: str) -> None:
    """Else what is spoiled would never get past the first line."""
    taken = [decoders[name].takes(good) for good in decoders[name].inputs.good]
    assert any(taken)


def test_the_same_seed_makes_the_same_inputs(decoders: dict[str, Decoder]) -> None:
    made = [[decoders["record"].inputs.spoiled(Mutator(seed), [b'{"a": 1}']) for _ in range(20)] for seed in (1, 1, 2)]
    assert made[0] == made[1] != made[2]


def test_inputs_are_deep_and_large_now_and_then(decoders: dict[str, Decoder]) -> None:
    mutator, inputs = Mutator(3), decoders["record"].inputs
    made = [inputs.spoiled(mutator, inputs.good) for _ in range(8_000)]
    assert max(one.count(b"[") for one in made) > 500 * MOST_DEPTH
    assert max(map(len, made)) == inputs.most_bytes


@pytest.mark.long
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("name", NAMES)
def test_whatever_comes_is_taken_or_refused_and_takes_no_memory(decoders: dict[str, Decoder], name: str) -> None:
    """As ``make fuzz`` tries it, with fewer inputs; and longer by hypothesis."""
    decoder, examples = decoders[name], fuzzing.long_examples() // (10 if name in SLOW else 1)
    figures = measured(name, decoder, examples, seed=1, keep=repr)
    assert figures.failures == []
    assert figures.is_well
    fuzzing.try_many(check_of(decoder), decoder.inputs.strategy(), examples // 25)
