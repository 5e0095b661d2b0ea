"""One decoder of what comes from outside, the errors that its callers expect of it, and its inputs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec
from fuzzed_inputs import Inputs

from event_backbone.errors import RejectedError
from event_backbone.web.problems import rejection

#: What msgspec raises for content that is none.
UNDECODABLE = (msgspec.DecodeError, UnicodeDecodeError)
#: An answer or a message that lists faults; what was sent never makes it longer.
LONGEST_REFUSAL_BYTES, LONGEST_MESSAGE_CHARACTERS = 20_000, 100_000


@dataclass(frozen=True)
class Decoder:
    """``decode`` takes an input of ``inputs``; it may raise ``refusals`` and nothing else."""

    decode: Callable[[Any], object]
    refusals: tuple[type[Exception], ...]
    inputs: Inputs

    def takes(self, made: Any) -> bool:
        """Whether it is taken; refused, it is by an error that can be shown and is short."""
        try:
            self.decode(made)
        except self.refusals as error:
            check_shown(error)
            return False
        return True


class NothingTakenError(Exception):
    """A decoder that raises nothing left out everything."""


def answered(decode: Callable[[bytes], object]) -> Callable[[bytes], object]:
    """The same, and what a client is answered when it is refused."""

    def answer(body: bytes) -> object:
        try:
            return decode(body)
        except RejectedError as error:
            _, problem = rejection(error.faults)
            assert len(problem) < LONGEST_REFUSAL_BYTES
            raise

    return answer


def check_shown(error: Exception) -> None:
    text = str(error).encode()  # fails for halves of surrogate pairs, as a terminal would
    assert len(text) < LONGEST_MESSAGE_CHARACTERS
