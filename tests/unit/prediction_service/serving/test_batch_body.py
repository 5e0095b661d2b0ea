"""A batch's body into its elements."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from event_backbone.decoding.json_bounds import MOST_DEPTH
from event_backbone.errors import RejectedError
from prediction_service.serving.batch_body import split_batch

#: Texts that end somewhere, though some of them are no JSON or no valid record.
ELEMENTS = st.sampled_from(
    [
        *(b"{}", b"[]", b"[1, [2]]", b"null", b"-0.5e3", b"NaN", b"-Infinity", b'"],["', b'"\\"]"', rb'"\ud800"'),
        *(b'{"a": NaN}', b'{"a": 1, "a": "x"}', b'{"a": {"b": [Infinity, "}"]}}', b"1" * 5000),
    ]
)
BLANKS = st.sampled_from([b"", b" ", b"\n", b"\r\n\t "])


def reasons(body: bytes, at_most: int = 100) -> list[str]:
    with pytest.raises(RejectedError) as refused:
        split_batch(body, at_most=at_most)
    return [fault.reason for fault in refused.value.faults]


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.lists(st.tuples(BLANKS, ELEMENTS, BLANKS), min_size=1, max_size=6), BLANKS)
def test_every_element_comes_back_as_it_was_sent(parts: list[tuple[bytes, bytes, bytes]], around: bytes) -> None:
    body = around + b"[" + b",".join(b"".join(part) for part in parts) + b"]" + around
    assert split_batch(body, at_most=100) == [element for _, element, _ in parts]


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.text('[]{},:"\\NaN1 \n', max_size=12))
def test_what_is_no_array_is_refused(text: str) -> None:
    body = f"[{text}".encode()
    try:
        expected = json.loads(body)
    except ValueError:
        assert reasons(body) == ["json"]
    else:
        assert len(split_batch(body, at_most=100) if expected else []) == len(expected)


def test_lines_are_elements_and_empty_ones_do_not_count() -> None:
    assert split_batch(b'\n{"a": 1}\r\n\n  \n{', at_most=2) == [b'{"a": 1}', b"{"]


@pytest.mark.parametrize("body", [b"", b" \n", b"[]", b" [ ] "])
def test_an_empty_batch_is_refused(body: bytes) -> None:
    assert reasons(body) == ["missing"]


@pytest.mark.parametrize("body", [b"[1,2,3]", b"1\n2\n3", b"[NaN,2,3]"])
def test_more_than_the_bound_is_refused(body: bytes) -> None:
    assert len(split_batch(body, at_most=3)) == 3
    assert reasons(body, at_most=2) == ["length"]


@pytest.mark.parametrize(
    "body", [b"[" * (MOST_DEPTH + 1), b"[NaN" + b"[" * MOST_DEPTH, b"[NaN,]", b"[NaN] x", b"[NaN, \xff]"]
)
def test_no_array_breaks_the_reader(body: bytes) -> None:
    assert reasons(body) == ["json"]
