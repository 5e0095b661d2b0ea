"""Messages into records: identity, versions and faults."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prediction_world import made_case, made_record

from event_backbone.case.records import RecordDecoder
from event_backbone.decoding.json_bounds import MOST_DEPTH
from event_backbone.ports import Partition, Received
from prediction_service.worker.records import RecordReader, RejectedMessageError

CASE = made_case()
READER = RecordReader(CASE)


def message(
    value: dict[str, Any] | bytes | None, key: str | None = "r1", headers: tuple[tuple[str, bytes], ...] = ()
) -> Received:
    body = json.dumps(value).encode() if isinstance(value, dict) else value
    return Received(Partition("garden.records", 3), 41, 0, None if key is None else key.encode(), body, headers)


def rejected(received: Received) -> RejectedMessageError:
    with pytest.raises(RejectedMessageError) as error:
        READER.read(received)
    return error.value


def test_the_key_is_the_record_id() -> None:
    assert READER.read(message(made_record())).record_id == "r1"
    assert READER.read(message({**made_record(), "record_id": "r1"})).record_id == "r1"


def test_without_a_key_the_body_says_the_record_id() -> None:
    assert READER.read(message({**made_record(), "record_id": "own"}, key=None)).record_id == "own"


def test_without_both_the_place_is_the_record_id() -> None:
    assert READER.read(message(made_record(), key=None)).record_id == "garden.records-3-41"


def test_a_replayed_record_that_came_without_key_keeps_the_id_it_would_have_had() -> None:
    replayed = (("dl_id", b"garden.records-3-7"),)
    assert READER.read(message(made_record(), "garden.records-3-7", replayed)).record_id == "garden.records-3-7"
    own = message({**made_record(), "record_id": "own"}, "garden.records-3-7", replayed)
    assert READER.read(own).record_id == "own"


def test_a_key_that_the_body_contradicts_is_a_fault() -> None:
    error = rejected(message({**made_record(), "record_id": "other"}))
    assert (error.reason, [fault.place for fault in error.faults]) == ("key", ["record_id"])


@pytest.mark.parametrize("key", ["", "white space", "x" * 129, "ä"])
def test_a_key_that_is_no_record_id_is_a_fault(key: str) -> None:
    assert rejected(message(made_record(), key)).reason == "key"


@pytest.mark.parametrize("extra", [{"schema_version": 1}, {"case_sha256": "0" * 64}, {"schema_version": None}])
def test_a_record_may_say_what_it_was_written_for(extra: dict[str, Any]) -> None:
    record = READER.read(message({**made_record(), **extra}))
    assert {name: getattr(record, name) for name in CASE.column_names} == made_record()


@pytest.mark.parametrize("version", [2, "1", 1.5, []])
def test_another_schema_version_is_a_reason_of_its_own(version: object) -> None:
    assert rejected(message({**made_record(), "schema_version": version})).reason == "schema_version"
    assert rejected(message({"schema_version": version})).reason == "schema_version"


@pytest.mark.parametrize("value", [None, b"", b"no json", b"\xff", b"[]", b"[" * (MOST_DEPTH + 1)])
def test_what_is_no_object_is_refused(value: bytes | None) -> None:
    assert rejected(message(value)).reason in ("json", "record")


def test_every_fault_is_named() -> None:
    error = rejected(message({**made_record(), "leaves": -1, "soil": 5, "colour": "red", "flowers": "yes"}))
    assert error.reason == "record"
    assert {(fault.place, fault.reason) for fault in error.faults} == {
        ("leaves", "range"),
        ("soil", "type"),
        ("colour", "unknown"),
        ("flowers", "target"),
    }


@given(
    st.dictionaries(st.sampled_from([*CASE.column_names, "case_sha256", "x"]), st.none() | st.integers() | st.text())
)
def test_it_takes_what_the_http_route_takes_and_nothing_else(payload: dict[str, Any]) -> None:
    plain = {name: value for name, value in payload.items() if name != "case_sha256"}
    try:
        RecordDecoder(CASE).convert(plain)
        valid = True
    except Exception:  # the route's own refusal
        valid = False
    if isinstance(payload.get("case_sha256"), int):
        return
    if valid:
        READER.read(message(payload))
    else:
        rejected(message(payload))
