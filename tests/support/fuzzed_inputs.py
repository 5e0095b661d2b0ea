"""Kinds of inputs of decoders, and how each is spoiled: by hypothesis, which makes failures small, or by a mutator."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import fuzzing
import msgspec
from hypothesis import strategies as st
from mutations import MSGPACK_VALUES, Mutator, as_json, as_msgpack

from event_backbone.ports import Message, Partition, Received

LARGE_BYTES = 300_000
#: What a broker takes where nobody says otherwise.
MOST_MESSAGE_BYTES = 2**20


class Inputs(Protocol):
    """Good inputs of one decoder; whatever is spoiled may be spoiled again."""

    @property
    def good(self) -> Sequence[Any]: ...

    def strategy(self) -> st.SearchStrategy[Any]: ...

    def spoiled(self, mutator: Mutator, known: Sequence[Any]) -> Any:
        """One of ``known`` with a few changes."""
        ...


def size_of(made: Any) -> int:
    """About how many bytes or characters an input has."""
    match made:
        case bytes() | str():
            return len(made)
        case Received():
            return len(made.value or b"") + len(made.key or b"") + sum(len(value) for _, value in made.headers)
        case Mapping():
            return sum(len(name) + len(text) for name, text in made.items())
    return 0


@dataclass(frozen=True)
class Contents:
    """Bytes. ``structure`` says what a part of them stays: ``json``, ``lines`` of JSON, ``msgpack``, or ``""``."""

    good: Sequence[bytes]
    structure: str = "json"
    most_bytes: int = LARGE_BYTES
    wrap: Callable[[bytes], bytes] = bytes

    def strategy(self) -> st.SearchStrategy[bytes]:
        return fuzzing.spoiled([self.wrap(one) for one in self.good]) | fuzzing.spoiled(self.good).map(self.wrap)

    def spoiled(self, mutator: Mutator, known: Sequence[bytes]) -> bytes:
        content: bytes = mutator.any_of(known)
        if mutator.one_in(2):
            content = (self._spoiled_tree(mutator, content) or content)[: self.most_bytes]
            if not mutator.one_in(6):
                return content
        return mutator.spoil(content, known, self.most_bytes)

    def _spoiled_tree(self, mutator: Mutator, content: bytes) -> bytes | None:
        """``None`` for what has no structure any more."""
        try:
            match self.structure:
                case "json":
                    return as_json(mutator.spoil_tree(json.loads(content)))
                case "lines":
                    lines = content.splitlines() or [b"{}"]
                    place = mutator.below(len(lines))
                    lines[place] = as_json(mutator.spoil_tree(json.loads(lines[place])))
                    return b"\n".join(lines)
                case "msgpack":
                    return as_msgpack(mutator.spoil_tree(msgspec.msgpack.decode(content), MSGPACK_VALUES))
        except (ValueError, RecursionError, OverflowError, TypeError, msgspec.MsgspecError):
            return None
        return None


@dataclass(frozen=True)
class Texts:
    """Text, with halves of surrogate pairs where the bytes of ``contents`` are no UTF-8."""

    contents: Contents
    more: st.SearchStrategy[Any] = field(default_factory=st.nothing)
    encoding: str = "utf-8"

    @property
    def good(self) -> Sequence[str]:
        return [self._text(content) for content in self.contents.good]

    def strategy(self) -> st.SearchStrategy[Any]:
        return self.contents.strategy().map(self._text) | self.more

    def spoiled(self, mutator: Mutator, known: Sequence[str]) -> str:
        contents = [text.encode(self.encoding, "surrogateescape") for text in known[-20:]]
        return self._text(self.contents.spoiled(mutator, contents))

    def _text(self, content: bytes) -> str:
        return content.decode(self.encoding, "surrogateescape")


@dataclass(frozen=True)
class Fields:
    """Texts by name: a form, a query, headers, an environment. ``decoded`` is how text is made from bytes."""

    good: Sequence[Mapping[str, str]]
    names: Sequence[str]
    texts: Sequence[str]
    encoding: str = "utf-8"

    def strategy(self) -> st.SearchStrategy[dict[str, str]]:
        text = st.text(max_size=20) if self.encoding == "utf-8" else st.binary(max_size=20).map(self._text)
        return st.dictionaries(st.sampled_from(list(self.names)), text | st.sampled_from(list(self.texts)))

    def spoiled(self, mutator: Mutator, known: Sequence[Mapping[str, str]]) -> dict[str, str]:
        made = dict(mutator.any_of(known))
        for _ in range(1 + mutator.below(3)):
            name = mutator.any_of(self.names)
            match mutator.below(5):
                case 0:
                    made.pop(name, None)
                case 1:
                    made[name] = mutator.any_of(self.texts)
                case _:
                    start = made.get(name) or mutator.any_of(self.texts)
                    spoiled = mutator.spoil(start.encode(self.encoding, "surrogateescape"), (), LARGE_BYTES)
                    made[name] = self._text(spoiled)
        return made

    def _text(self, content: bytes) -> str:
        return content.decode(self.encoding, "replace")


@dataclass(frozen=True)
class Messages:
    """Messages of Kafka as a consumer gets them: value, headers, key, time, offset and topic."""

    messages: Sequence[Message]
    structure: str = "json"

    @property
    def good(self) -> Sequence[Received]:
        return [
            Received(Partition(one.topic, 0), number, 1_800_000_000_000, one.key, one.value, one.headers)
            for number, one in enumerate(self.messages)
        ]

    def strategy(self) -> st.SearchStrategy[Received]:
        return received(list(self.messages))

    def spoiled(self, mutator: Mutator, known: Sequence[Received]) -> Received:
        made: Received = mutator.any_of(known)
        value, key, headers, at, offset = made.value, made.key, list(made.headers), made.timestamp_ms, made.offset
        for _ in range(1 + mutator.below(2)):
            match mutator.below(8):
                case 0:
                    key = mutator.any_of((None, b"", made.key, mutator.spoil(made.key or b"r1", ())))
                case 1:
                    headers = list(self._spoiled_headers(mutator, headers))
                case 2:
                    at = mutator.any_of((0, -1, -(2**62), 2**62, 253_402_300_800_000, -62_135_596_800_001))
                    offset = mutator.any_of((0, 1, 2**62))
                case 3 if mutator.one_in(4):
                    value = mutator.any_of((None, b"", b"{}", b"null"))
                case _:
                    value = (
                        None
                        if value is None
                        else Contents([], self.structure, MOST_MESSAGE_BYTES).spoiled(mutator, [value])
                    )
        return Received(made.partition, offset, at, key, value, headers)

    @staticmethod
    def _spoiled_headers(mutator: Mutator, headers: list[tuple[str, bytes]]) -> Iterator[tuple[str, bytes]]:
        for name, value in headers:
            match mutator.below(8):
                case 0:
                    continue
                case 1:
                    yield name, mutator.spoil(value, [other for _, other in headers], LARGE_BYTES)
                case 2:
                    yield name, value
                    yield mutator.any_of(("x", "", "ce_x", name)), value
                case _:
                    yield name, value


@st.composite
def received(draw: st.DrawFn, good: Sequence[Message]) -> Received:
    message = draw(st.sampled_from(list(good)))
    value = message.value if message.value is None else draw(fuzzing.spoiled([message.value]))
    headers = [
        (name, draw(fuzzing.spoiled([content])) if draw(st.integers(0, 3)) == 0 else content)
        for name, content in message.headers
        if draw(st.integers(0, 9))
    ]
    key = draw(st.none() | st.just(message.key) | st.binary(max_size=140))
    at = draw(st.sampled_from([0, 1_800_000_000_000, -1, -(2**62), 2**62]))
    return Received(Partition(message.topic, 0), draw(st.integers(0, 2**62)), at, key, value, headers)
