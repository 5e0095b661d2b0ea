"""Bounds of JSON from outside."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from event_backbone.decoding.json_bounds import MOST_DEPTH, MOST_VALUES, fault_in_bounds, is_too_deep

MEBIBYTE = 1024 * 1024


def nested(depth: int, inner: str = "") -> str:
    return "[" * depth + inner + "]" * depth


def depth_of(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + max(map(depth_of, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(depth_of, value), default=0)
    return 0


TEXTS = st.text(st.sampled_from('[]{}",:\\ a\u00e9'), max_size=8)
VALUES = st.recursive(st.none() | st.integers() | TEXTS, lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner))


@given(VALUES, st.integers(0, 2 * MOST_DEPTH), st.booleans())
@example([], MOST_DEPTH - 1, False)
@example([], MOST_DEPTH, False)
@example({}, MOST_DEPTH, True)
def test_a_document_is_too_deep_when_it_is_deeper_than_the_limit(value: Any, around: int, objects: bool) -> None:
    for _ in range(around):
        value = {"]}": value, "x": "["} if objects else ["}]", value, "{"]
    body = json.dumps(value, ensure_ascii=False).encode()
    assert is_too_deep(body) is (depth_of(value) > MOST_DEPTH)
    assert (fault_in_bounds(body) is not None) is (depth_of(value) > MOST_DEPTH)


@given(
    st.lists(st.sampled_from(["[", "]", "{", "}", '"', "\\", ",", " ", "a", '"]"', '\\"']), max_size=300).map("".join)
)
def test_what_is_no_json_is_never_let_deeper_than_the_limit(text: str) -> None:
    """A decoder that reads on from the left is at no place deeper than there are brackets open outside strings."""
    depth = deepest = 0
    inside = escaped = False
    for character in text:
        if inside:
            inside, escaped = escaped or character != '"', character == "\\" and not escaped
        elif character == '"':
            inside = True
        else:
            depth += (character in "[{") - (character in "]}")
            deepest = max(deepest, depth)
    if deepest > MOST_DEPTH:
        assert is_too_deep(text.encode())
        assert fault_in_bounds(text.encode())


@pytest.mark.parametrize("lines", [1, 5, 2000])
def test_many_values_beside_each_other_are_not_deep(lines: int) -> None:
    assert not is_too_deep((nested(MOST_DEPTH) + "\n").encode() * lines)
    assert is_too_deep((nested(MOST_DEPTH) + "\n").encode() * lines + nested(MOST_DEPTH + 1).encode())


def test_values_are_counted_where_they_are_no_text() -> None:
    assert fault_in_bounds(b"[" + b"0," * (MOST_VALUES - 2) + b"0]") is None
    assert fault_in_bounds(b'["' + b"0," * (2 * MOST_VALUES) + b'"]') is None
    fault = fault_in_bounds(b"[" + b"0," * (MOST_VALUES + 1) + b"0]")
    assert fault is not None
    assert fault.reason == "length"


LONG = {
    "a long rest": nested(MOST_DEPTH).encode() * 2 + b" " * MEBIBYTE,
    "brackets": b"[]" * (MEBIBYTE // 2),
    "commas": b"," * MEBIBYTE,
    "quotes": b"[]" * MOST_DEPTH + b'"' * MEBIBYTE,
    "escaped quotes": b"[]" * MOST_DEPTH + b'"\\' * (MEBIBYTE // 2),
    "backslashes": b"[]" * MOST_DEPTH + b"\\" * MEBIBYTE,
    "a text without an end": b"[]" * MOST_DEPTH + b'"' + b"a" * MEBIBYTE,
    "texts": b"[]" * MOST_DEPTH + b'"\\"' * (MEBIBYTE // 3),
}


@pytest.mark.timeout(30)
@pytest.mark.parametrize("body", LONG.values(), ids=LONG.keys())
def test_the_time_it_takes_grows_with_the_length_alone(body: bytes) -> None:
    """A step back for each byte would take hours here."""
    is_too_deep(body)
    fault_in_bounds(body)
