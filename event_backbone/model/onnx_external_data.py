"""Files beside an ONNX model that it would read its weights from.

A bundle's model holds its own weights: ONNX Runtime reads what a model names from the folder in which a process happens
to run (1.31.1). Serving does not load the ``onnx`` package, so the few fields that lead to a tensor are read here
(https://github.com/onnx/onnx/blob/main/onnx/onnx.proto).
"""

from __future__ import annotations

from collections.abc import Iterator

#: Kind of message → field number → kind of message in it, along every way to a tensor.
_WAYS_TO_TENSORS: dict[str, dict[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 15: "sparse tensor"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse tensor", 23: "sparse tensor"},
    "sparse tensor": {1: "tensor", 2: "tensor"},
    "tensor": {13: "entry"},
}
_KEY, _VALUE = 1, 2
_LOCATION = b"location"

_VARINT, _EIGHT_BYTES, _BYTES, _FOUR_BYTES = 0, 1, 2, 5
_FIXED_SIZES = {_EIGHT_BYTES: 8, _FOUR_BYTES: 4}


def external_files(model: bytes) -> list[str]:
    """Names of the files, sorted; empty for a model that holds its own weights.

    Raises:
        ValueError: it is no message of Protocol Buffers.
    """
    # Without one such key nothing is outside, and a forest has a million fields.
    if _LOCATION not in model:
        return []
    found, waiting = set(), [("model", memoryview(model))]
    while waiting:
        kind, message = waiting.pop()
        if kind == "entry":
            fields = {number: bytes(value) for number, value in _fields(message)}
            if fields.get(_KEY) == _LOCATION:
                found.add(fields.get(_VALUE, b"").decode("utf-8", "replace"))
            continue
        inside = _WAYS_TO_TENSORS[kind]
        waiting.extend((inside[number], value) for number, value in _fields(message) if number in inside)
    return sorted(found)


def _fields(message: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Number and content of each field that has bytes; numbers are passed over."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        number, wire_type = tag >> 3, tag & 7
        if wire_type == _VARINT:
            _, at = _varint(message, at)
            continue
        size = _FIXED_SIZES.get(wire_type)
        if wire_type == _BYTES:
            size, at = _varint(message, at)
        if size is None or at + size > len(message):
            raise ValueError("is no ONNX model")
        if wire_type == _BYTES:
            yield number, message[at : at + size]
        at += size


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """A number of 7 bits a byte, and where it ends."""
    number = shift = 0
    while at < len(message) and shift < 70:
        byte = message[at]
        number |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return number, at
    raise ValueError("is no ONNX model")
