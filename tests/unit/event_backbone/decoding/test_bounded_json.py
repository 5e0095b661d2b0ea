"""JSON of files, peers and stores: what is nested too deeply is refused as no JSON, wherever it stands."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from event_backbone.decoding.bounded_json import bounded_decoder, decode_bounded
from event_backbone.decoding.json_bounds import MOST_DEPTH
from event_backbone.errors import LONGEST_SHOWN


class Named(msgspec.Struct):
    name: str
    more: Any = None


class Tagged(msgspec.Struct, tag_field="kind", tag="a"): ...


class OtherTagged(msgspec.Struct, tag_field="kind", tag="b"): ...


def deep(levels: int, field: str) -> bytes:
    return b'{"name":"a","%s":%s1%s}' % (field.encode(), b"[" * levels, b"]" * levels)


@pytest.mark.parametrize("field", ["more", "unknown"])
@pytest.mark.parametrize("levels", [MOST_DEPTH, 1_000, 300_000])
def test_what_is_too_deep_is_refused_where_it_is_kept_and_where_it_is_passed_over(field: str, levels: int) -> None:
    for decode in (bounded_decoder(Named), lambda content: decode_bounded(content, Named)):
        with pytest.raises(msgspec.DecodeError, match="nested too deeply"):
            decode(deep(levels, field))


def test_what_is_as_deep_as_allowed_is_decoded() -> None:
    content = deep(MOST_DEPTH - 1, "more")
    assert bounded_decoder(Named)(content) == decode_bounded(content, Named) == msgspec.json.decode(content, type=Named)


@pytest.mark.parametrize("content", [b"", b"{", b'{"name": 1}', b'{"name": "\xff"}'])
def test_what_is_no_such_content_is_refused_as_ever(content: bytes) -> None:
    with pytest.raises((msgspec.DecodeError, UnicodeDecodeError)):
        bounded_decoder(Named)(content)


def test_what_is_said_of_a_content_is_short_whatever_stands_in_it() -> None:
    content = b'{"kind":"%s"}' % (b"x" * 100_000)
    with pytest.raises(msgspec.ValidationError) as refused:
        bounded_decoder(Tagged | OtherTagged)(content)
    assert str(refused.value).startswith("Invalid value 'xxx")
    assert len(str(refused.value)) == LONGEST_SHOWN
