"""Bounds of JSON from outside, checked before it is decoded.

Decoders recurse in C: how deep they may go before they raise, or end the process, differs by Python's version and the
stack of the thread. So no decoder that may meet arrays and objects of any depth gets a body that was not checked here.
One for a type of flat fields that forbids others needs no check: it ends at the first bracket that should not be there.
"""

from __future__ import annotations

import re

from event_backbone.errors import Fault

#: Arrays and objects inside each other. Nothing that is taken anywhere has more than six.
MOST_DEPTH = 32
#: Names and elements in one body, apart from batches: what they take in memory is ten times what they take as JSON.
MOST_VALUES = 20_000

TOO_DEEP = Fault("(body)", "json", f"is nested too deeply: at most {MOST_DEPTH} arrays and objects inside each other")

# A quantifier like ``++`` gives nothing back, a string without an end goes to the end, and what stands behind the last
# mark is a match as well: so time is linear, whatever comes.
_MARKS = re.compile(rb'(?:[^"\[\]{},]++|"(?:[^"\\]++|\\.)*+"?)*+([\[\]{},]?)', re.DOTALL)
_STEP = {b"[": 1, b"{": 1, b"]": -1, b"}": -1, b",": 0, b"": 0}
_AS_PARENTHESES = bytes.maketrans(b"[{]}", b"(())")
_NO_MARKS = bytes(set(range(256)) - set(b'"[{]}'))
_TEXTS = re.compile(rb'"[^"]*+"?')


def is_too_deep(body: bytes) -> bool:
    """Whether anything in a body, of one value or of several, is nested deeper than :data:`MOST_DEPTH`."""
    if body.count(b"[") + body.count(b"{") <= MOST_DEPTH:
        return False
    brackets = _brackets_outside_texts(body)
    # Each round takes away what is innermost. Where brackets don't match, what is left counts as open.
    for depth in range(MOST_DEPTH):
        if b"()" not in brackets:
            return depth + brackets.count(b"(") > MOST_DEPTH
        brackets = brackets.replace(b"()", b"")
    return b"(" in brackets


def _brackets_outside_texts(body: bytes) -> bytes:
    """Each bracket as a parenthesis; takes no more memory than the body, and no object for each of its texts."""
    if b"\\" in body:
        body = body.replace(rb"\\", b"").replace(rb"\"", b"")
    # Without what stands between them, texts are beside each other: two are one, and those without brackets are gone.
    marks = body.translate(_AS_PARENTHESES, _NO_MARKS).replace(b'""', b"")
    return _TEXTS.sub(b"", marks)


def fault_in_bounds(body: bytes) -> Fault | None:
    """The fault of one value, no batch, that is nested too deeply or holds too many values."""
    # Each value takes two bytes or more, but for the last one.
    if len(body) <= MOST_VALUES and body.count(b"[") + body.count(b"{") <= MOST_DEPTH:
        return None
    depth = 0
    for number, found in enumerate(_MARKS.finditer(body)):
        depth += _STEP[found[1]]
        if depth > MOST_DEPTH:
            return TOO_DEEP
        if number > MOST_VALUES:
            return Fault("(body)", "length", f"holds more than {MOST_VALUES:,} values")
    return None


def number_of_elements(array: bytes) -> int:
    """How many elements the JSON of an array has, without decoding them; for what is none, some number."""
    depth = commas = 0
    for found in _MARKS.finditer(array):
        depth += _STEP[found[1]]
        commas += depth == 1 and found[1] == b","
    return commas + 1
