"""Inputs spoiled by chance, fast enough for millions of them: the same seed gives the same ones.

Half of what is structured is spoiled as a tree, so that it stays JSON or MessagePack and gets past the parser; the rest
is spoiled byte by byte.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Sequence
from typing import Any

import msgspec

#: How long an input may become; one in so many is made as large as its decoder takes.
USUAL_BYTES = 8192
_ONE_LARGE_IN, _ONE_DEEP_IN = 2000, 200
#: Brackets inside each other: beyond our limit, beyond Python's own, and beyond what a C stack holds.
_DEPTHS = (33, 40, 200, 1100, 20_000, 200_000)

TOKENS = (
    *(b"{", b"}", b"[", b"]", b'"', b",", b":", b"\\", b"\n", b"\r", b"\0", b"\xff", b"\xed\xa0\x80", b"\xef\xbb\xbf"),
    *(b"null", b"true", b"NaN", b"-Infinity", b"-0", b"1e999", b"9" * 400, b"9" * 5000, b"9007199254740993", b"1_0"),
    *(b'"\\ud800"', b"\\u0000", b"\xc2\x85", b"\xe2\x80\xa8", b"\x1b[31m", b"'", b"#", b"&a", b"*a", b"<<: *a"),
    *(b"!!int x", b"!!binary x", b"!!timestamp 1", b"2001-99-01", b"0x", b"0o9", b"1:60", b"- ", b"? ", b": ", b"%"),
    *(b"\x81", b"\xc1", b"\xc9", b"\xdc\xff\xff", b"\xd7\xff", b"\xc6\x7f\xff\xff\xff", b"..", b"/", b";", b"\t", b"~"),
    *(b"0001-01-01T00:00:00+14:00", b"9999-12-31T23:59:59-14:00", b"2026-01-01", b"24:00", b"\xd9\xa3", b"\xc2\xb2"),
    *(b"://", b"@", b"?", b"[::1]", b"[", b":99999", b"%2f", b"%00", b"\xf0\x9f\x98\x80", b"Bearer ", b"a" * 300),
)
#: What takes the place of a value in a tree. JSON alone can hold all of it.
VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2**31, 2**53 + 1, 2**63, -(2**63) - 1, 2**64, 10**308, 10**400, 10**4000),
    *(0.5, -0.0, 1e308, 5e-324, float("nan"), float("inf"), float("-inf")),
    *("", " ", ".", "..", "x", "yes", "1", "1_0", "\ud800", "\0", "\u2028", "\u0663", "a/b", "~", "=1+1", "<b>"),
    *("x" * 1000, "2026-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "2026-01-01", "2026-01-01T00:00:00+99:99"),
    *([], {}, [[]], [None], {"": None}, {"type": "label"}, ["x"] * 50),
)
#: What becomes a name in a tree.
_NEW_NAMES = ("x", "", "record_id", "type", "a" * 200, "\ud800", "format", "\0")
_BRACKETS = ((b"[", b"]"), (b'{"a":', b"}"), (b"{", b"}"), (b"\x91", b""), (b"\x81\xa1a", b""))
_FIELD = re.compile(rb'"[^"\\]{1,40}": ?[^,{}\[\]"]{1,40}|"[^"\\]{1,40}": ?"[^"]{0,40}"')
_DIGITS = re.compile(rb"\d+")


class Mutator:
    """Spoils inputs. Not thread-safe."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self._operations = (
            self._cut,
            self._put_token,
            self._put_bytes,
            self._flip,
            self._double,
            self._exchange,
            self._truncate,
            self._double_field,
            self._lengthen_number,
            self._splice,
        )

    def below(self, limit: int) -> int:
        """A whole number below ``limit``, which is at least 1."""
        return int(self.random.random() * limit)

    def one_in(self, number: int) -> bool:
        return self.random.random() * number < 1

    def any_of(self, choices: Sequence[Any]) -> Any:
        return choices[self.below(len(choices))]

    def _changes(self) -> int:
        """One for most inputs: what has many faults is refused for the first of them."""
        return 1 if self.one_in(2) else 1 + self.below(4)

    # Bytes ------------------------------------------------------------------------------------------------------------

    def spoil(self, content: bytes, others: Sequence[bytes], most_bytes: int = USUAL_BYTES) -> bytes:
        """A few changes; now and then only bytes of any kind, something very deep, or as much as is taken."""
        if self.one_in(50):
            return self.random.randbytes(self.below(200))
        for _ in range(self._changes()):
            content = self.any_of(self._operations)(content, others)
        content = content[:USUAL_BYTES]
        if self.one_in(_ONE_DEEP_IN):
            content = self._deepen(content)
        if self.one_in(_ONE_LARGE_IN):
            content = self._enlarge(content, most_bytes)
        return content[:most_bytes]

    def _span(self, content: bytes) -> tuple[int, int]:
        """Where a change is made; mostly a short part."""
        first = self.below(len(content) + 1)
        longest = len(content) - first
        return first, first + self.below((min(longest, 16) if self.one_in(2) else longest) + 1)

    def _cut(self, content: bytes, _others: Sequence[bytes]) -> bytes:
        first, last = self._span(content)
        return content[:first] + content[last:]

    def _put_token(self, content: bytes, _others: Sequence[bytes]) -> bytes:
        first, last = self._span(content)
        return content[:first] + self.any_of(TOKENS) + content[last if self.one_in(2) else first :]

    def _put_bytes(self, content: bytes, _others: Sequence[bytes]) -> bytes:
        first, last = self._span(content)
        return content[:first] + self.random.randbytes(1 + self.below(6)) + content[last if self.one_in(2) else first :]

    def _flip(self, content: bytes, _others: Sequence[bytes]) -> bytes:
        if not content:
            return content
        place = self.below(len(content))
        return content[:place] + bytes([content[place] ^ (1 << self.below(8))]) + content[place + 1 :]

    def _double(self, content: bytes, _others: Sequence[bytes]) -> bytes:
        first, last = self._span(content)
        return content[:last] + content[first:last] * (1 + self.below(3)) + content[last:]

    def _exchange(self, content: bytes, _others: Sequence[bytes]) -> bytes:
        places = sorted(self.below(len(content) + 1) for _ in range(4))
        a, b, c, d = places
        return content[:a] + content[c:d] + content[b:c] + content[a:b] + content[d:]

    def _truncate(self, content: bytes, _others: Sequence[bytes]) -> bytes:
        return content[: self.below(len(content) + 1)] if self.one_in(2) else content

    def _double_field(self, content: bytes, _others: Sequence[bytes]) -> bytes:
        found = _FIELD.search(content, self.below(len(content) + 1))
        return content if found is None else content[: found.start()] + found[0] + b"," + content[found.start() :]

    def _lengthen_number(self, content: bytes, _others: Sequence[bytes]) -> bytes:
        found = _DIGITS.search(content, self.below(len(content) + 1))
        if found is None:
            return content
        longer = found[0] * self.any_of((2, 5, 20, 200)) if self.one_in(2) else self.any_of((b"0", b"-1", b"1e400"))
        return content[: found.start()] + longer + content[found.end() :]

    def _splice(self, content: bytes, others: Sequence[bytes]) -> bytes:
        other = self.any_of(others) if others else content
        return content[: self.below(len(content) + 1)] + other[self.below(len(other) + 1) :]

    def _deepen(self, content: bytes) -> bytes:
        first, last = self._span(content)
        depth, (opened, closed) = self.any_of(_DEPTHS), self.any_of(_BRACKETS)
        end = closed * depth if self.one_in(2) else b""
        return content[:first] + opened * depth + content[first:last] + end + content[last:]

    def _enlarge(self, content: bytes, most_bytes: int) -> bytes:
        """A part of it, over and over."""
        first, last = self._span(content)
        part = content[first:last] or b"a"
        return content[:last] + part * (most_bytes // len(part)) + content[last:]

    # Trees ------------------------------------------------------------------------------------------------------------

    def spoil_tree(self, tree: Any, values: Sequence[Any] = VALUES) -> Any:
        """A copy with some values, names or elements changed, left out, added or put elsewhere."""
        for _ in range(self._changes()):
            tree = self._spoiled(tree, values)
        return tree

    def _spoiled(self, tree: Any, values: Sequence[Any]) -> Any:
        if not isinstance(tree, dict | list) or not tree or self.one_in(12):
            return self._replaced(tree, values)
        copy: Any = tree.copy()
        place = self.any_of(list(copy)) if isinstance(copy, dict) else self.below(len(copy))
        match self.below(10):
            case 0:
                del copy[place]
            case 1 if isinstance(copy, dict):
                copy[self.any_of(("x", "", "record_id", "type", "a" * 200, "\ud800", "format", "\0"))] = self.any_of(
                    values
                )
            case 1:
                copy.insert(place, self.any_of(values))
            case 2 if isinstance(copy, list) and len(copy) < 50:
                copy = copy * self.any_of((2, 3, 10))
            case _:
                copy[place] = self._spoiled(copy[place], values)
        return copy

    def _replaced(self, value: Any, values: Sequence[Any]) -> Any:
        match self.below(4):
            case 0 if isinstance(value, str):
                return self.spoil(value.encode(errors="replace"), ())[:2000].decode(errors="replace")
            case 0 if isinstance(value, int | float) and not isinstance(value, bool):
                return value * self.any_of((-1, 0, 10, 1000, 0.5)) if abs(value) < 1e100 else 1
            case 1:
                return [value] if self.one_in(2) else {"a": value}
        return self.any_of(values)


def as_json(tree: Any) -> bytes:
    """JSON, with whatever only lenient parsers take: NaN, halves of surrogate pairs, numbers of any length."""
    return json.dumps(tree).encode()


#: MessagePack has no numbers beyond 64 bits, and msgspec writes no halves of surrogate pairs.
MSGPACK_VALUES = tuple(
    value for value in VALUES if value != "\ud800" and not (isinstance(value, int) and not -(2**63) <= value < 2**64)
)


def as_msgpack(tree: Any) -> bytes:
    return msgspec.msgpack.encode(tree)
