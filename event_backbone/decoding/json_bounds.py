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

_OPENING = frozenset((b"[", b"{"))
# What stands between two marks, strings included, is one step of the matcher. A quantifier that gives nothing back
# (``++``) keeps the time linear, and a string without an end goes to the end.
_BETWEEN = rb'(?:[^"\[\]{}%b]++|"(?:[^"\\]++|\\.)*+"?)*+'
_BRACKETS = re.compile(_BETWEEN % b"" + rb"([\[\]{}])", re.DOTALL)
_BRACKETS_AND_COMMAS = re.compile(_BETWEEN % b"," + rb"([\[\]{},])", re.DOTALL)


def is_too_deep(body: bytes) -> bool:
    """Whether anything in a body, of one value or of several, is nested deeper than :data:`MOST_DEPTH`."""
    if body.count(b"[") + body.count(b"{") <= MOST_DEPTH:
        return False
    depth = 0
    for found in _BRACKETS.finditer(body):
        depth += 1 if found[1] in _OPENING else -1
        if depth > MOST_DEPTH:
            return True
    return False


def fault_in_bounds(body: bytes) -> Fault | None:
    """The fault of one value, no batch, that is nested too deeply or holds too many values."""
    if is_too_deep(body):
        return TOO_DEEP
    if _has_too_many_values(body):
        return Fault("(body)", "length", f"holds more than {MOST_VALUES:,} values")
    return None


def _has_too_many_values(body: bytes) -> bool:
    if len(body) <= MOST_VALUES:  # each takes a byte and more
        return False
    marks = _BRACKETS_AND_COMMAS.finditer(body)
    return any(number > MOST_VALUES for number, _ in enumerate(marks, 1))
