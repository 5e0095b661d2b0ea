"""Two readings of "valid" that must agree: the compiled decoder's and the one that names every fault."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from prediction_world import made_case, made_record

from event_backbone.case.files import load_case
from event_backbone.case.records import LARGEST_EXACT_INTEGER, Record, RecordDecoder, faults_in
from event_backbone.case.schema import Case, Column
from event_backbone.decoding.json_bounds import MOST_DEPTH
from event_backbone.decoding.lenient_json import decode_lenient
from event_backbone.errors import RejectedError

CASES_DIR = Path(__file__).parents[4] / "cases"
CASES = {
    "census": load_case(CASES_DIR / "census.yaml"),
    "housing": load_case(CASES_DIR / "housing.yaml"),
    "garden": made_case(),
}
GARDEN = CASES["garden"]
DECODERS = {name: RecordDecoder(case) for name, case in CASES.items()}


# What is sent ---------------------------------------------------------------------------------------------------------


class Text(str):
    """JSON as it stands on the wire, for what ``json.dumps`` would never write."""

    __slots__ = ()


def _as_json(value: object) -> str:
    return value if isinstance(value, Text) else json.dumps(value, ensure_ascii=False)


def body_of(pairs: Sequence[tuple[object, object]]) -> bytes:
    """An object with these members, in order, repeated names and all."""
    members = ", ".join(f"{_as_json(name)}: {_as_json(value)}" for name, value in pairs)
    return f"{{{members}}}".encode("utf-8", "surrogatepass")


def valid_values(column: Column) -> st.SearchStrategy[Any]:
    low, high = column.valid.minimum, column.valid.maximum
    if column.is_category:
        unseen = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=column.valid.max_length)
        values: st.SearchStrategy[Any] = st.sampled_from(column.categories) | unseen
    elif column.kind == "integer":
        values = st.integers(
            int(-LARGEST_EXACT_INTEGER if low is None else low), int(LARGEST_EXACT_INTEGER if high is None else high)
        )
    else:
        whole = st.integers(int(-1e9 if low is None else low + 1), int(1e9 if high is None else high))
        values = st.floats(low, high, allow_nan=False, allow_infinity=False) | whole
    return st.none() | values if column.nullable else values


RECORD_IDS = st.none() | st.from_regex(r"(?!\.\.?\Z)[A-Za-z0-9._:~-]{1,128}", fullmatch=True)
RAW = st.sampled_from(
    [
        *("NaN", "Infinity", "-Infinity", "1e400", "-1e400", "1e-400", "-0", "-0.0", "5.0", "1e2", "0.1e1"),
        *("1" * 5000, "-" + "1" * 5000, "1" * 310, "9007199254740993", "9007199254740992", "250.25000000000003"),
        *(
            '"\\ud800"',
            '"\\udc00 x"',
            '"\\ud83d\\ude00"',
            '"\\u0000"',
            '"\\/"',
            '"\\x"',
            '"\t"',
            "01",
            "+1",
            ".5",
            "5.",
        ),
        *(
            "nul",
            "true",
            "[1,]",
            "{}",
            "[" * (MOST_DEPTH - 1) + "]" * (MOST_DEPTH - 1),
            "[" * MOST_DEPTH + "]" * MOST_DEPTH,
            '{"a": {"a": NaN}}',
            "",
        ),
        *("\ufeff1", "'x'", "/**/1", '"\ud800"'),
    ]
).map(Text)
ANYTHING = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=200)
    | st.lists(st.integers(), max_size=3)
    | st.dictionaries(st.text(max_size=3), st.integers(), max_size=3)
    | RAW
)


@st.composite
def valid_pairs(draw: st.DrawFn, case: Case) -> list[tuple[object, object]]:
    pairs: list[tuple[object, object]] = [(column.name, draw(valid_values(column))) for column in case.columns]
    if draw(st.booleans()):
        pairs.append(("record_id", draw(RECORD_IDS)))
    return draw(st.permutations(pairs))


@st.composite
def spoiled_pairs(draw: st.DrawFn, case: Case) -> list[tuple[object, object]]:
    """Valid members with one to four changes; some changes leave them valid."""
    pairs = draw(valid_pairs(case))
    names = st.sampled_from([*case.column_names, "record_id"])
    unknown = st.sampled_from(["", case.target.name, case.column_names[0].upper(), "x" * 300]) | st.text(max_size=5)
    for _ in range(draw(st.integers(1, 4))):
        change = draw(st.sampled_from(["replace", "remove", "add", "repeat", "odd name"]))
        if change == "remove" and pairs:
            pairs.pop(draw(st.integers(0, len(pairs) - 1)))
        elif change == "replace" and pairs:
            index = draw(st.integers(0, len(pairs) - 1))
            pairs[index] = (pairs[index][0], draw(ANYTHING))
        elif change == "repeat":
            pairs.insert(draw(st.integers(0, len(pairs))), (draw(names), draw(ANYTHING)))
        elif change == "odd name":
            pairs.append((Text(draw(st.sampled_from(['"\\ud800"', '"\\u0061"', "NaN", "1", ""]))), 1))
        else:
            pairs.append((draw(unknown), draw(ANYTHING)))
    return pairs


# The property ---------------------------------------------------------------------------------------------------------


def refuses(decoder: RecordDecoder, body: bytes) -> bool:
    try:
        decoder.decode_trusted(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return True
    return False


def assert_the_two_agree(name: str, body: bytes) -> None:
    faults = DECODERS[name].faults_in_body(body) if refuses(DECODERS[name], body) else []
    assert [fault for fault in faults if fault.reason == "invalid"] == []
    if faults:
        with pytest.raises(RejectedError) as refused:
            DECODERS[name].decode(body)
        assert list(refused.value.faults) == faults
        msgspec.json.encode([fault.place + fault.message for fault in faults])  # what is named can be answered
    else:
        DECODERS[name].decode(body)
        assert faults_named(name, body) == []


def faults_named(name: str, body: bytes) -> list[str]:
    """What the slow reading names, however the fast one took it; the fallback's word means that it found nothing."""
    return [fault.place for fault in DECODERS[name].faults_in_body(body) if fault.reason != "invalid"]


thorough = settings(max_examples=120, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])


@pytest.mark.parametrize("name", CASES)
@thorough
@given(data=st.data())
def test_what_is_valid_is_taken_and_nothing_is_named(name: str, data: st.DataObject) -> None:
    pairs = data.draw(valid_pairs(CASES[name]))
    body = body_of(pairs)
    record = DECODERS[name].decode(body)
    assert faults_named(name, body) == []
    assert msgspec.structs.asdict(record) == {"record_id": None, **dict(pairs)}


@pytest.mark.parametrize("name", CASES)
@thorough
@given(data=st.data())
def test_the_decoder_refuses_exactly_what_has_a_named_fault(name: str, data: st.DataObject) -> None:
    assert_the_two_agree(name, body_of(data.draw(spoiled_pairs(CASES[name]))))


@pytest.mark.parametrize("name", CASES)
@thorough
@given(data=st.data())
def test_they_agree_on_bytes_that_were_damaged(name: str, data: st.DataObject) -> None:
    body = bytearray(body_of(data.draw(valid_pairs(CASES[name]))))
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(body)))
        body[start : start + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=3))
    assert_the_two_agree(name, bytes(body))


@thorough
@example(b"")
@example(b"\xef\xbb\xbf{}")
@example('{"leaves": 1}'.encode("utf-16"))
@example(b"[" * (MOST_DEPTH + 1))
@example(b'{"a":' * 100_000)
@given(st.binary(max_size=40) | st.text(max_size=40).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_they_agree_on_any_bytes(body: bytes) -> None:
    assert_the_two_agree("garden", body)


def outcome(read: Callable[[], Record]) -> object:
    """The record, or the faults."""
    try:
        return read()
    except RejectedError as error:
        return error.faults


@thorough
@given(data=st.data())
def test_a_form_is_judged_as_the_same_json_is(data: st.DataObject) -> None:
    values = {column.name: data.draw(valid_values(column) | st.floats() | st.integers()) for column in GARDEN.columns}
    body = body_of(list(values.items()))
    decoder = DECODERS["garden"]
    assert outcome(lambda: decoder.convert(values)) == outcome(lambda: decoder.decode(body))


# What the faults say --------------------------------------------------------------------------------------------------


def reasons(**changes: Any) -> dict[str, str]:
    payload = {name: value for name, value in made_record(1, **changes).items() if value is not ...}
    return {fault.place: fault.reason for fault in faults_in(GARDEN, payload)}


def test_every_fault_is_listed_by_field_in_the_order_of_the_case_file() -> None:
    payload = made_record(1, record_id="no spaces", leaves="many", height=0, soil="", flowers="yes", extra=1)
    del payload["plot"]
    assert [(fault.place, fault.reason) for fault in faults_in(GARDEN, payload)] == [
        ("record_id", "format"),
        ("leaves", "type"),
        ("plot", "missing"),
        ("height", "range"),
        ("soil", "length"),
        ("extra", "unknown"),
        ("flowers", "target"),
    ]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"leaves": True}, {"leaves": "type"}),
        ({"leaves": 5.0}, {"leaves": "type"}),
        ({"leaves": None}, {"leaves": "null"}),
        ({"leaves": -1}, {"leaves": "range"}),
        ({"leaves": 10**400}, {"leaves": "not_finite"}),
        ({"plot": LARGEST_EXACT_INTEGER + 1}, {"plot": "range"}),
        ({"height": float("nan")}, {"height": "not_finite"}),
        ({"drift_south": float("-inf")}, {"drift_south": "not_finite"}),
        ({"drift_south": 10**400}, {"drift_south": "not_finite"}),
        ({"drift_south": None}, {}),
        ({"soil": "unseen"}, {}),
        ({"soil": "x" * 13}, {"soil": "length"}),
        ({"soil": "half \ud800"}, {"soil": "format"}),
        ({"soil": ["clay"]}, {"soil": "type"}),
        ({"soil": None, "neighbour": None}, {"soil": "null"}),
        ({"record_id": 5}, {"record_id": "format"}),
        ({"record_id": "new\n"}, {"record_id": "format"}),
        ({"record_id": "x" * 129}, {"record_id": "format"}),
        ({"record_id": None}, {}),
        ({"flowers": "yes"}, {"flowers": "target"}),
    ],
)
def test_each_wrong_value_has_its_reason(changes: dict[str, Any], expected: dict[str, str]) -> None:
    assert reasons(**changes) == expected


def test_an_unknown_name_is_shown_cut_and_as_text_that_can_be_sent() -> None:
    assert reasons(**{"x" * 1000: 1, "\ud800": 1}) == {"x" * 64: "unknown", "?": "unknown"}


@pytest.mark.parametrize("payload", [[], [made_record()], "text", 5, None, True])
def test_only_an_object_is_a_record(payload: object) -> None:
    (fault,) = faults_in(GARDEN, payload)
    assert (fault.place, fault.reason) == ("(body)", "type")


def test_limits_are_written_out() -> None:
    case = made_case(columns=[{"name": "n", "title": "N", "help": "H.", "kind": "integer", "valid": {"maximum": 1e7}}])
    (fault,) = faults_in(case, {"n": 10_000_001})
    assert fault.message == "must be at most 10,000,000"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "is not valid JSON at character 0"),
        (b'{"leaves": 1;}', "is not valid JSON at character 12"),
        # Python 3.13 points at the comma, those before it at what follows.
        (b'{"leaves": 1,}', "is not valid JSON at character 1[23]"),
        (b'{"leaves": "\xff"}', "is not valid UTF-8"),
        (b"[" * (MOST_DEPTH + 1), "is nested too deeply: .*"),
    ],
)
def test_what_is_no_json_is_one_fault_of_the_body(body: bytes, message: str) -> None:
    (fault,) = DECODERS["garden"].faults_in_body(body)
    assert (fault.place, fault.reason) == ("(body)", "json")
    assert re.fullmatch(message, fault.message)


def test_each_value_of_a_repeated_name_must_be_valid_and_the_last_counts() -> None:
    pairs = list(made_record(1).items())
    assert DECODERS["garden"].decode(body_of([("leaves", 5), *pairs])).leaves == pairs[0][1]
    with pytest.raises(RejectedError, match="leaves: must be a number"):
        DECODERS["garden"].decode(body_of([("leaves", "many"), *pairs]))


def test_no_message_holds_a_value_of_the_record() -> None:
    payload = made_record(1, leaves="secret-1", soil="secret-2" * 9, record_id="secret 3", height="secret-4")
    assert "secret" not in str(RejectedError(faults_in(GARDEN, payload)))


def test_of_a_name_that_stands_twice_the_last_value_counts_also_where_it_is_decoded_already() -> None:
    body = body_of([("leaves", 1), *made_record(leaves=2).items()])
    payload, fault = decode_lenient(body)
    assert fault is None
    decoder = DECODERS["garden"]
    assert decoder.convert(payload) == decoder.decode(body)
    assert decoder.convert(payload).leaves == 2
