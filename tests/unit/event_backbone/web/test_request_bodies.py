"""Bodies that people and scripts send."""

from __future__ import annotations

import contextlib
from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta, Struct, json

from event_backbone.decoding.json_bounds import MOST_DEPTH
from event_backbone.errors import RejectedError
from event_backbone.web.request_bodies import Name, Note, read_json, read_object


class Watering(Struct):
    by: Name
    litres: Annotated[float, Meta(gt=0, le=10)]
    note: Note = ""
    plant: Annotated[str, Meta(min_length=1)] | None = None


def faults(content: bytes) -> dict[str, str]:
    with pytest.raises(RejectedError) as refused:
        read_object(content, Watering)
    return {fault.place: fault.reason for fault in refused.value.faults}


def test_texts_are_taken_without_the_blanks_around_them() -> None:
    taken = read_object(b'{"by": " Ada ", "litres": 2, "plant": null}', Watering)
    assert taken == Watering("Ada", 2.0)


@pytest.mark.parametrize(
    ("sent", "named"),
    [
        ({}, {"by": "missing", "litres": "missing"}),
        ({"by": " ", "litres": 11, "pot": 1}, {"by": "length", "litres": "range", "pot": "unknown"}),
        ({"by": None, "litres": "2", "note": "n" * 1001}, {"by": "null", "litres": "type", "note": "length"}),
        ({"by": "Ada", "litres": True, "plant": ""}, {"litres": "type", "plant": "length"}),
        ([], {"(body)": "type"}),
    ],
)
def test_every_fault_is_named_at_once(sent: Any, named: dict[str, str]) -> None:
    assert faults(json.encode(sent)) == named


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b'{"by":"\xff"}', b"[" * (MOST_DEPTH + 1), b'{"by": NaN}'])
def test_what_is_no_json_is_one_fault(content: bytes) -> None:
    assert faults(content) == {"(body)": "json"}


def test_a_number_that_no_float_can_hold_is_a_fault() -> None:
    assert "litres" in faults(b'{"by": "Ada", "litres": ' + b"9" * 400 + b"}")


JSON = st.recursive(st.none() | st.booleans() | st.floats() | st.integers() | st.text(), st.lists)


@given(st.dictionaries(st.sampled_from(["by", "litres", "note", "plant", "pot"]), JSON))
def test_whatever_is_sent_is_taken_or_named(sent: dict[str, Any]) -> None:
    try:
        content = json.encode(sent)
    except (OverflowError, UnicodeEncodeError):
        return
    with contextlib.suppress(RejectedError):
        assert 0 < read_object(content, Watering).litres <= 10


@given(st.binary(max_size=50))
def test_whatever_bytes_come_are_json_or_refused(content: bytes) -> None:
    with contextlib.suppress(RejectedError):
        read_json(content)
