"""Inputs made by chance, always the same ones, and how many of them the tests try."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

LONG_EXAMPLES = 5_000
DECODINGS_A_REQUEST = 25
#: Hypothesis remembers what it tried; a new run after so many forgets it.
_IN_ONE_RUN = 1_000
_ALL_CHECKS = list(HealthCheck)


def short(examples: int = 60) -> settings:
    """For every run of the tests."""
    return settings(
        max_examples=examples, deadline=None, database=None, derandomize=True, suppress_health_check=_ALL_CHECKS
    )


def long_requests() -> settings:
    """For ``make test-long``, without a search for a smaller input that fails.

    A request takes as long as many decodings: there are fewer of them.
    """
    examples = max(1, long_examples() // DECODINGS_A_REQUEST)
    return settings(short(examples), phases=[Phase.explicit, Phase.generate])


def long_examples() -> int:
    """As many as ``FUZZ_EXAMPLES`` says."""
    return int(os.environ.get("FUZZ_EXAMPLES", LONG_EXAMPLES))


def try_many(check: Callable[[Any], None], inputs: st.SearchStrategy[Any], examples: int) -> None:
    """The same inputs each time; a failure shows the one that failed."""
    in_one_run = settings(
        max_examples=min(examples, _IN_ONE_RUN), deadline=None, database=None, suppress_health_check=_ALL_CHECKS
    )
    for number in range(-(-examples // _IN_ONE_RUN)):
        seed(number)(in_one_run(given(inputs)(check)))()


_TOKENS = [
    *(b"{", b"}", b"[", b"]", b'"', b",", b":", b"\\", b"\n", b"\r", b"\0", b"\xff", b"\xed\xa0\x80", b"\xef\xbb\xbf"),
    *(
        b"null",
        b"true",
        b"NaN",
        b"-0",
        b"1e999",
        b"9" * 400,
        b"9007199254740993",
        b'"\\ud800"',
        b"'",
        b"#",
        b"&a",
        b"*a",
    ),
    *(
        b"!!int x",
        b"2001-99-01",
        b"- ",
        b"? ",
        b": ",
        b"%",
        b"\x81",
        b"\xc1",
        b"\xdc\xff\xff",
        b"..",
        b"/",
        b";",
        b"\t",
    ),
    *(b"[" * 40, b'{"a":' * 40, b"]" * 40, b'"a":1,' * 40),
]


@st.composite
def spoiled(draw: st.DrawFn, good: Sequence[bytes]) -> bytes:
    """One of these with some parts cut out, doubled, moved or replaced; sometimes bytes of any kind."""
    if draw(st.integers(0, 9)) == 0:
        return draw(st.binary(max_size=200))
    content = draw(st.sampled_from(list(good)))
    for _ in range(draw(st.integers(0, 4))):
        first, last = sorted(draw(st.tuples(st.integers(0, len(content)), st.integers(0, len(content)))))
        put = draw(st.sampled_from(_TOKENS) | st.binary(max_size=8) | st.just(content[first:last] * 2))
        content = content[:first] + put + content[last if draw(st.booleans()) else first :]
    return content
